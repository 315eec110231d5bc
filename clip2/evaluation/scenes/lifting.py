"""Point IoU of lifting: the points lifted from 2D boxes against the labels' points.

The truth of an object is the points inside both its labeled 3D box and its 2D box; objects with fewer than 10 such points
are skipped. An object that is not found counts as IoU 0. Labels cut off bumpers and mirrors, and include a strip of
road: the *seam* figure ignores points less than 10 cm outside the label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.scenes.views import LabeledView
from data_prep.lift import Lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.sweep import SeenScene

MIN_POINTS = 10
# Settings that switch a lifter's filters off: a filtered object is not a lifting error.
OPEN_GATES: dict[str, float] = {"min_points": 1, "min_side": 0.0, "max_truncated": 1.0, "max_occluded": 1.0}
_OFF_GROUND = 0.05  # meters
# Positions in Frame.points of what is lifted for each box of a view.
Cut = Callable[[LabeledView], dict[int, NDArray[np.int64]]]


@dataclass(frozen=True)
class PointScore:
    """One object: its label, its range in meters, and how lifted points agree with the truth.

    Attributes:
        label: of the box.
        range: meters.
        occluded: share 0..1, NaN where it is not known.
        precision, recall, iou: 0..1.
        seam_iou: the same, points in the label's seam left out.
    """

    label: str
    range: float
    occluded: float
    precision: float
    recall: float
    iou: float
    seam_iou: float


def score_points(views: Iterable[LabeledView], cut: Cut) -> list[PointScore]:
    """Score what is cut out for the labeled boxes of some views; see the module."""
    scores = []
    for view in views:
        lifted = cut(view)
        for row, (label, truth) in enumerate(zip(view.labels, view.truths, strict=True)):
            size = int(truth.sum())
            if not label or size < MIN_POINTS:
                continue
            kept = lifted.get(row, np.zeros(0, np.int64))
            hit = int(truth[kept].sum())
            sure = len(kept) - int(view.seams[row][kept].sum())
            scores.append(
                PointScore(
                    label=label,
                    occluded=view.occluded[row] if view.occluded else float("nan"),
                    range=float(np.median(np.linalg.norm(view.frame.points[truth], axis=1))),
                    precision=hit / max(len(kept), 1),
                    recall=hit / size,
                    iou=hit / (len(kept) + size - hit),
                    seam_iou=hit / (sure + size - hit),
                )
            )
    return scores


def point_figures(scores: Sequence[PointScore]) -> dict[str, Any]:
    """Means over some objects; None without any."""
    columns = {
        "mean_iou": [s.iou for s in scores],
        "share_above_half": [s.iou > 0.5 for s in scores],
        "precision": [s.precision for s in scores],
        "recall": [s.recall for s in scores],
        "seam_iou": [s.seam_iou for s in scores],
    }
    means = {name: float(np.mean(np.array(values))) if scores else None for name, values in columns.items()}
    return {"objects": len(scores), **means}


def lifted_by(lifter: Lifter) -> Cut:
    """What a lifter cuts out."""
    return lambda view: {
        found.detection: found.indices for found in lifter.lift(view.frame, [view.detections]).objects
    }


def frustum_of(view: LabeledView) -> dict[int, NDArray[np.int64]]:
    """All points in a box's frustum: recall 1 by definition."""
    seen = ProjectedPoints(view.frame.points, view.frame.views[0].camera)
    return {row: seen.indices[seen.in_box(box)] for row, box in enumerate(view.detections.boxes)}


def along_label(view: LabeledView) -> dict[int, NDArray[np.int64]]:
    """The label's box widened by 10 cm and without the ground: the best to expect without knowing the labels."""
    sight = view.frame.views[0]
    seen = ProjectedPoints(view.frame.points, sight.camera)
    ground = np.zeros(len(view.frame.points), dtype=bool)
    ground[seen.indices] = SeenScene(view.frame, sight, seen).height < _OFF_GROUND
    return {
        row: np.flatnonzero((truth | seam) & ~ground)
        for row, (truth, seam) in enumerate(zip(view.truths, view.seams, strict=True))
    }
