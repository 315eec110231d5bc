"""Labeled scans: frames with the objects that people labeled in them, of any reader or of a file of objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.protocol import Progress, Settings, silent
from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.results_file import ObjectsFile
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import OrientedBox, box_to_image, invert
from data_prep.geometry.box_iou import box_rows
from data_prep.labels import normalize_label
from data_prep.scans import Annotations3D, Frame, Scan, open_scan

# What a root holds → its reader; the first that fits is taken.
_SIGNS = {
    "layout": ("scan.json",),
    "kitti-tracking": ("training/label_02", "label_02"),
    "kitti": ("training/label_2", "label_2"),
    "nuscenes": ("v1.0-*",),
    "sunrgbd": ("sunrgbd_trainval/label", "trainval/label", "label/*.txt"),
    "once": ("data/*/*.json",),
    "scannet": ("*_vh_clean_2.ply", "*/*_vh_clean_2.ply", "scans/*/*_vh_clean_2.ply"),
}
EXPECTED = (
    "a labeled scan (a layout folder, KITTI, nuScenes, SUN RGB-D, ONCE, ScanNet), or --option source=READER"
)
OPTIONS = {
    "source": "reader of the scan; judged by its files without",
    "truth": "file of objects with the labels, where the scan has none",
    "min-points": "labeled objects with fewer points count neither way",
}


@dataclass(frozen=True, eq=False)
class LabeledFrame:
    """A frame with its labeled objects.

    Attributes:
        frame: read.
        truth: labeled objects in world axes, with their points; those with fewer points than asked for are ignored.
        annotations: the same objects in the axes of the points.
        visible: (N,) points where somebody labeled. Labels that one image shows, and no others, were made from that
            image: what lies outside of it counts neither way. None: all points.
    """

    index: int
    frame: Frame
    truth: SceneObjects
    annotations: Annotations3D
    visible: NDArray[np.bool_] | None

    def counted(self, found: SceneObjects) -> SceneObjects:
        """Predictions without those that lie outside of what was labeled: none of their points was visible, or, where
        only boxes are known, their center was not."""
        if self.visible is None or not len(found):
            return found
        if found.indices is not None:
            return found[np.array([bool(self.visible[index].any()) for index in found.indices])]
        return found[_in_view(self.frame, found.boxes[:, :3])]


@dataclass(eq=False)
class LabeledScan:
    """The labeled frames of a scan.

    Attributes:
        scan: the scan.
        chosen: positions of the frames to measure.
        truth: labels that stand in a file of objects; None: the scan's own.
        min_points: labeled objects with fewer points are ignored.
        limit: measure only the first so many labeled frames; None: all.
        progress: called with each frame.
        bad: frames that could not be read, as one line each; this and the counts are of the last iteration.
        frames, objects, ignored: labeled frames, their objects that count, and those with fewer points.
        colored: whether points of any labeled frame have colors.
    """

    scan: Scan
    truth: ObjectsFile | None = None
    min_points: int = 1
    limit: int | None = None
    progress: Progress = silent
    bad: list[str] = field(default_factory=list)
    frames: int = 0
    objects: int = 0
    ignored: int = 0
    colored: bool = False
    _hash: Any = field(default_factory=hashlib.sha256, repr=False)

    @classmethod
    def open(cls, root: Path, settings: Settings, min_points: int = 1) -> LabeledScan:
        """Open a scan.

        Args:
            root: of the scan.
            settings: number of frames, progress, and the options of :data:`OPTIONS`.
            min_points: without the option.

        Raises:
            InputError: no reader fits, or the files are not such.
        """
        options = settings.options
        source = options.get("source") or guess_source(root)
        if source is None:
            raise BadDatasetError(f"is not {EXPECTED}", source=root, field="--root", fix="check the folder")
        folder = root / "scans" if source == "scannet" and (root / "scans").is_dir() else root
        scan = open_scan(source, folder)
        truth = None
        if "truth" in options:
            truth = ObjectsFile.read(options["truth"])
            truth.require_frames(scan.frame_ids())
        least = number(options, "min-points", min_points)
        return cls(scan, truth, least, settings.limit, settings.progress)

    def __iter__(self) -> Iterator[LabeledFrame]:
        """The labeled frames in order; those that cannot be read are noted in ``bad``.

        Raises:
            BadDatasetError: no frame is labeled.
        """
        self.bad.clear()
        self._hash = hashlib.sha256()
        self.frames = self.objects = self.ignored = 0
        self.colored = False
        for index, id in enumerate(self.scan.frame_ids()):
            if self.limit is not None and self.frames >= self.limit:
                break
            if self.truth is not None and id not in self.truth.frames:
                continue
            try:
                labeled = self._labeled(index)
            except BadFrameError as error:
                self.bad.append(str(error))
                continue
            if labeled is not None:
                self.frames += 1
                self.colored |= labeled.frame.colors is not None
                self.ignored += int(labeled.truth.ignored.sum())
                self.objects += int((~labeled.truth.ignored).sum())
                yield labeled
                self.progress("frames", self.frames, len(self))
        if not self.frames:
            raise BadDatasetError(
                self.bad[0] if self.bad else f"no frame of {len(self.scan)} is labeled",
                source=self.scan.root,
                field="labels",
                fix="add the label files of the data set, or state the labels: --option truth=FILE (docs/evaluation.md)",
            )

    @property
    def digest(self) -> str:
        """Hash of the labels and points of the frames that were iterated over."""
        return self._hash.hexdigest()[:16]

    def labels(self) -> list[str]:
        """The labels that occur in any frame, without reading points."""
        if self.truth is not None:
            return sorted({normalize_label(row.label) for rows in self.truth.frames.values() for row in rows})
        found = (self._annotations(index) for index in range(len(self.scan)))
        return sorted({label for one in found if one is not None for label in one.labels})

    def __len__(self) -> int:
        """Most frames that there can be."""
        count = len(self.scan) if self.truth is None else len(self.truth.frames)
        return count if self.limit is None else min(count, self.limit)

    def _labeled(self, index: int) -> LabeledFrame | None:
        annotated = self._annotations(index) if self.truth is None else None
        if self.truth is None and annotated is None:
            return None
        frame = self.scan[index]
        if self.truth is not None:
            annotated = _stated(self.truth.of(frame), frame)
        assert annotated is not None
        visible = _seen(frame, annotated.boxes)
        indices = []
        for box in annotated.boxes:
            inside = box.contains(frame.points)
            indices.append(np.flatnonzero(inside if visible is None else inside & visible))
        tracks = annotated.attributes.get("track_id")
        truth = SceneObjects(
            box_rows(box.transformed(frame.T_world_points) for box in annotated.boxes),
            annotated.labels,
            indices=tuple(indices),
            tracks=None if tracks is None else np.asarray(tracks, np.int64),
            ignored=np.array([len(index) < self.min_points for index in indices], bool),
            viewpoint=frame.T_world_points[:3, 3],
        )
        self._hash.update(frame.id.encode())
        self._hash.update(np.ascontiguousarray(frame.points).tobytes())
        self._hash.update(truth.boxes.tobytes())
        self._hash.update("\0".join(truth.labels).encode())
        return LabeledFrame(index, frame, truth, annotated, visible)

    def _annotations(self, index: int) -> Annotations3D | None:
        found = self.scan.annotations(index)
        return found and replace(found, labels=tuple(normalize_label(label) for label in found.labels))


def guess_source(root: Path) -> str | None:
    """Name of the reader that fits a folder's files, or None."""
    for source, patterns in _SIGNS.items():
        if any(next(root.glob(pattern), None) is not None for pattern in patterns):
            return source
    return None


