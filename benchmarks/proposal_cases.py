"""Clouds to search for objects, with what is known to be in them: exact instances, labeled boxes or drawn outlines."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.outlines import outlined_frames
from benchmarks.plain_proposals import ROOM, STREET, TABLETOP, Plain
from clip2.evaluation.scenes.proposals import ProposalOverlaps, box_overlaps, mask_overlaps
from clip2.recognition import fuse_frames
from clip2.recognition.proposals import Kind
from data_prep.detect import Detections2D
from data_prep.geometry import OrientedBox, rigid
from data_prep.geometry.voxels import voxel_index
from data_prep.scans import Frame, Scan, open_scan

MIN_POINTS = 10
_SIZES = ((0.1, "below 10 cm"), (0.3, "10 to 30 cm"), (1.0, "30 cm to 1 m"), (np.inf, "above 1 m"))
_RANGES = ((15, "within 15 m"), (30, "15 to 30 m"), (45, "30 to 45 m"), (np.inf, "beyond 45 m"))


@dataclass
class Case:
    """One cloud in world axes and what is in it: masks of points, or boxes, or nothing known.

    Attributes:
        group, name: of the case; figures are given by group.
        points, viewpoint, kind, colors: as ``propose_objects`` takes them.
        plain: settings of the baseline.
        complete: whether everything that is an object is known, so that precision means something.
        labels: of the objects.
        masks, boxes: of each object its points (N,) bool, or its box.
        bands: of each object its band of size (rooms) or of range (streets).
        visible: (N,) points where somebody labeled; None: all.
        background: (N,) points drawn as named background.
        frames: of a synthetic scan: the scan and the numbers of the frames that the cloud is made of.
        origin: (3,) what was taken from their world points.
    """

    group: str
    name: str
    points: NDArray
    viewpoint: NDArray | None
    kind: Kind
    colors: NDArray[np.uint8] | None = None
    plain: Plain = ROOM
    complete: bool = False
    labels: list[str] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    boxes: list[OrientedBox] = field(default_factory=list)
    bands: list[str] = field(default_factory=list)
    visible: NDArray[np.bool_] | None = None
    background: NDArray[np.bool_] | None = None
    frames: tuple[Scan, range] | None = None
    origin: NDArray = field(default_factory=lambda: np.zeros(3))

    def masked(self, detector: str) -> Iterator[tuple[Frame, tuple[Detections2D, ...]]]:
        """Frames with the masks of a simulated detector."""
        assert self.frames is not None
        scan, numbers = self.frames
        for number in numbers:
            frame = scan[number]
            T = rigid(translation=-self.origin) @ frame.T_world_points
            yield replace(frame, T_world_points=T), scan.detections(number, detector)  # type: ignore[attr-defined]

    def overlaps(
        self, proposals: Sequence[NDArray[np.int64]], objectness: NDArray[np.floating]
    ) -> ProposalOverlaps:
        """Proposals, the highest objectness first, against the objects."""
        if self.boxes:
            overlap = box_overlaps(proposals, self.points, self.boxes)
        else:
            overlap = mask_overlaps(proposals, self.masks, self.visible)
        return ProposalOverlaps(overlap, objectness, tuple(self.labels), self.complete)

    def add(self, label: str, mask: NDArray[np.bool_]) -> None:
        """Add an object, unless it has too few points."""
        if mask.sum() < MIN_POINTS:
            return
        self.labels.append(label)
        self.masks.append(mask)
        points = self.points[mask]
        if self.plain is STREET:
            eye = np.zeros(3) if self.viewpoint is None else self.viewpoint
            value, bands = np.linalg.norm(np.median(points - eye, axis=0)[:2]), _RANGES
        else:
            value, bands = np.ptp(np.percentile(points, [2, 98], axis=0), axis=0).max(), _SIZES
        self.bands.append(next(name for limit, name in bands if value < limit))


def synthetic_cases(only: str = "") -> Iterator[Case]:
    """Frames of synthetic rooms, table tops and streets, and fused rooms; of groups whose name contains ``only``."""
    plain = {"room": ROOM, "street": STREET, "tabletop": TABLETOP}
    frames_of = {"room": 8, "street": 3, "tabletop": 8}
    for setting, frames in frames_of.items():
        if only not in f"procedural {setting}":
            continue
        scan = open_scan("procedural", setting, frames=frames, worlds=frames, seed=11)
        for i in range(frames):
            kind: Kind = "lidar" if setting == "street" else "room"
            case = _case(f"procedural {setting}", scan[i], kind, plain[setting])
            case.frames = scan, range(i, i + 1)
            _add_instances(case, scan.ground_truth(i).instances, scan)  # type: ignore[attr-defined]
            yield case
    if only not in "procedural room fused":
        return
    scan = open_scan("procedural", "room", frames=24, worlds=4, seed=12)
    for world in range(4):
        members = range(6 * world, 6 * world + 6)
        points = np.concatenate([scan[i].world_points() for i in members])
        truth = np.concatenate([scan.ground_truth(i).instances for i in members])  # type: ignore[attr-defined]
        first, _ = voxel_index(points, 0.02)
        origin = points.mean(axis=0)
        case = Case("procedural room fused", str(world), points[first] - origin, None, "room")
        case.frames, case.origin = (scan, members), origin
        _add_instances(case, truth[first], scan)
        yield case


def real_cases(root: Path, only: str = "") -> Iterator[Case]:
    """Whatever of the real sets lies under ``root``; of groups whose name contains ``only``."""
    sources: tuple[tuple[str, str, Callable[[Path], Iterator[Case]]], ...] = (
        ("kitti", "kitti_object", lambda path: _sweeps(open_scan("kitti", path))),
        ("kitti-tracking", "kitti_tracking", lambda path: _sweeps(open_scan("kitti-tracking", path))),
        ("nuscenes", "nuscenes", lambda path: _sweeps(open_scan("nuscenes", path))),
        ("scannet", "scannet", _scannet),
        ("sunrgbd", "sunrgbd", lambda path: _sunrgbd(open_scan("sunrgbd", path))),
        ("7-scenes", "rgbd/7scenes_redkitchen", _seven_scenes),
        ("hand-labeled", "", _outlined),
    )
    for group, folder, cases in sources:
        if (root / folder).is_dir() and (only in group or group in only):
            yield from (case for case in cases(root / folder) if only in case.group)


def _seven_scenes(root: Path) -> Iterator[Case]:
    scan = open_scan("rgbd", root)
    yield _case("7-scenes frame", scan[0], "auto", ROOM)
    yield _case("7-scenes fused", fuse_frames(scan), "auto", ROOM)


def _case(group: str, frame: Frame, kind: Kind, plain: Plain) -> Case:
    viewpoint = frame.T_world_points[:3, 3] if frame.views else None
    return Case(group, frame.id, frame.world_points(), viewpoint, kind, frame.colors, plain)


def _add_instances(case: Case, truth: NDArray, scan: Scan) -> None:
    names = {placed.instance: placed.label for placed in scan.objects}  # type: ignore[attr-defined]
    case.complete = True
    for instance in np.unique(truth[truth >= 0]):
        case.add(names[int(instance)], truth == instance)


def _outlined(root: Path) -> Iterator[Case]:
    for outlines, frame in outlined_frames(root):
        table = "graspnet" in outlines.image
        case = _case(f"hand-labeled {outlines.part}", frame, "room", TABLETOP if table else ROOM)
        case.name, case.complete = outlines.image, True
        owner = outlines.truth(frame)
        for number, name in enumerate(outlines.names):
            case.add(name, owner == number)
        case.background = owner >= len(outlines.names)
        yield case


def _sweeps(scan: Scan) -> Iterator[Case]:
    for i in range(len(scan)):
        frame, labeled = scan[i], scan.annotations(i)
        assert labeled is not None
        case = Case(scan.source, frame.id, frame.points, np.zeros(3), "auto", plain=STREET)
        # KITTI labels what its front camera sees, nuScenes everything around.
        if len(frame.views) == 1:
            camera = frame.views[0].camera
            case.visible = camera.in_image(camera.project(frame.points)[0])
        for box, label in zip(labeled.boxes, labeled.labels, strict=True):
            mask = box.contains(frame.points)
            case.add(label, mask if case.visible is None else mask & case.visible)
        yield case


def _scannet(root: Path) -> Iterator[Case]:
    for file in sorted(root.glob("*_boxes.json")):
        document = json_format.loads(file.read_text())
        name = document["scene"]
        frame = open_scan("cloud", root / "scans" / name / f"{name}_vh_clean_2.ply")[0]
        T = np.array(document["axis_align_matrix"])
        aligned = frame.world_points() @ T[:3, :3].T + T[:3, 3]
        case = Case("scannet", name, aligned, None, "auto", frame.colors)
        for item in document["instances"]:
            case.labels.append(item["name"])
            case.boxes.append(OrientedBox(item["centre"], item["size"]))
        yield case


def _sunrgbd(scan: Scan) -> Iterator[Case]:
    for i in range(len(scan)):
        frame, labeled = scan[i], scan.annotations(i)
        case = _case("sunrgbd", frame, "auto", ROOM)
        if labeled is not None:
            case.labels = list(labeled.labels)
            case.boxes = [box.transformed(frame.T_world_points) for box in labeled.boxes]
        yield case
