"""Upright box fitting to partially seen objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry.boxes import OrientedBox

_MOST_POINTS = 600  # for the yaw search; extents use all points
_AT_ONCE = 1 << 15  # rotated points per step, so that they stay in cache
_COARSE = np.deg2rad(np.arange(0.0, 90.0, 3.0))
_FINE = np.deg2rad(np.arange(-3.0, 3.01, 0.5))


def fit_upright_box(points: NDArray, trim: float = 0.002) -> OrientedBox:
    """Fit a box that is turned about z only.

    A sensor sees an L of a box: the chosen yaw brings the points closest to two neighboring sides of their rectangle
    while the rectangle is small. After Zhang et al., "Efficient L-shape fitting for vehicle detection using laser
    scanners" (IV 2017), with the area added for shapes that are not an L.

    Args:
        points: (n, 3) meters, z-up, n >= 1.
        trim: share of points that each face may leave outside, so that strays do not stretch the box.

    Returns:
        The box; its length is the longer horizontal side, its yaw in [-π/2, π/2).

    Raises:
        InputError: points that are not finite (n, 3), or no points.

    >>> fit_upright_box(np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 3]])).size.round(1).tolist()
    [2.0, 1.0, 3.0]
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not np.isfinite(points).all():
        raise InputError(f"must be finite with shape (n, 3), n >= 1; got {points.shape}", field="points")
    return fit_upright_boxes([points], trim)[0]


def fit_upright_boxes(clouds: Sequence[NDArray], trim: float = 0.002) -> list[OrientedBox]:
    """Fit the box of :func:`fit_upright_box` to each cloud; much faster for many at once than one by one.

    Args:
        clouds: G arrays (n, 3) of finite meters, n >= 1.
        trim: share of a cloud's points that each face may leave outside.
    """
    if not clouds:
        return []
    # All clouds in one table with a row per axis, so that numpy works along thousands of numbers.
    columns = np.ascontiguousarray(np.concatenate(clouds).T, dtype=np.float64)
    sizes = np.array([len(cloud) for cloud in clouds])
    starts = np.cumsum(sizes) - sizes
    # Relative to a point of each cloud first: sums of survey coordinates would lose digits.
    middle = columns[:, starts]
    local = columns - np.repeat(middle, sizes, axis=1)
    mean = np.add.reduceat(local, starts, axis=1) / sizes
    local -= np.repeat(mean, sizes, axis=1)
    middle += mean

    step = np.maximum(1, sizes // _MOST_POINTS)
    thin = (np.arange(local.shape[1]) - np.repeat(starts, sizes)) % np.repeat(step, sizes) == 0
    yaw = _best_yaws(local[:2, thin], -(-sizes // step))
    c, s = np.cos(yaw), np.sin(yaw)
    local[:2] = _turned(local[:2], yaw, sizes)
    low, high = _quantiles(local, starts, sizes, (trim, 1 - trim))
    size, (x, y, z) = high - low, (low + high) / 2
    center = middle + [c * x - s * y, s * x + c * y, z]
    across = size[1] > size[0]
    size[:2, across] = size[1::-1, across]
    yaw = (yaw + across * np.pi / 2 + np.pi / 2) % np.pi - np.pi / 2
    return [OrientedBox.from_yaw(*box) for box in zip(center.T, size.T, yaw, strict=True)]


def _best_yaws(xy: NDArray, sizes: NDArray[np.int64]) -> NDArray:
    """(G,) yaw in radians of each cloud; the clouds lie one after the other in (2, P)."""
    starts = np.cumsum(sizes) - sizes
    extent = np.maximum.reduceat(xy, starts, axis=1) - np.minimum.reduceat(xy, starts, axis=1)
    scale = np.maximum(0.03, 0.02 * extent.max(axis=0))
    xy = xy - np.repeat(np.add.reduceat(xy, starts, axis=1) / sizes, sizes, axis=1)
    best = _COARSE[np.argmax(_merits(xy, sizes, scale, _COARSE), axis=0)]
    fine: NDArray = _FINE[np.argmax(_merits(_turned(xy, best, sizes), sizes, scale, _FINE), axis=0)]
    return best + fine


def _merits(xy: NDArray, sizes: NDArray[np.int64], scale: NDArray, yaws: NDArray) -> NDArray:
    """(Y, G) fit of a rectangle at each yaw to each of the clouds in (2, P), whose means are 0."""
    starts = np.cumsum(sizes) - sizes
    near_enough = np.repeat(scale, sizes)
    merits = []
    for some in np.array_split(yaws, min(len(yaws), -(-len(yaws) * xy.shape[1] // _AT_ONCE))):
        along = np.concatenate([_directions(some), _directions(some + np.pi / 2)]) @ xy
        low, high = np.minimum.reduceat(along, starts, axis=1), np.maximum.reduceat(along, starts, axis=1)
        # Of two parallel sides, the sensor saw the one nearer to the mean of the points.
        along -= np.repeat(np.where(low + high > 0, low, high), sizes, axis=1)
        np.abs(along, out=along)
        first, second = np.split(along, 2)
        distance = np.maximum(np.minimum(first, second, out=first), near_enough, out=first)
        closeness = np.add.reduceat(np.reciprocal(distance, out=first), starts, axis=1) / sizes
        length, width = np.split(high - low + scale, 2)
        merits.append(np.log(closeness) - np.log(length * width))
    return np.concatenate(merits)


def _directions(yaws: NDArray) -> NDArray:
    return np.column_stack([np.cos(yaws), np.sin(yaws)])


def _turned(xy: NDArray, yaws: NDArray, sizes: NDArray[np.int64]) -> NDArray:
    """(2, P) coordinates of the clouds along axes at each cloud's yaw."""
    c, s = np.repeat(np.cos(yaws), sizes), np.repeat(np.sin(yaws), sizes)
    return np.stack([c * xy[0] + s * xy[1], c * xy[1] - s * xy[0]])


def _quantiles(
    columns: NDArray, starts: NDArray[np.int64], sizes: NDArray[np.int64], shares: Sequence[float]
) -> list[NDArray]:
    """Quantiles of each cloud's part of each row, one array per share, interpolated like numpy. Sorts the parts."""
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        columns[:, start : start + size].sort(axis=1)
    found = []
    for share in shares:
        place = share * (sizes - 1)
        below = place.astype(np.int64)
        lower = columns[:, starts + below]
        upper = columns[:, starts + np.minimum(below + 1, sizes - 1)]
        found.append(lower + (upper - lower) * (place - below))
    return found
