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
_LARGEST = np.array([20.0, 4.0, 5.0])  # m, an articulated bus: length, width, height
_SMALLEST_HEIGHT = 0.25
_MIN_POINTS = 8


def propose_lidar(points: NDArray, viewpoint: NDArray) -> list[NDArray[np.int64]]:
    """Indices of the points of each proposal; arguments as in :func:`propose_objects`."""
    height = height_above_ground(points)
    above = np.flatnonzero(height > _GROUND)
    if len(above) == 0:
        return []
    first, voxel = voxel_index(points[above], _VOXEL)
    sample = points[above[first]].astype(np.float64)
    gap = beam_gap(points, viewpoint)
    reach = np.linalg.norm(sample - viewpoint, axis=1) * gap
    # From just over the gap between beams to what bridges two missing ones.
    radii = [np.clip(1.1 * reach, *_FINEST_RADIUS) * 1.35**step for step in range(4)]
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
    return [np.sort(np.concatenate([part, _under(points, part, low)])) for part in parts]


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


def _under(points: NDArray, part: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.int64]:
    """The low points inside the cluster's footprint rectangle."""
    corner_low, corner_high = points[part, :2].min(axis=0), points[part, :2].max(axis=0)
    inside = ((points[low, :2] >= corner_low) & (points[low, :2] <= corner_high)).all(axis=1)
    return low[inside]


def _could_be_object(points: NDArray) -> bool:
    if np.ptp(points[:, 2]) < _SMALLEST_HEIGHT or np.ptp(points[:, 2]) > _LARGEST[2]:
        return False
    xy = points[:, :2] - points[:, :2].mean(axis=0)
    _, axes = np.linalg.eigh(xy.T @ xy)
    width, length = np.ptp(xy @ axes, axis=0)
    return bool(length <= _LARGEST[0] and width <= _LARGEST[1])
