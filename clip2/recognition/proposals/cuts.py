"""Cuts through clusters whose outline dips, as between the heads of people who touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SLICE = 0.15  # m along a cluster
_DIP = 0.25  # m below the tops on both sides
_APART = 1000.0  # m between clusters on one axis: more than any is high


def cut_at_valleys(xy: NDArray, height: NDArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide each cluster along its length where its top is lower than on both sides.

    Args:
        xy: (N, 2) meters.
        height: (N,) meters over the ground.
        labels: (N,) cluster of each point, 0 to K - 1.

    Returns:
        (N,) labels of the parts.

    >>> x = np.arange(12) * 0.15
    >>> top = np.array([1.3, 1.7, 1.7, 1.3, 1.3, 1.7, 1.7, 1.7, 1.3, 1.3, 1.7, 1.7])
    >>> cut_at_valleys(np.column_stack([x, 0 * x]), top, np.zeros(12, np.int64)).tolist()
    [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    """
    count = np.maximum(np.bincount(labels), 1)
    x, y = (column - (np.bincount(labels, column) / count)[labels] for column in xy.T)
    xx, xy_, yy = (np.bincount(labels, product) for product in (x * x, x * y, y * y))
    turn = 0.5 * np.arctan2(2 * xy_, xx - yy)
    along = np.floor((np.cos(turn)[labels] * x + np.sin(turn)[labels] * y) / _SLICE).astype(np.int64)
    key = labels * (1 << 20) + (along - along.min())
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    top, owner = np.maximum.reduceat(height[order], starts), labels[order[starts]]
    lift = owner * _APART
    left = np.maximum.accumulate(top + lift) - lift
    right = np.maximum.accumulate((top - lift)[::-1])[::-1] + lift
    dip = np.minimum(left, right) - top
    valley = dip > _DIP
    new_owner = np.diff(owner, prepend=-1) != 0
    begins = np.flatnonzero(valley & ~(np.append(False, valley[:-1]) & ~new_owner))
    ends = np.flatnonzero(valley & ~(np.append(valley[1:], False) & ~np.append(new_owner[1:], True))) + 1
    cut = new_owner.copy()
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        cut[begin + dip[begin:end].argmax()] = True
    part = np.empty(len(labels), np.int64)
    part[order] = np.repeat(np.cumsum(cut) - 1, np.diff(starts, append=len(order)))
    return part
