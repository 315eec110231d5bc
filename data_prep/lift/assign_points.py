"""Who gets the points that several boxes of one view want."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import box_iou_2d

_HEART = 0.5  # share of an object's claims that a box behind it cannot take away
_DOUBT = 0.85  # a box this much less certain than another does not hold points against it,
_SAME = 0.1  # if they overlap so much, as IoU in the image, that they may be two boxes of one thing
_PLAUSIBLE = 0.01  # of a box's best cluster: what speaks less for a cluster that is left says nothing


class Claimant(Protocol):
    """One box and the clusters it can choose from."""

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """The cluster that the free points speak for.

        Returns:
            (m,) positions, held ones included; (m,) claims > 0; and how much speaks for the cluster.
        """
        ...


def assign_points(
    claimants: Sequence[Claimant],
    ranges: NDArray[np.float64],
    boxes: NDArray[np.floating],
    scores: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Divide the points of a view among its boxes.

    Boxes are served from near to far, so that what an object in front holds is not offered to those behind it. A box
    further away may take points of a nearer object that are more central to it, as along a row of things that
    touch, but not the nearer object's heart. A box much less certain than another that may show the same thing holds
    nothing against it. A box whose cluster is held does not turn to what is left when hardly anything speaks for that.

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
        chosen, strength, says = claimants[i].best(free)
        if says < _PLAUSIBLE * first[i][2]:
            chosen, strength, _ = first[i]
        wins = free[chosen] | (strength > claim[chosen])
        for rival in np.unique(owner[chosen[wins & ~free[chosen]]]):
            held = owner[chosen] == rival
            heart = claim[chosen[wins & held]].sum() > _HEART * claim[owner == rival].sum()
            if heart or (same[i, rival] and scores[i] < _DOUBT * scores[rival]):
                wins &= ~held
        owner[chosen[wins]], claim[chosen[wins]] = i, strength[wins]
    return owner
