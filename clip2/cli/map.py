"""``clip2 map``: a sequence or a bag becomes a persistent map of named objects."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.frame_choice import FrameOptions
from clip2.cli.model_options import ModelOptions, print_notice, teacher_notice
from clip2.cli.scan_options import ScanCommand
from clip2.labels import UNKNOWN
from data_prep.errors import BadFrameError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.mapping import MapConfig, ObjectMap
    from clip2.recognition.instances import Instances3D
    from data_prep.detect import Detections2D
    from data_prep.detect.coco import CocoDetections
    from data_prep.scans import Frame, Scan

_log = logging.getLogger(__name__)
_SHOWN = 40


@dataclass(kw_only=True)
class Map(ScanCommand):
    """Build a map of named objects from the frames of a scan or bag.

    Writes the folder MAP: map.json, its arrays, objects.ply and index.html with a slider through time. Frames that cannot
    be used are counted and skipped. A map that is there already needs --continue or another name.
    """

    options: ModelOptions
    frame: FrameOptions
    out: Annotated[Path, tyro.conf.arg(metavar="MAP")] = Path("map")
    """Folder of the map."""
    go_on: Annotated[bool, tyro.conf.arg(name="continue")] = False
    """Take the frames into the map that is in --out."""
    merge: tuple[Path, ...] = ()
    """Maps of the same model to merge into this one at the end."""
    merge_transform: Path | None = None
    """Text file of a 4 x 4 matrix from the world of --merge to this one. Default: estimated from objects that look alike."""
    detections: Path | None = None
    """COCO JSON of 2D boxes for the scan's images: objects are lifted from these instead of being found in the cloud."""
    detection_images: Path | None = None
    """COCO file with the images and categories, if --detections is a bare list of results."""
    min_score: float = 0.3
    """With --detections: ignore entries with a lower score."""
    poses: Literal["auto", "given", "icp"] = "auto"
    """Where poses come from: the scan, or registration of successive sweeps (icp). auto: icp if the scan has none."""
    proposals: Literal["auto", "lidar", "room"] = "auto"
    """How objects are found in the cloud; auto decides by the scan's extent."""
    min_objectness: float = 0.4
    """Proposals that are less likely to be one whole object start no object of the map, 0 to 1."""
    confirm: int = 3
    """Frames in which an object must be seen to be confirmed."""
    budget_ms: float | None = None
    """Milliseconds per frame. When behind, far objects are encoded later and then far points are left out."""

    bag_out: Path | None = None
    """With --source rosbag: also write the confirmed objects of every frame, markers, labels and tf as a ROS 2 bag:
    NAME.mcap, or a folder name for sqlite3."""
    rerun: Path | None = None
    """Also write a recording for the rerun viewer (.rrd) to this file: all objects, with their boxes over the frames."""

    def run(self) -> int:
        """Build the map, write it, and report."""
        from clip2.cli.terminal import Console
        from clip2.progress import FrameBar

        console = Console(stderr=True)
        config = self._config()
        transform = self._transform()
        self._check_out()
        model = self.options.load_model()
        note = teacher_notice(model)
        object_map = self._start(model, config)
        others = [self._load(folder, model, config) for folder in self.merge]
        with console.status("looking for the scan"):
            scan = self.open_scan()
        numbers = self.frame.choose(scan)
        found = self._detections(scan)
        results = self._result_bag(scan, self._estimates_poses(scan, numbers))
        bad: list[str] = []
        doubts: dict[str, None] = {}
        with results as publish, FrameBar("mapping", console) as bar:
            for done, (frame, error) in enumerate(self._frames(scan, numbers), start=1):
                if frame is not None:
                    error = self._take(object_map, frame, found, publish)
                    doubts.update(dict.fromkeys(object_map.notes))
                if error is not None:
                    bad.append(str(error))
                bar.show(done, len(numbers), f"{len(object_map)} objects")
        if len(bad) == len(numbers):
            raise InputError(
                f"has no frame that can be used of {len(numbers)}, the first: {bad[0]}", source=self.root
            )
        for other in others:
            object_map.merge(other, transform)
        told = [
            *([f"{len(bad)} of {len(numbers)} frames left out, the first: {bad[0]}"] if bad else []),
            *doubts,
        ]
        for line in told:
            _log.warning("clip2: warning: %s", line)
        self._write(object_map, " ".join([note, *(f"{line}." for line in told)]).strip())
        self._report(object_map, len(numbers) - len(bad), bad, note)
        return 0

    def _config(self) -> MapConfig:
        from clip2.mapping import MapConfig
        from data_prep.config import parse_config

        names = ("proposals", "min_objectness", "confirm", "budget_ms")
        return parse_config(MapConfig, {name: getattr(self, name) for name in names}, source="options")

    def _transform(self) -> Any:
        if self.merge_transform is None:
            return None
        import numpy as np

        if not self.merge:
            raise InputError("belongs to --merge, which is missing", field="--merge-transform")
        try:
            return np.loadtxt(self.merge_transform).reshape(4, 4)
        except (OSError, ValueError) as error:
            raise InputError(
                f"is not a 4 x 4 matrix of numbers ({error})",
                source=self.merge_transform,
                field="--merge-transform",
            ) from error

    def _check_out(self) -> None:
        from clip2.mapping.files import holds_other_files
        from data_prep.storage.files import require_writable

        exists = (self.out / "map.json").exists()
        if self.go_on and not exists:
            raise InputError(
                "holds no map to continue", source=self.out, field="--out", fix="leave out --continue"
            )
        if exists and not self.go_on:
            raise InputError(
                "holds a map already",
                source=self.out,
                field="--out",
                fix="add --continue, or name another folder",
            )
        if holds_other_files(self.out):
            raise InputError(
                "holds other files", source=self.out, field="--out", fix="name an empty or new folder"
            )
        require_writable(self.out, "--out")
        if self.rerun is not None:
            from clip2.cli.outputs import require_outputs
            from data_prep.storage.extras import require_extra

            require_extra("rerun", "rerun", needed_for="--rerun")  # before the slow part
            require_outputs([self.rerun], [], "--rerun")

    def _start(self, model: Any, config: MapConfig) -> ObjectMap:
        from clip2.mapping import ObjectMap

        if self.go_on:
            return self._load(self.out, model, config)
        return ObjectMap(model, self.options.labels, self.options.text_source(model), config)

    def _load(self, folder: Path, model: Any, config: MapConfig) -> ObjectMap:
        from clip2.mapping import ObjectMap

        return ObjectMap.load(folder, model, self.options.labels, self.options.text_source(model), config)

    def _detections(self, scan: Scan) -> CocoDetections | None:
        from data_prep.detect.coco import CocoDetections

        if self.detections is None:
            if self.detection_images is not None:
                raise InputError("belongs to --detections, which is missing", field="--detection-images")
            return None
        found = CocoDetections.load(self.detections, self.min_score, self.detection_images)
        found.check(scan)
        return found

    def _estimates_poses(self, scan: Scan, numbers: list[int]) -> bool:
        posed = all(scan.world_of(number) is not None for number in numbers)
        return self.poses == "icp" or (self.poses == "auto" and not posed and len(numbers) > 1)

    def _frames(self, scan: Scan, numbers: list[int]) -> Iterator[tuple[Frame | None, InputError | None]]:
        """Each frame with its pose, or the reason why there is none."""
        from clip2.mapping.odometry import Odometry

        worlds = dict.fromkeys(scan.world_of(number) for number in numbers)
        if None not in worlds and len(worlds) > 1:
            some = list(worlds)
            raise InputError(
                f"has frames of {len(worlds)} worlds, like {some[0]} and {some[1]}",
                source=self.root,
                fix="map one world at a time: choose by --frames or --option",
            )
        use_icp = self._estimates_poses(scan, numbers)
        odometry = Odometry() if use_icp else None
        if use_icp and self.poses == "auto":
            _log.warning("clip2: warning: %s has no poses: they are estimated by registration", self.root)
        for number in numbers:
            try:
                frame = scan[number]
                yield (frame if odometry is None else odometry.place(frame)), None
            except BadFrameError as error:
                yield None, error

    def _take(
        self,
        object_map: ObjectMap,
        frame: Frame,
        found: CocoDetections | None,
        publish: Callable[[Frame, Instances3D], None],
    ) -> BadFrameError | None:
        detections: list[Detections2D] | None = None
        if found is not None:
            detections = [
                found.for_image(view.name, view.camera.width, view.camera.height) for view in frame.views
            ]
        try:
            update = object_map.update(frame, detections)
        except BadFrameError as error:
            return error
        assert update.track_ids is not None
        publish(
            frame, update[[object_map.objects[i].state == "confirmed" for i in update.track_ids.tolist()]]
        )
        return None

    @contextmanager
    def _result_bag(self, scan: Scan, estimated: bool) -> Iterator[Callable[[Frame, Instances3D], None]]:
        """Function that writes the objects of a frame to ``--bag-out``, or does nothing without it."""
        if self.bag_out is None:
            yield lambda frame, objects: None
            return
        from clip2.ros.bag import ResultBag
        from data_prep.geometry import invert
        from data_prep.scans.rosbag.scan import RosbagScan

        if not isinstance(scan, RosbagScan):
            raise InputError(
                "needs a bag, whose stamps, frames and tf it keeps",
                field="--bag-out",
                fix="use --source rosbag",
            )
        world, T_frame_world = scan.world_frame
        with ResultBag(self.bag_out) as bag:
            bag.copy_tf(scan)

            def publish(frame: Frame, objects: Instances3D) -> None:
                if estimated:  # tf knows nothing of this world
                    bag.add(scan.stamp(frame.id), scan.sensor_frame, objects, invert(frame.T_world_points))
                else:
                    bag.add(scan.stamp(frame.id), world, objects, T_frame_world)

            yield publish

    def _write(self, object_map: ObjectMap, notes: str) -> None:
        from data_prep.storage.files import writing

        name = Path(self.root).name or self.root
        with writing(self.out, "--out"):
            object_map.save(self.out, f"Map of {name}", notes)
        if self.rerun is not None:
            from clip2.mapping.rerun_file import write_map_recording

            with writing(self.rerun, "--rerun"):
                write_map_recording(object_map, self.rerun)

    def _report(self, object_map: ObjectMap, frames: int, bad: list[str], note: str) -> None:
        from clip2.cli.terminal import Console

        result = object_map.query()
        if self.json:
            document = result.to_json()
            for item in document["objects"]:
                del item["indices"], item["embedding"]
            print(
                json.dumps(
                    {
                        **document,
                        "map": str(self.out),
                        "frames": frames,
                        "bad_frames": bad,
                        **({"note": note} if note else {}),
                    }
                )
            )
            return
        print_notice(note)
        console = Console()
        _table(console, object_map)
        console.print(
            f"wrote {self.out}, open {self.out / 'index.html'}", highlight=False, soft_wrap=True, markup=False
        )


def _table(console: Console, object_map: ObjectMap) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in ("id", "label", "score", "frames", "size l w h (m)", "center x y z (m)"):
        table.add_column(column, justify="left" if column == "label" else "right")
    result = object_map.query()
    assert result.track_ids is not None
    for i, id in enumerate(result.track_ids[:_SHOWN].tolist()):
        strange = result.labels[i] == UNKNOWN
        table.add_row(
            str(id),
            Text(result.labels[i], style="dim" if strange else ""),
            "" if strange else f"{result.scores[i]:.2f}",
            f"{object_map.objects[id].frames:,}",
            " ".join(f"{v:.2f}" for v in result.boxes[i, 3:6]),
            " ".join(f"{v:.2f}" for v in result.boxes[i, :3]),
        )
    if len(result) > _SHOWN:
        table.caption = f"and {len(result) - _SHOWN} more in map.json"
    console.print(table)
