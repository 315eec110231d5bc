"""Labeled views: an image of a frame with 2D boxes, and the true points and 3D box of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.detect.coco import CocoDetections
from data_prep.geometry import OrientedBox, box_iou_2d, box_to_image
from data_prep.geometry.matching import match_by_overlap
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Annotations3D, Frame, Scan

# People draw boxes around what they see in a sweep, a few centimeters in or out; nobody can say to whom the points in
# this seam belong.
SEAM = 0.1  # meters
OVERLAP = 0.5  # 2D IoU from which a detection shows a label


@dataclass(frozen=True)
class LabeledView:
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


def labeled_views(
    scan: Scan, frames: Iterable[int] | None = None, found: CocoDetections | None = None
) -> Iterator[LabeledView]:
    """The views of a scan that show a labeled object, or something that a detector found.

    The truth of an object is the points inside both its labeled 3D box and its 2D box.

    Args:
        scan: with labels.
        frames: positions in the scan; None: all.
        found: boxes of a detector; those that overlap a label by 2D IoU >= 0.5 show it. None: the labels' own 2D boxes,
            or the hulls of their projected 3D boxes.
    """
    for index in range(len(scan)) if frames is None else frames:
        annotations = scan.annotations(index)
        if annotations is not None and len(annotations):
            yield from views_of(scan[index], annotations, found)


def views_of(
    frame: Frame, annotations: Annotations3D, found: CocoDetections | None = None
) -> Iterator[LabeledView]:
    """:func:`labeled_views` of one frame and its labels, in the axes of its points."""
    for view in frame.views:
        labeled = _labeled(replace(frame, views=(view,)), annotations, found)
        if labeled is not None:
            yield labeled


def _labeled(frame: Frame, annotations: Annotations3D, found: CocoDetections | None) -> LabeledView | None:
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
        detections = Detections2D(rectangles.astype(np.float32), np.ones(len(shown), np.float32), names)
        match = np.arange(len(shown))
    else:
        detections = found.for_image(view.name, view.camera.width, view.camera.height)
        match = match_by_overlap(box_iou_2d(detections.boxes, rectangles), OVERLAP)
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
    return LabeledView(frame, detections, labels, tuple(truths), tuple(seams), boxes)
