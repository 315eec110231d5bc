"""Class-agnostic proposals: recall, precision, and calibration of objectness.

An object is found when a proposal and the object's points share at least half of their union. Where labeled boxes also hold
floor and neighbors (ScanNet, SUN RGB-D), *boxes* are compared instead: the label's, and the tightest one around the
proposal along the label's own axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.open_set import Reliability, reliability
from data_prep.geometry import OrientedBox

MOST = 60  # proposals of highest objectness that "recall of 60" takes
FOUND = 0.5  # IoU


@dataclass(frozen=True, eq=False)
class ProposalOverlaps:
    """Proposals of one cloud against its M labeled objects.

    Attributes:
        overlap: (P, M) IoU, the highest objectness first.
        objectness: (P,) 0..1.
        labels: of the objects.
        complete: whether everything that is an object is labeled, so that precision and calibration mean something.
    """

    overlap: NDArray[np.float64]
    objectness: NDArray[np.floating]
    labels: tuple[str, ...]
    complete: bool


def mask_overlaps(
    proposals: Sequence[NDArray[np.int64]],
    masks: Sequence[NDArray[np.bool_]],
    visible: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """(P, M) IoU of proposals with the points of objects.

    Args:
        proposals: P arrays of point indices.
        masks: M arrays (N,) of the objects' points.
        visible: (N,) points where somebody labeled; those of a proposal elsewhere do not count. None: all.

    >>> mask_overlaps([np.array([0, 1, 2])], [np.array([False, True, True, True])]).tolist()
    [[0.5]]
    """
    size = np.array([len(p) if visible is None else visible[p].sum() for p in proposals])
    result = np.zeros((len(proposals), len(masks)))
    for column, mask in enumerate(masks):
        shared = np.array([mask[index].sum() for index in proposals])
        result[:, column] = shared / np.maximum(mask.sum() + size - shared, 1)
    return result


def box_overlaps(
    proposals: Sequence[NDArray[np.int64]], points: NDArray, boxes: Sequence[OrientedBox]
) -> NDArray[np.float64]:
    """(P, M) IoU of labeled boxes and the tightest box around a proposal's points along each label's own axes."""
    pairs = [[_box_iou(box, points[index]) for box in boxes] for index in proposals]
    return np.array(pairs).reshape(len(proposals), len(boxes))


def proposal_figures(scans: Sequence[ProposalOverlaps]) -> dict[str, Any]:
    """Recall and precision over some clouds; only counts where nothing is labeled."""
    overlaps = [scan.overlap for scan in scans]
    result: dict[str, Any] = {
        "proposals_per_scan": round(float(np.mean([len(o) for o in overlaps])), 1),
        "objects": sum(len(scan.labels) for scan in scans),
    }
    if result["objects"] == 0:
        return result
    best = best_overlaps(scans)
    first = np.concatenate([o[:MOST].max(axis=0, initial=0) for o in overlaps])
    result["recall_25"] = round(float((best >= 0.25).mean()), 3)
    result["recall_50"] = round(float((best >= FOUND).mean()), 3)
    result[f"recall_50_of_{MOST}"] = round(float((first >= FOUND).mean()), 3)
    result["mean_iou"] = round(float(best.mean()), 3)
    if all(scan.complete for scan in scans):
        hits = sum(int((o.max(axis=1, initial=0) >= FOUND).sum()) for o in overlaps)
        result["precision_50"] = round(hits / max(1, sum(len(o) for o in overlaps)), 3)
    return result


def best_overlaps(scans: Sequence[ProposalOverlaps]) -> NDArray[np.float64]:
    """IoU of every labeled object of all clouds with its best proposal."""
    return np.concatenate([scan.overlap.max(axis=0, initial=0) for scan in scans])


def objectness_calibration(scans: Sequence[ProposalOverlaps]) -> Reliability | None:
    """Objectness against the share of proposals that are one whole object; None without any proposal."""
    hit = [scan.overlap.max(axis=1, initial=0) >= FOUND for scan in scans]
    scores = np.concatenate([scan.objectness for scan in scans])
    return reliability(scores, np.concatenate(hit), bins=10) if len(scores) else None


def recall_by(
    values: Sequence[str], overlaps: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    """Value, such as a label → number of objects and recall at 0.5, the most frequent first.

    Args:
        values: one per object.
        overlaps: name of a figure → best IoU of each object.
    """
    given = np.array(values)
    counted = zip(*np.unique(given, return_counts=True), strict=True) if len(given) else ()
    return {
        str(value): {
            "objects": int(count),
            **{
                name: round(float((best[given == value] >= FOUND).mean()), 3)
                for name, best in overlaps.items()
            },
        }
        for value, count in sorted(counted, key=lambda item: -item[1])
    }


def _box_iou(box: OrientedBox, points: NDArray) -> float:
    local = (points - box.center) @ box.rotation
    low, high = local.min(axis=0), local.max(axis=0)
    shared = np.prod(np.clip(np.minimum(high, box.size / 2) - np.maximum(low, -box.size / 2), 0, None))
    return float(shared / (np.prod(high - low) + np.prod(box.size) - shared))
