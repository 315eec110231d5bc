"""``clip2 recognize``: named boxes for the objects of a scan."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.model_options import ModelOptions, print_notice, teacher_notice
from clip2.cli.scan_options import CloudCommand
from clip2.labels import UNKNOWN, parse_labels
from data_prep.errors import BadFrameError, InputError
from data_prep.storage.extras import require_extra

if TYPE_CHECKING:
    from rich.table import Table

    from clip2.recognition import Instances3D, Recognizer
    from data_prep.detect import Detections2D
    from data_prep.detect.coco import CocoDetections
    from data_prep.scans import Frame, Scan

    _MaskedFrames = Iterable[tuple[Frame, Sequence[Detections2D]]]

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Recognize(CloudCommand):
    """Find the objects of a scan and name them from any list of labels.

    Writes OUT (JSON: boxes, labels, scores, embeddings), a PLY colored by object, and an HTML page. Boxes are in the
    scan's world axes: z up, meters.
    """

    scan: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCAN")]
    """A cloud file, or the root of a dataset that --source names."""
    options: ModelOptions
    out: Path = Path("result.json")
    """JSON file to write; the .ply and .html beside it get the same stem."""
    rerun: Path | None = None
    """Also write a recording for the rerun viewer (.rrd) to this file."""
    source: str = "cloud"
    """Reader of SCAN: cloud, kitti, kitti-tracking, rgbd, sunrgbd …"""
    frame: str | None = None
    """Frame of the dataset, by id or number. Default: all frames are fused, if their poses share one world frame."""
    every: int = 1
    """Fuse one frame in this many: neighboring video frames are nearly identical."""
    detections: Path | None = None
    """COCO JSON of 2D boxes: objects are lifted from these instead of being found in the cloud."""
    masks: Path | None = None
    """COCO JSON of masks for the scan's images, of any categories: objects are found by masks and geometry together."""
    detection_images: Path | None = None
    """COCO file with the images and categories, if --detections or --masks is a bare list of results."""
    min_score: float = 0.3
    """With --detections or --masks: ignore entries with a lower score."""
    proposals: Literal["auto", "lidar", "room"] = "auto"
    """How objects are found in the cloud; auto decides by the scan's extent."""
    threshold: float = 0.0
    """Leave out objects whose best label has a lower probability."""
    background: str | None = None
    """Background labels that compete with yours, for example "wall,floor,tree"; their objects are left out."""
    unknown: Literal["keep", "name", "drop"] = "keep"
    """Objects unlike anything the model was trained on: keep them as "unknown", name them like all others, or drop them."""
    min_objectness: float = 0.0
    """Leave out proposals that are less likely to be one whole object, 0 to 1."""
    max_objects: int | None = None
    """Keep at most this many objects, those with the highest objectness."""
    voxel: float = 0.02
    """Side in meters of the voxels in which a sequence is fused."""

    def run(self) -> int:
        """Recognize, write the three files, and report."""
        from clip2.cli.outputs import require_outputs
        from clip2.cli.terminal import Console
        from clip2.recognition import Recognizer

        console = Console(stderr=self.json)
        self._check_options()
        files = self._files()
        require_outputs(files, self._inputs(files), "--out")
        # A model may be a download of gigabytes: what is wrong with the labels or the scan is said before.
        if self.options.labels is not None:
            parse_labels(self.options.labels)
        scan = self.open(self.scan, self.source)
        model = self.options.load_model()
        note = teacher_notice(model)
        recognizer = Recognizer(model, self.options.text_source(model))
        # A misspelled label must fail before the slow part.
        recognizer.check(self.options.labels, self.background or ())
        with console.status("reading the scan"):
            frame, detections, masks = self._read(scan)
        for line in self._doubts(frame):
            _log.warning("clip2: warning: %s", line)
        with console.status("finding objects"):
            recognizer.set_scan(frame, detections, self.proposals, masks)
        result = recognizer.query(
            self.options.labels,
            self.threshold,
            self.background,
            self.unknown,
            self.min_objectness,
            self.max_objects,
        )
        self._write(result, files, frame, " ".join([note, *(f"{line}." for line in recognizer.notes)]))
        for line in recognizer.notes:
            _log.warning("clip2: warning: %s", line)
        advice = _better_model(result) if note else ""
        if self.json:
            print(json.dumps(_summary(result, recognizer, files, " ".join(filter(None, (note, advice))))))
        else:
            print_notice(note)
            console.print(_table(result))
            took = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in recognizer.seconds.items())
            strange = result.labels.count(UNKNOWN)
            kept = f"{len(result)} of {len(recognizer.boxes)} objects kept"
            console.print(f"{kept}{f', {strange} unknown' if strange else ''} ({took})", highlight=False)
            wrote = f"wrote {', '.join(map(str, files))}"
            console.print(wrote, highlight=False, soft_wrap=True, markup=False)
            print_notice(advice)
        return 0

    def _check_options(self) -> None:
        if not (math.isfinite(self.voxel) and self.voxel > 0):
            raise InputError(f"is {self.voxel}", field="--voxel", fix="give meters above 0")
        for flag, value in (("--threshold", self.threshold), ("--min-objectness", self.min_objectness)):
            if not 0 <= value <= 1:
                raise InputError(f"is {value}", field=flag, fix="give a probability, 0 to 1")
        if self.max_objects is not None and self.max_objects < 1:
            raise InputError(f"is {self.max_objects}", field="--max-objects", fix="give 1 or more")
        if self.up is not None and self.source != "cloud":
            raise InputError(f"{self.source} knows its own axes", field="--up", fix="use it with cloud files")
        if self.detections is not None and self.masks is not None:
            raise InputError("is given beside --detections", field="--masks", fix="give one of the two")
        if self.detection_images is not None and self.detections is None and self.masks is None:
            raise InputError(
                "belongs to --detections or --masks, which are missing", field="--detection-images"
            )
        if self.every < 1:
            raise InputError(f"is {self.every}", field="--every", fix="give 1 or more")
        if self.every > 1 and self.frame is not None:
            raise InputError("is for frames that are fused", field="--every", fix="leave out --frame")

    def _files(self) -> list[Path]:
        if not self.out.name or self.out.is_dir():
            raise InputError("is a folder", source=self.out, field="--out", fix="give the name of a file")
        files = [self.out, self.out.with_suffix(".ply"), self.out.with_suffix(".html")]
        if self.rerun is not None:
            require_extra("rerun", "rerun", needed_for="--rerun")  # before the slow part
            files.append(self.rerun)
        return files

    def _inputs(self, files: list[Path]) -> list[Path]:
        named = [self.scan, self.detections, self.masks, self.detection_images, self.options.bank]
        inputs = [path for path in named if path is not None]
        if self.source == "cloud" and self.scan.is_dir():  # a folder of clouds: each is an input
            inputs += [self.scan / file.name for file in files if (self.scan / file.name).exists()]
        return inputs

    def _read(self, scan: Scan) -> tuple[Frame, list[Detections2D] | None, _MaskedFrames | None]:
        from clip2.recognition import fuse_frames

        if len(scan) > 1 and self.frame is None:
            self._require_one_world(scan)
            chosen = range(0, len(scan), self.every)
            masks = None if self.masks is None else self._masked_frames(scan, chosen)
            return fuse_frames(_readable(scan, chosen), self.voxel), None, masks
        frame = scan[self._index(scan)]
        if self.detections is not None:
            return frame, self._detections(scan, frame, self.detections), None
        masks = None if self.masks is None else [(frame, self._detections(scan, frame, self.masks))]
        return frame, None, masks

    def _masked_frames(self, scan: Scan, chosen: range) -> _MaskedFrames:
        """The fused frames again, one at a time, with their masks; an image that the file does not name has none."""
        assert self.masks is not None
        found = self._load(self.masks)
        found.check(scan)
        return ((frame, _of_views(found, frame)) for frame in _readable(scan, chosen))

    def _doubts(self, frame: Frame) -> list[str]:
        """What makes the up axis of a cloud file doubtful, with the option that states it."""
        from data_prep.check.orientation import up_note

        if self.source != "cloud" or self.up is not None:
            return []
        return [f"{self.scan}: {note}. State the axis, like --up y" for note in up_note(frame)]

    def _require_one_world(self, scan: Scan) -> None:
        worlds = list(dict.fromkeys(scan.world_of(index) for index in range(len(scan))))
        problem = None
        if None in worlds:
            problem = f"has {len(scan)} frames that are not one cloud"
        elif len(worlds) > 1:
            problem = f"has frames of {len(worlds)} worlds, like {worlds[0]} and {worlds[1]}"
        elif self.detections is not None:
            problem = "--detections belong to single frames"
        if problem is not None:
            choice = f"choose one: --frame {scan.frame_ids()[0]}"
            if len(worlds) > 1 and None not in worlds:
                choice += ", or give SCAN or --option of one world"
            raise InputError(problem, source=self.scan, fix=choice)

    def _index(self, scan: Scan) -> int:
        ids = scan.frame_ids()
        if self.frame is None:
            return 0
        if self.frame in ids:
            return ids.index(self.frame)
        if self.frame.isdecimal() and int(self.frame) < len(ids):
            return int(self.frame)
        if len(ids) == 1:
            fix = f"the scan has one frame: give 0 or {ids[0]}, or leave out --frame"
        else:
            fix = f"the scan has {len(ids):,} frames: give 0 to {len(ids) - 1}, or an id like {ids[0]}"
        raise InputError(f"is {self.frame!r}", field="--frame", fix=fix)

    def _load(self, file: Path) -> CocoDetections:
        from data_prep.detect.coco import CocoDetections

        return CocoDetections.load(file, self.min_score, self.detection_images)

    def _detections(self, scan: Scan, frame: Frame, file: Path) -> list[Detections2D]:
        from data_prep.detect.coco import ImageNames

        if not frame.views:
            flag, what = ("--masks", "masks") if self.detections is None else ("--detections", "boxes")
            raise InputError(
                f"frame {frame.id} has no image for the {what}",
                source=self.scan,
                fix=f"leave out {flag}, or name a source with images by --source",
            )
        found = self._load(file)
        names = ImageNames(found.image_names)
        if not any(names.find(view.name) for view in frame.views):
            raise InputError(
                f"has no entry for {frame.views[0].name}, the image of frame {frame.id}",
                source=file,
                field="images.file_name",
                fix=f"give detections made on this scan; here the first image is "
                f"{found.image_names[0] if found.image_names else 'missing'}",
            )
        found.check(scan)  # one image name of the file must not match several images of the scan
        return _of_views(found, frame)

    def _write(self, result: Instances3D, files: list[Path], frame: Frame, note: str) -> None:
        from data_prep.storage.files import writing

        document, ply, html, *recordings = files
        origin = "found by geometry alone"
        if self.detections is not None:
            origin = f"lifted from the 2D boxes of {self.detections}"
        if self.masks is not None:
            origin = f"found by geometry and the masks of {self.masks}"
        notes = f"Objects were {origin} and named by {self.options.model}. {note}".strip()
        with writing(document, "--out"):
            result.to_json(document)
            result.to_ply(ply)
            result.to_html(html, title=f"Objects in {self.scan.name}", notes=notes, frame=frame)
        for recording in recordings:
            from clip2.recognition.rerun_file import write_rerun

            with writing(recording, "--rerun"):
                write_rerun(result, recording, frame)


