"""Local origin of clouds far from zero: what to subtract before coordinates become float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FAR = 4096.0  # meters; beyond this, float32 is coarser than a quarter of a millimeter


def local_origin(points: NDArray) -> NDArray[np.float64]:
    """Whole-meter offset that brings a survey-size cloud near zero.

    Args:
        points: (N, 3) meters; rows that are not finite are ignored.

    Returns:
        (3,) float64: the median point rounded down to meters where it is beyond ``FAR``, else zeros.

    >>> local_origin(np.array([[500_000.7, 3.0, 2.0]])).tolist(), local_origin(np.ones((1, 3))).tolist()
    ([500000.0, 3.0, 2.0], [0.0, 0.0, 0.0])
    """
    finite = points[np.isfinite(points).all(axis=1)]
    if len(finite) == 0:
        return np.zeros(3)
    center = np.floor(np.median(np.asarray(finite, np.float64), axis=0))
    return center if np.abs(center).max() > FAR else np.zeros(3)
