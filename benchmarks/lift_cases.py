"""Labeled lifting cases: frames with 2D boxes and the true points of each, from public data sets and the synthetic world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from data_prep.detect import Detections2D
from data_prep.detect.coco import CocoDetections
from data_prep.geometry import OrientedBox, box_iou_2d, box_to_image
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Annotations3D, Frame, Scan, open_scan
from data_prep.world import ProceduralScan

# Set → folders under the root with their source and the stem of their detection files.
SETS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "KITTI": (
        ("kitti_object", "kitti", "kitti_object"),
        ("kitti_tracking", "kitti-tracking", "kitti_tracking"),
    ),
    "nuScenes": (("nuscenes", "nuscenes", "nuscenes"),),
    "SUN RGB-D": (("sunrgbd/sunrgbd_trainval", "sunrgbd", "sunrgbd"),),
}
# People draw boxes around what they see in a sweep, a few centimeters in or out; nobody can say to whom the points in
# this seam belong.
SEAM = 0.1  # meters
_OVERLAP = 0.5  # 2D IoU from which a detection shows a label
_SYNTHETIC_SEED = 90_210_000


@dataclass(frozen=True)
class Case:
    """One view of a frame with 2D boxes and their ground truth.

    Attributes:
        frame: with this view only.
        detections: its boxes.
        labels: of each box what it shows, "" where that is not known; those compete but are not scored.
        truths: of each box (N,) bool, the points of the object among those in the box.
        seams: of each box (N,) bool, points outside the label and so near to it that they may be the object's.
        boxes: of each 2D box the labeled 3D box in the axes of the points, or None.
        occluded: of each box the share 0..1 of its object that others hide; empty where that is not known.
    """

    frame: Frame
    detections: Detections2D
    labels: tuple[str, ...]
    truths: tuple[NDArray[np.bool_], ...]
    seams: tuple[NDArray[np.bool_], ...]
    boxes: tuple[OrientedBox | None, ...]
    occluded: tuple[float, ...] = ()


def labeled_cases(root: Path, name: str, detector: bool) -> list[Case]:
    """All cases of one set.

    Args:
        root: folder of the sets.
        name: key of ``SETS``.
        detector: boxes of a real detector, where ``root/detections`` has them, instead of the labels' own.
    """
    cases: list[Case] = []
    for folder, source, stem in SETS[name]:
        file = root / "detections" / f"{stem}_fastestdet.json"
        if not (root / folder).is_dir() or (detector and not file.is_file()):
            continue
        scan = open_scan(source, root / folder)
        found = CocoDetections.load(file) if detector else None
        for index in _progress(scan, folder):
            annotations = scan.annotations(index)  # type: ignore[attr-defined]
            if annotations is not None and len(annotations):
                frame = scan[index]
                for view in range(len(frame.views)):
                    case = _labeled(replace(frame, views=(frame.views[view],)), annotations, found)
                    if case is not None:
                        cases.append(case)
    return cases


def synthetic_cases(
    setting: str,
    frames: int,
    detector: str,
    image_size: tuple[int, int] | None = None,
    beams: int | None = None,
    ahead: int = 0,
) -> list[Case]:
    """Rooms or streets of the synthetic world, with exact ground truth per point.

    Args:
        setting: ``room`` or ``street``.
        frames: number of frames, each of a different place.
        detector: profile of the simulated detector; ``perfect`` draws exact boxes.
        image_size: width and height in pixels, and of the depth; None: the setting's own.
        beams: of the LiDAR in streets and cities; None: the setting's own.
        ahead: poses of the vehicle after the frame's, which make the street 2 m longer each.
    """
    each = 1 + ahead
    scan = ProceduralScan(
        setting,
        frames=frames * each,
        worlds=frames,
        beams=beams,
        seed=_SYNTHETIC_SEED,
        detector=detector,
        image_size=image_size,
    )
    cases = []
    for index in track(
        range(0, len(scan), each), description=setting, console=Console(stderr=True), transient=True
    ):
        frame, truth = scan[index], scan.ground_truth(index)
        detections, exact = scan.detections(index)[0], truth.detections[0]
        seen = ProjectedPoints(frame.points, frame.views[0].camera)
        annotated = scan.annotations(index)
        whole = dict(zip(annotated.attributes["track_id"].tolist(), annotated.boxes, strict=True))
        labels, truths, boxes, occluded = [], [], [], []
        for box, row in zip(detections.boxes, _match(detections.boxes, exact.boxes), strict=True):
            mine = np.zeros(len(frame.points), dtype=bool)
            if row >= 0:
                inside = seen.indices[seen.in_box(box)]
                mine[inside] = truth.instances[inside] == exact.attributes["track_id"][row]
            labels.append(exact.labels[row] if row >= 0 else "")
            occluded.append(float(exact.attributes["occluded"][row]) if row >= 0 else 0.0)
            truths.append(mine)
            boxes.append(whole.get(int(exact.attributes["track_id"][row])) if row >= 0 else None)
        nowhere = np.zeros(len(frame.points), dtype=bool)
        without_masks = replace(detections, masks=None)
        seams = (nowhere,) * len(truths)
        cases.append(
            Case(
                frame,
                without_masks,
                tuple(labels),
                tuple(truths),
                seams,
                tuple(boxes),
                occluded=tuple(occluded),
            )
        )
    return cases


def _labeled(frame: Frame, annotations: Annotations3D, found: CocoDetections | None) -> Case | None:
    """None where nothing is in view."""
    view = frame.views[0]
    projected = [box_to_image(box, view.camera) for box in annotations.boxes]
    shown = [
        row
        for row, box in enumerate(projected)
        if box is not None and np.ptp(box[::2]) * np.ptp(box[1::2]) > 0
    ]
    if annotations.boxes_2d is not None:
        shown, rectangles = list(range(len(annotations))), np.asarray(annotations.boxes_2d)
    else:
        rectangles = np.array([projected[row] for row in shown]).reshape(-1, 4)
    names = tuple(annotations.labels[row] for row in shown)
    if found is None:
        detections = Detections2D(rectangles.astype(np.float32), np.ones(len(shown)), names)
        match = np.arange(len(shown))
    else:
        detections = found.for_image(view.name, view.camera.width, view.camera.height)
        match = _match(detections.boxes, rectangles)
    if not len(detections):
        return None
    seen = ProjectedPoints(frame.points, view.camera)
    truths, seams = [], []
    for box, row in zip(detections.boxes, match, strict=True):
        truth, seam = np.zeros((2, len(frame.points)), dtype=bool)
        if row >= 0:
            inside = seen.indices[seen.in_box(box)]
            label = annotations.boxes[shown[row]]
            truth[inside] = label.contains(frame.points[inside])
            seam[inside] = label.contains(frame.points[inside], SEAM) & ~truth[inside]
        truths.append(truth)
        seams.append(seam)
    labels = tuple(names[row] if row >= 0 else "" for row in match)
    boxes = tuple(annotations.boxes[shown[row]] if row >= 0 else None for row in match)
    return Case(frame, detections, labels, tuple(truths), tuple(seams), boxes)


def _match(boxes: NDArray, labeled: NDArray) -> NDArray[np.int64]:
    """(M,) row of the label each box shows, -1 for none: one to one, best overlap first."""
    match = np.full(len(boxes), -1)
    overlap = box_iou_2d(boxes, labeled)
    while overlap.size and overlap.max() >= _OVERLAP:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        match[row] = column
        overlap[row], overlap[:, column] = 0, 0
    return match


def _progress(scan: Scan, name: str) -> Iterator[int]:
    yield from track(range(len(scan)), description=name, console=Console(stderr=True), transient=True)
