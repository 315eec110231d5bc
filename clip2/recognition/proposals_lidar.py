"""Proposals in a LiDAR sweep: the ground away, then clusters whose radius grows with the gap between beams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.component_tree import stable_clusters
from clip2.recognition.voxels import voxel_index
from data_prep.geometry.ground import height_above_ground

_VOXEL = 0.08  # m: nothing that is searched here is parted by less
_GROUND = 0.2  # m above the ground: what is lower does not join objects
_FOOT = 0.08  # m: what is between this and _GROUND under an object is given back to it
_FINEST_RADIUS = (0.25, 0.9)  # m, near and far
_EVEN_RADIUS = 0.3  # m: the finest where no sensor's place is known and the cloud is taken to be evenly dense
_MOST_BEHIND = 0.05  # of a sweep's points may be behind another: they graze an edge
_LARGEST = np.array([20.0, 4.0, 5.0])  # m, an articulated bus: length, width, height
_SMALLEST_HEIGHT = 0.25
_MIN_POINTS = 8


def propose_lidar(points: NDArray, viewpoint: NDArray | None) -> list[NDArray[np.int64]]:
    """Indices of the points of each proposal; arguments as in :func:`propose_objects`."""
    height = height_above_ground(points)
    above = np.flatnonzero(height > _GROUND)
    if len(above) == 0:
        return []
    first, voxel = voxel_index(points[above], _VOXEL)
    sample = points[above[first]].astype(np.float64)
    finest: NDArray | float = _EVEN_RADIUS
    if viewpoint is not None:
        reach = np.linalg.norm(sample - viewpoint, axis=1) * beam_gap(points, viewpoint)
        finest = np.clip(1.1 * reach, *_FINEST_RADIUS)
    # From just over the gap between beams to what bridges two missing ones.
    radii = [finest * 1.35**step for step in range(4)]
    clusters = stable_clusters(
        sample, radii, _could_be_object, np.bincount(voxel, minlength=len(first)), _MIN_POINTS
    )
    low = np.flatnonzero((height > _FOOT) & (height <= _GROUND))
    owner = np.full(len(first), -1)
    for number, cluster in enumerate(clusters):
        owner[cluster] = number
    of_point = owner[voxel]
    order = np.argsort(of_point, kind="stable")
    parts = np.split(above[order], np.searchsorted(of_point[order], np.arange(len(clusters))))[1:]
    return _with_feet(points, parts, low)


def beam_gap(points: NDArray, viewpoint: NDArray) -> float:
    """Angle between neighbouring beams of a spinning LiDAR, radians, measured from the sweep itself.

    In narrow columns of azimuth the elevations step from beam to beam; the median step is the gap.
    """
    ray = points - viewpoint
    flat = np.hypot(ray[:, 0], ray[:, 1])
    elevation = np.arctan2(ray[:, 2], flat)
    column = np.floor(np.arctan2(ray[:, 1], ray[:, 0]) / np.deg2rad(0.2)).astype(np.int64)
    order = np.lexsort((elevation, column))
    step = np.diff(elevation[order])
    same_column = np.diff(column[order]) == 0
    # Neighbours on one beam differ by its jitter, holes span several beams: neither is the gap.
    step = step[same_column & (step > np.deg2rad(0.08)) & (step < np.deg2rad(4))]
    return float(np.median(step)) if len(step) else float(np.deg2rad(0.5))


def seen_from(points: NDArray, place: NDArray) -> bool:
    """Whether the points look like one sweep of a sensor at ``place``.

    Each ray of a sweep returns once. From elsewhere, and in a cloud of several sweeps, more points lie behind
    others in the same direction.

    Args:
        points: (N, 3) metres, z-up.
        place: (3,) in the same axes.
    """
    points = points[:: max(1, len(points) // 200_000)]
    behind = _share_behind(points, place)
    steps = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0]])
    return behind < _MOST_BEHIND and behind < min(_share_behind(points, place + step) for step in steps)


def _share_behind(points: NDArray, place: NDArray) -> float:
    """Share of points well behind another one in the same direction."""
    ray = points - place
    bearing = np.arctan2(ray[:, 1], ray[:, 0])
    elevation = np.arctan2(ray[:, 2], np.hypot(ray[:, 0], ray[:, 1]))
    cell = np.floor(np.column_stack([bearing, elevation]) / np.deg2rad(0.2)).astype(np.int64) @ [10_000, 1]
    distance = np.linalg.norm(ray, axis=1)
    order = np.lexsort((distance, cell))
    distance = distance[order]
    return float(((np.diff(cell[order]) == 0) & (np.diff(distance) > 0.1 * distance[1:])).mean())


def _with_feet(
    points: NDArray, parts: list[NDArray[np.int64]], low: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Give each part the low points inside its footprint rectangle; of two that overlap, the smaller has them."""
    corners = [(points[part, :2].min(axis=0), points[part, :2].max(axis=0)) for part in parts]
    owner = np.full(len(low), -1)
    for number in sorted(range(len(parts)), key=lambda i: -float(np.prod(corners[i][1] - corners[i][0]))):
        least, most = corners[number]
        owner[((points[low, :2] >= least) & (points[low, :2] <= most)).all(axis=1)] = number
    return [np.sort(np.concatenate([part, low[owner == number]])) for number, part in enumerate(parts)]


def _could_be_object(points: NDArray) -> bool:
    if np.ptp(points[:, 2]) < _SMALLEST_HEIGHT or np.ptp(points[:, 2]) > _LARGEST[2]:
        return False
    xy = points[:, :2] - points[:, :2].mean(axis=0)
    _, axes = np.linalg.eigh(xy.T @ xy)
    width, length = np.ptp(xy @ axes, axis=0)
    return bool(length <= _LARGEST[0] and width <= _LARGEST[1])
