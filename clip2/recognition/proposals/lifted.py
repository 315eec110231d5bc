"""Proposals lifted from the 2D detections of one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.proposals import Proposals
from data_prep.detect.detections import Detections2D
from data_prep.detect.nms import nms
from data_prep.errors import InputError
from data_prep.lift import ObjectCloud, create_lifter
from data_prep.scans import Frame

# Boxes of one image that overlap more (IoU) are one object detected twice, whatever their labels.
_SAME_BOX = 0.8
# Lifted objects that share more of their points (IoU) are one object, seen by two boxes or two cameras.
_SAME_OBJECT = 0.5


def propose_lifted(frame: Frame, detections: Sequence[Detections2D]) -> Proposals:
    """One proposal per object that the detections show; all have objectness 1.

    Args:
        frame: with views.
        detections: one per view.

    Raises:
        InputError: detections that do not fit the views.
    """
    return propose_labeled(frame, detections)[0]


def propose_labeled(
    frame: Frame, detections: Sequence[Detections2D]
) -> tuple[Proposals, tuple[str, ...], NDArray[np.float32]]:
    """As :func:`propose_lifted`, with the detector's label and score of each proposal."""
    lifted, scores, given = lift_distinct(frame, detections, "detections")
    kept: list[int] = []
    for i in np.argsort([-score for score in scores], kind="stable").tolist():
        index = lifted[i].indices
        if all(_point_iou(index, lifted[other].indices) <= _SAME_OBJECT for other in kept):
            kept.append(i)
    kept.sort(key=lambda i: -len(lifted[i].indices))  # the order of Proposals.join
    proposals = Proposals.join([lifted[i].indices for i in kept], np.ones(len(kept)))
    labels = tuple(given[i] for i in kept)
    return proposals, labels, np.array([scores[i] for i in kept], np.float32)


def lift_distinct(
    frame: Frame, detections: Sequence[Detections2D], field: str, min_points: int | None = None
) -> tuple[list[ObjectCloud], list[float], list[str]]:
    """Lift detections without those that show the same box twice.

    Args:
        frame: with views.
        detections: one per view.
        field: their name in an error.
        min_points: filter of the lifter; None: its default.

    Returns:
        The objects, and the detector's score and label of each.

    Raises:
        InputError: detections that do not fit the views.
    """
    if len(detections) != len(frame.views) or not all(isinstance(d, Detections2D) for d in detections):
        raise InputError(
            f"given for {len(detections)} images, the frame has {len(frame.views)}",
            source=f"frame {frame.id}",
            field=field,
            fix="give a list with one Detections2D per view",
        )
    # Duplicate boxes would compete for the points of one object and get half of it each.
    distinct = [found[np.sort(nms(found.boxes, found.scores, _SAME_BOX))] for found in detections]
    lifter = create_lifter("auto", **({} if min_points is None else {"min_points": min_points}))
    lifted = list(lifter.lift(frame, distinct).objects)
    scores = [float(distinct[found.view].scores[found.detection]) for found in lifted]
    return lifted, scores, [distinct[found.view].labels[found.detection] for found in lifted]


def _point_iou(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)