def _of_views(found: CocoDetections, frame: Frame) -> list[Detections2D]:
    return [found.for_image(view.name, view.camera.width, view.camera.height) for view in frame.views]


def _readable(scan: Scan, indices: range) -> Iterator[Frame]:
    """The frames that can be read; a warning at the end counts the others."""
    bad, complaint = 0, None
    for index in indices:
        try:
            frame = scan[index]
        except BadFrameError as error:
            bad, complaint = bad + 1, complaint or error
        else:
            yield frame
    if complaint is not None and bad == len(indices):
        raise complaint
    if complaint is not None:
        _log.warning("clip2: warning: %d of %d frames left out, the first: %s", bad, len(indices), complaint)


def _summary(result: Instances3D, recognizer: Recognizer, files: list[Path], note: str) -> dict[str, Any]:
    """The JSON document without its long arrays, with notes, times and files."""
    document = result.to_json()
    for item in document["objects"]:
        del item["indices"], item["embedding"]
    return {
        **document,
        **({"note": note} if note else {}),
        **({"scan_notes": list(recognizer.notes)} if recognizer.notes else {}),
        "seconds": {k: round(v, 3) for k, v in recognizer.seconds.items()},
        "files": [str(f) for f in files],
    }


def _better_model(result: Instances3D) -> str:
    """What to use where the shipped model knows less than half of the objects; empty otherwise."""
    from clip2.pretrained.catalog import RECOMMENDED, find_pretrained
    from data_prep.storage.room import megabytes

    strange = result.labels.count(UNKNOWN)
    if 2 * strange <= len(result):
        return ""
    entry = find_pretrained(RECOMMENDED)
    size = "" if entry.size is None else f" ({megabytes(entry.size)}, {entry.license})"
    return (
        f"{strange} of {len(result)} objects are unlike anything this model knows. A public encoder knows thousands of real "
        f"categories: clip2 fetch {RECOMMENDED}{size}, then add --model {RECOMMENDED}."
    )


def _table(result: Instances3D) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in ("label", "score", "points", "size l w h (m)", "center x y z (m)"):
        table.add_column(column, justify="left" if column == "label" else "right")
    shown = 40
    for i in range(min(shown, len(result))):
        center, size = result.boxes[i, :3], result.boxes[i, 3:6]
        strange = result.labels[i] == UNKNOWN
        table.add_row(
            Text(result.labels[i], style="dim" if strange else ""),
            "" if strange else f"{result.scores[i]:.2f}",
            f"{len(result.indices[i]):,}",
            " ".join(f"{v:.2f}" for v in size),
            " ".join(f"{v:.2f}" for v in center),
        )
    if len(result) > shown:
        table.caption = f"and {len(result) - shown} more in the file"
    return table