def number(options: Mapping[str, str], name: str, default: int) -> int:
    """A whole number, at least 0, among options that are text.

    Raises:
        InputError: it is none.
    """
    text = options.get(name, str(default))
    if not text.isdecimal():
        raise InputError(f"is {text!r}", field=f"--option {name}", fix="give a whole number")
    return int(text)


def _seen(frame: Frame, boxes: tuple[OrientedBox, ...]) -> NDArray[np.bool_] | None:
    """(N,) points in the only image, if it shows all labeled boxes and not all points."""
    if len(frame.views) != 1 or not boxes:
        return None
    camera = frame.views[0].camera
    seen: NDArray[np.bool_] = camera.in_image(camera.project(frame.points)[0])
    shown = all(box_to_image(box, camera) is not None for box in boxes)
    return None if seen.all() or not shown else seen


def _stated(objects: SceneObjects, frame: Frame) -> Annotations3D:
    """Labels of a file, in the axes of the frame's points."""
    T = invert(frame.T_world_points)
    boxes = (OrientedBox.from_yaw(row[:3], row[3:6], row[6]).transformed(T) for row in objects.boxes)
    attributes = {} if objects.tracks is None else {"track_id": objects.tracks}
    return Annotations3D(tuple(boxes), objects.labels, attributes=attributes)


def _in_view(frame: Frame, world: NDArray[np.float64]) -> NDArray[np.bool_]:
    T = invert(frame.T_world_points)
    camera = frame.views[0].camera
    seen: NDArray[np.bool_] = camera.in_image(camera.project(world @ T[:3, :3].T + T[:3, 3])[0])
    return seen
