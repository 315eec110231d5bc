"""Object proposals in a LiDAR sweep: ground removal, then clusters whose radius grows with the gap between beams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.component_tree import stable_clusters
from clip2.recognition.proposals.groups import group_indices, owners
from clip2.recognition.proposals.proposals import Proposals
from data_prep.geometry.ground import height_above_ground
from data_prep.geometry.voxels import voxel_index

_VOXEL = 0.08  # m: objects outdoors are further apart than this
_GROUND = 0.2  # m above the ground: lower points do not join objects
_FOOT = 0.08  # m: points from here to _GROUND under an object are given back to it
_FINEST_RADIUS = (0.25, 0.9)  # m, near and far
_EVEN_RADIUS = (
    0.3  # m: the finest radius if the sensor's position is unknown; the cloud is assumed evenly dense
)
_MOST_BEHIND = 0.05  # share of a sweep's points that may lie behind another one: they graze an edge
_LARGEST = (20.0, 4.0, 5.0)  # m, an articulated bus: length, width, height
_SMALLEST_HEIGHT = 0.25
_MIN_POINTS = 8


def propose_lidar(points: NDArray, viewpoint: NDArray | None) -> Proposals:
    """Proposals in a sweep; arguments as in :func:`propose_objects`."""
    height = height_above_ground(points)
    above = np.flatnonzero(height > _GROUND)
    if len(above) == 0:
        return Proposals.join([], [])
    first, voxel = voxel_index(points.take(above, axis=0), _VOXEL)
    sample = points.take(above[first], axis=0).astype(np.float64)
    finest: NDArray | float = _EVEN_RADIUS
    if viewpoint is not None:
        reach = np.linalg.norm(sample - viewpoint, axis=1) * beam_gap(points, viewpoint)
        finest = np.clip(1.1 * reach, *_FINEST_RADIUS)
    # From just over the gap between beams to wide enough to bridge two missing ones.
    radii = [finest * 1.35**step for step in range(4)]
    clusters = stable_clusters(
        sample, radii, _could_be_object, np.bincount(voxel, minlength=len(first)), _MIN_POINTS
    )
    owner = owners(clusters, len(first))
    parts = [above[group] for group in group_indices(owner[voxel], len(clusters))]
    found = members_with_feet(points, parts, np.flatnonzero((height > _FOOT) & (height <= _GROUND)))
    return Proposals.join(found, np.full(len(found), 0.5))


def beam_gap(points: NDArray, viewpoint: NDArray) -> float:
    """Angle between neighboring beams of a spinning LiDAR in radians, measured from the sweep.

    Within narrow columns of azimuth, elevations step from beam to beam. The median step is the gap.

    Args:
        points: (N, 3) meters.
        viewpoint: (3,) position of the sensor in the same axes.
    """
    x, y, z = (points[:, axis] - viewpoint[axis] for axis in range(3))
    elevation = np.arctan2(z, np.hypot(x, y))
    column = np.floor(np.arctan2(y, x) / np.deg2rad(0.2))
    # Columns are put 4 radians apart on one axis, so that one sort is enough: a step from one column to the next is too
    # large to be a gap, as elevations end at a right angle.
    step = np.diff(np.sort(4 * column + elevation))
    # Neither the jitter within one beam nor a hole over several beams is the gap.
    step = step[(step > np.deg2rad(0.08)) & (step < np.deg2rad(4))]
    return float(np.median(step)) if len(step) else float(np.deg2rad(0.5))


def seen_from(points: NDArray, place: NDArray) -> bool:
    """Whether the points look like one sweep of a sensor at ``place``.

    Each ray of a sweep returns once. Seen from another place, or in a cloud of several sweeps, more points lie behind
    others in the same direction.

    Args:
        points: (N, 3) meters, z-up.
        place: (3,) in the same axes.
    """
    points = points[:: max(1, len(points) // 200_000)]
    behind = _share_behind(points, place)
    steps = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0]])
    return behind < _MOST_BEHIND and all(behind < _share_behind(points, place + step) for step in steps)


def _share_behind(points: NDArray, place: NDArray) -> float:
    """Share of points well behind another one in the same direction."""
    x, y, z = (points[:, axis] - place[axis] for axis in range(3))
    flat = np.hypot(x, y)
    column, row = (
        np.floor(angle / np.deg2rad(0.2)).astype(np.int64)
        for angle in (np.arctan2(y, x), np.arctan2(z, flat))
    )
    # The bits of positive floats are ordered like their values, so cell and distance fit into one sortable number.
    distance = np.minimum(np.hypot(flat, z), np.finfo(np.float32).max).astype(np.float32).view(np.uint32)
    ordered = np.sort((10_000 * column + row) << 32 | distance)
    cell, distance = ordered >> 32, ordered.astype(np.uint32).view(np.float32)
    return float(((np.diff(cell) == 0) & (np.diff(distance) > 0.1 * distance[1:])).mean())


def members_with_feet(
    points: NDArray, parts: list[NDArray[np.int64]], low: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Give each part the low points inside its footprint rectangle; of overlapping rectangles the smaller gets them.

    Args:
        points: (N, 3) meters.
        parts: ascending indices into ``points``, none empty, without overlap.
        low: indices of the low points, which belong to no part yet.

    Returns:
        The parts with their new points, ascending.
    """
    if not parts:
        return []
    owned = points.take(np.concatenate(parts), axis=0)[:, :2]
    starts = np.cumsum([0, *map(len, parts[:-1])])
    least, most = np.minimum.reduceat(owned, starts), np.maximum.reduceat(owned, starts)
    # Sorted by x, each rectangle checks only the points within its own range.
    low = low[np.argsort(points[low, 0])]
    x, y = np.ascontiguousarray(points[low, :2].T)
    begins, ends = np.searchsorted(x, least[:, 0]), np.searchsorted(x, most[:, 0], side="right")
    owner = owners(parts, len(points))
    for number in np.argsort(-(most - least).prod(axis=1), kind="stable"):
        stretch = slice(begins[number], ends[number])
        inside = (y[stretch] >= least[number, 1]) & (y[stretch] <= most[number, 1])
        owner[low[stretch][inside]] = number
    return group_indices(owner, len(parts))


def _could_be_object(points: NDArray, lengths: Sequence[float]) -> bool:
    x, y, z = lengths
    if not _SMALLEST_HEIGHT <= z <= _LARGEST[2]:
        return False
    if math.hypot(x, y) <= _LARGEST[1]:  # small in every direction, as most objects are
        return True
    xy = points[:, :2] - points[:, :2].mean(axis=0)
    _, axes = np.linalg.eigh(xy.T @ xy)
    width, length = np.ptp(xy @ axes, axis=0)
    return bool(length <= _LARGEST[0] and width <= _LARGEST[1])
