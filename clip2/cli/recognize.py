"""``clip2 recognize``: a scan goes in, boxes with names come out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.recognition import Instances3D
    from data_prep.detect import Detections2D
    from data_prep.scans import Frame, Scan

# Sources whose frames all lie in one world by their poses, so that a sequence can become one cloud.
_ONE_WORLD = ("rgbd", "procedural")


@dataclass
class Recognize:
    """Find the objects of a scan and name them from any list of words.

    Writes OUT (JSON: boxes, labels, scores, embeddings), and beside it a PLY coloured by object and an HTML page to
    look at. Boxes are in the scan's world axes: z up, metres.
    """

    scan: tyro.conf.Positional[Path]
    """A cloud file, or with --source the root of a dataset."""
    labels: str
    """The words to choose from, separated by commas: "chair,table"."""
    model: str | None = None
    """A run folder, local-dir:FOLDER or hf-hub:ORG/NAME."""
    out: Path = Path("result.json")
    """Where to write; the .ply and .html get the same stem."""
    source: str = "cloud"
    """What SCAN is: cloud, kitti, kitti-tracking, rgbd, sunrgbd ..."""
    frame: str | None = None
    """Which frame of the dataset, by id or number. Without it the posed frames of an RGB-D sequence are fused."""
    detections: Path | None = None
    """COCO JSON of 2D boxes: objects are lifted from these instead of being searched in the cloud."""
    min_score: float = 0.3
    """With --detections: boxes the detector gives less are not used."""
    proposals: Literal["auto", "lidar", "room"] = "auto"
    """How objects are searched in the cloud; auto decides by the scan's extent."""
    threshold: float = 0.0
    """Leave out objects whose best word has a lower probability."""
    background: str = ""
    """More words that compete but are not wanted, for example "wall,floor,tree"."""
    voxel: float = 0.02
    """Metres: side of the voxels in which a sequence is fused."""
    up: str | None = None
    """For a cloud file: the axis that points up, x, y, z, -x, -y or -z. Default: z."""
    bank: Path | None = None
    """Text bank (npz) to look words up in, instead of the model's own."""
    bank_model: str | None = None
    """The CLIP model the bank's vectors come from, if the file does not say it."""
    clip: str | None = None
    """CLIP model NAME/TAG whose text tower turns words into vectors, instead of a bank; or local-dir:FOLDER."""
    clip_model: str | None = None
    """What a local-dir: of --clip holds, as NAME/TAG."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object."""

    def run(self) -> int:
        from clip2.cli.words import load_model, text_source
        from clip2.recognition import Recognizer

        console = Console(stderr=self.json)
        model = load_model(self.model)
        recognizer = Recognizer(
            model, text_source(model, self.bank, self.bank_model, self.clip, self.clip_model)
        )
        recognizer.check(self.labels, self.background)  # a misspelt word should not cost a minute of work
        with console.status("reading the scan"):
            frame, detections = self._open()
        with console.status("finding objects"):
            recognizer.set_scan(frame, detections, self.proposals)
        result = recognizer.query(self.labels, self.threshold, self.background)
        files = self._write(result)
        if self.json:
            print(json.dumps(_summary(result, recognizer.seconds, files)))
        else:
            console.print(_table(result))
            took = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in recognizer.seconds.items())
            console.print(f"{len(result)} of {len(recognizer.boxes)} objects kept ({took})", highlight=False)
            console.print(f"wrote {', '.join(map(str, files))}", highlight=False, soft_wrap=True)
        return 0

    def _open(self) -> tuple[Frame, list[Detections2D] | None]:
        from clip2.recognition import fuse_frames
        from data_prep.scans import open_scan

        if self.up is not None and self.source != "cloud":
            raise InputError(f"{self.source} knows its own axes", field="--up", fix="use it with cloud files")
        options = {} if self.up is None else {"up": self.up}
        scan = open_scan(self.source, self.scan, **options)
        if len(scan) > 1 and self.frame is None:
            if self.source not in _ONE_WORLD or self.detections is not None:
                raise InputError(
                    f"has {len(scan)} frames that are not one cloud"
                    if self.source not in _ONE_WORLD
                    else "--detections belong to single frames",
                    source=self.scan,
                    fix=f"choose one: --frame {scan.frame_ids()[0]}",
                )
            return fuse_frames(scan, self.voxel), None
        frame = scan[self._index(scan)]
        return frame, None if self.detections is None else self._detections(frame)

    def _index(self, scan: Scan) -> int:
        ids = scan.frame_ids()
        if self.frame is None:
            return 0
        if self.frame in ids:
            return ids.index(self.frame)
        if self.frame.isdecimal() and int(self.frame) < len(ids):
            return int(self.frame)
        raise InputError(
            f"is {self.frame!r}", field="--frame", fix=f"give 0 to {len(ids) - 1}, or an id like {ids[0]}"
        )

    def _detections(self, frame: Frame) -> list[Detections2D]:
        from data_prep.detect.coco import CocoDetections

        assert self.detections is not None
        found = CocoDetections.load(self.detections, min_score=self.min_score)
        return [found.for_image(view.name, view.camera.width, view.camera.height) for view in frame.views]

    def _write(self, result: Instances3D) -> list[Path]:
        out = self.out if self.out.suffix == ".json" else self.out.with_suffix(".json")
        result.to_json(out)
        notes = f"Words were chosen by {self.model}. "
        notes += (
            f"Objects come from the 2D boxes of {self.detections}."
            if self.detections
            else "Objects were searched in the geometry alone."
        )
        return [
            out,
            result.to_ply(out.with_suffix(".ply")),
            result.to_html(out.with_suffix(".html"), title=f"Objects in {self.scan.name}", notes=notes),
        ]


def _summary(result: Instances3D, seconds: dict[str, float], files: list[Path]) -> dict[str, Any]:
    """The document without its long arrays, which are in the file."""
    document = result.to_json()
    for item in document["objects"]:
        del item["indices"], item["embedding"]
    return {
        **document,
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "files": [str(f) for f in files],
    }


def _table(result: Instances3D) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("label", "score", "points", "size l w h (m)", "centre x y z (m)"):
        table.add_column(column, justify="left" if column == "label" else "right")
    shown = 40
    for i in range(min(shown, len(result))):
        center, size = result.boxes[i, :3], result.boxes[i, 3:6]
        table.add_row(
            result.labels[i],
            f"{result.scores[i]:.2f}",
            f"{len(result.indices[i]):,}",
            " ".join(f"{v:.2f}" for v in size),
            " ".join(f"{v:.2f}" for v in center),
        )
    if len(result) > shown:
        table.caption = f"and {len(result) - shown} more in the file"
    return table
