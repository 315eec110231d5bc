"""Stray points far outside a scene: flipped bits, reflections, damaged records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST = 0.005  # share of the points: more are a part of the scene
_TIMES, _MARGIN = 3.0, 50.0  # of the reach of all other points; meters more


def far_strays(points: NDArray) -> NDArray[np.bool_]:
    """Mark points that lie much farther out than all others.

    A point is a stray if, along some axis, it is more than 50 m beyond three times the distance from the median within
    which 99.5 % of the points lie.

    Args:
        points: (N, 3) finite meters.

    Returns:
        (N,) True for strays; at most 0.5 % of the points.

    >>> far_strays(np.array([[x, 0.0, 0.0] for x in range(999)] + [[1e19, 0.0, 0.0]])).nonzero()[0].tolist()
    [999]
    """
    strays = np.zeros(len(points), dtype=bool)
    if len(points) == 0:
        return strays
    for column in np.ascontiguousarray(points.T, dtype=np.float64):
        # The rough bound spares exact quantiles of clouds without strays, which is nearly all of them.
        sample = column[:: max(1, len(column) // 4096)]
        middle = np.median(sample)
        farthest = max(column.max() - middle, middle - column.min())
        if farthest > _TIMES * float(np.quantile(np.abs(sample - middle), 0.9)) + _MARGIN:
            away = np.abs(column - middle)
            strays |= away > _TIMES * float(np.quantile(away, 1 - _MOST, method="lower")) + _MARGIN
    return strays


def stray_note(points: NDArray, strays: NDArray[np.bool_]) -> str:
    """One line about the strays of (N, 3) points: how many, and how far out."""
    count = int(strays.sum())
    far = float(np.abs(np.asarray(points)[strays].astype(np.float64)).max())
    distance = f"{far:,.0f} m" if far < 1e7 else f"{far:.3g} m"
    if count == 1:
        return f"1 stray point is left out, {distance} away"
    return f"{count:,} stray points are left out, up to {distance} away"
