"""One upright box around the points of an object seen from one side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import OrientedBox

_MOST_POINTS = 600  # of the outline search; the extents use all points


def fit_upright_box(points: NDArray, trim: float = 0.002) -> OrientedBox:
    """Fit a yaw-only box, z up.

    The yaw is that at which the points lie closest to two neighbouring sides of their rectangle (an L: what a
    sensor sees of a box) while the rectangle is small. After Zhang et al., "Efficient L-shape fitting for
    vehicle detection using laser scanners" (IV 2017), with the area added for shapes that are no L.

    Args:
        points: (n, 3) metres, z-up, n >= 1.
        trim: share of points that each face may leave outside: strays do not stretch the box.

    Returns:
        The box; its length is the longer horizontal side, its yaw in [-π/2, π/2).
    """
    xyz = np.asarray(points, dtype=np.float64)
    middle = xyz.mean(axis=0)
    local = xyz - middle
    yaw = _best_yaw(local[:: max(1, len(local) // _MOST_POINTS), :2])
    c, s = np.cos(yaw), np.sin(yaw)
    along = local @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    low, high = np.quantile(along, [trim, 1 - trim], axis=0)
    size, center = high - low, (low + high) / 2
    center = np.array([c * center[0] - s * center[1], s * center[0] + c * center[1], center[2]])
    if size[1] > size[0]:
        size, yaw = size[[1, 0, 2]], yaw + np.pi / 2
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    return OrientedBox.from_yaw(middle + center, size, yaw)


def _best_yaw(xy: NDArray) -> float:
    coarse = np.deg2rad(np.arange(0.0, 90.0, 3.0))
    best = coarse[np.argmax(_merit(xy, coarse))]
    fine = best + np.deg2rad(np.arange(-3.0, 3.01, 0.5))
    return float(fine[np.argmax(_merit(xy, fine))])


def _merit(xy: NDArray, yaws: NDArray) -> NDArray:
    """(Y,) how well rectangles at these yaws explain the (n, 2) points."""
    directions = np.stack([np.cos(yaws), np.sin(yaws)])
    a = xy @ directions
    b = xy @ np.stack([-directions[1], directions[0]])
    sides = []
    for coordinate in (a, b):
        low, high = coordinate.min(axis=0), coordinate.max(axis=0)
        to_low, to_high = coordinate - low, high - coordinate
        # Of the two parallel sides the one nearer to the points is the one seen.
        seen = np.where(to_low.sum(axis=0) < to_high.sum(axis=0), to_low, to_high)
        sides.append((seen, high - low))
    (near_a, length_a), (near_b, length_b) = sides
    scale = max(0.03, 0.02 * float(np.ptp(xy, axis=0).max()))
    closeness = (1 / np.maximum(np.minimum(near_a, near_b), scale)).mean(axis=0) * scale
    area = (length_a + scale) * (length_b + scale)
    return np.log(closeness) - np.log(area)
