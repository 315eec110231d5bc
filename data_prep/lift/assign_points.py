"""Point assignment among the competing boxes of a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import box_iou_2d

_HEART = 0.5  # share of an object's claims; a box behind it cannot take more than the rest
_DOUBT = 0.85  # a box less certain than this share of another's score does not hold points against it,
_SAME = 0.1  # if their IoU in the image is at least this, so that they may show one object
_PLAUSIBLE = 0.01  # of the support of a box's best cluster: less support for a remaining cluster is none


class Claimant(Protocol):
    """One box and the clusters it can choose from."""

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """The cluster that the free points support most.

        Returns:
            (m,) positions, held ones included; (m,) claims > 0; the support of the cluster.
        """
        ...


def assign_points(
    claimants: Sequence[Claimant],
    ranges: NDArray[np.float64],
    boxes: NDArray[np.floating],
    scores: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Divide the points of a view among its boxes.

    Boxes are served from near to far. A box further away may take points of a nearer object that are more central
    to it, as in a row of touching objects, but not the nearer object's heart. A box much less certain than another that
    may show the same object holds nothing against it. A box whose cluster is taken does not fall back on a cluster
    with hardly any support.

    Args:
        claimants: the boxes.
        ranges: (V,) meters of the view's points from the camera.
        boxes: (M, 4) xyxy pixels.
        scores: (M,) the boxes' scores.

    Returns:
        (V,) which claimant each point goes to, -1 for none.
    """
    everything = np.ones(len(ranges), dtype=bool)
    first = [claimant.best(everything) for claimant in claimants]
    order = np.argsort(
        [np.median(ranges[chosen]) if len(chosen) else np.inf for chosen, _, _ in first], kind="stable"
    )
    same = box_iou_2d(boxes, boxes) >= _SAME
    owner = np.full(len(ranges), -1)
    claim = np.zeros(len(ranges))
    for i in order:
        doubtful = same[i] & (scores < _DOUBT * scores[i])
        free = np.append(doubtful, True)[owner]  # the last entry is owner -1: nobody
        chosen, strength, support = claimants[i].best(free)
        if support < _PLAUSIBLE * first[i][2]:
            chosen, strength, _ = first[i]
        wins = free[chosen] | (strength > claim[chosen])
        for rival in np.unique(owner[chosen[wins & ~free[chosen]]]):
            held = owner[chosen] == rival
            heart = claim[chosen[wins & held]].sum() > _HEART * claim[owner == rival].sum()
            if heart or (same[i, rival] and scores[i] < _DOUBT * scores[rival]):
                wins &= ~held
        owner[chosen[wins]], claim[chosen[wins]] = i, strength[wins]
    return owner
