"""Object proposals indoors: removal of floor, ceiling and walls, then grouping of surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.recognition.proposals.groups import group_indices, owners
from clip2.recognition.proposals.normals import orient_normals
from clip2.recognition.proposals.proposals import Proposals
from clip2.recognition.proposals.region_tree import convex_regions
from data_prep.geometry.planes import RoomPlanes, estimate_normals, main_direction, room_planes
from data_prep.geometry.voxels import voxel_index

_FINEST = 0.025  # m: finer voxels add nothing to the outline of an object
_MOST_VOXELS = 100_000
_MIN_SURFACE = 0.015  # m²: about a mug
_FOOT = 0.04  # m: reach of an object to its foot
_LARGEST = 4.0  # m, a corner sofa


def propose_room(points: NDArray, viewpoint: NDArray | None, colors: NDArray[np.uint8] | None) -> Proposals:
    """Proposals in a room; arguments as in :func:`propose_objects`."""
    spacing, first, voxel = _voxels(points)
    sample = points[first].astype(np.float64)
    if len(sample) < 4:
        return Proposals.join([], [])
    normals, _ = estimate_normals(sample)
    # Turned to the walls, a grid cuts surfaces along their edges, and the result does not depend on the world's yaw.
    yaw = main_direction(normals)
    c, s = np.cos(yaw), np.sin(yaw)
    level = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    sample, normals = sample @ level, normals @ level
    room = room_planes(sample, normals, spacing)
    pairs = cKDTree(sample).query_pairs(1.9 * spacing, output_type="ndarray")
    normals = orient_normals(sample, normals, pairs, ~room.ceiling)
    rest = np.flatnonzero(~room.any)
    regions = convex_regions(
        sample[rest], normals[rest], spacing, _could_be_object, max(8, round(_MIN_SURFACE / spacing**2))
    )
    owner = owners([rest[region] for region in regions], len(first))
    _give_back_feet(sample, normals, room, owner)
    found = group_indices(owner[voxel], len(regions))
    return Proposals.join(found, np.full(len(found), 0.5))


def _give_back_feet(sample: NDArray, normals: NDArray, room: RoomPlanes, owner: NDArray[np.int64]) -> None:
    """Extend objects down to the floor: their lowest points were taken for floor. Changes ``owner``."""
    owned = np.flatnonzero(owner >= 0)
    if room.floor_height is None or len(owned) == 0:
        return
    rises = room.floor & (sample[:, 2] > room.floor_height - _FOOT) & (np.abs(normals[:, 2]) < 0.9)
    feet = np.flatnonzero(rises)
    if len(feet) == 0:
        return
    # An object above counts more than one beside: heights are scaled to a quarter.
    squash = np.array([1, 1, 0.25])
    distance, nearest = cKDTree(sample[owned] * squash).query(sample[feet] * squash)
    near = distance < _FOOT
    owner[feet[near]] = owner[owned[nearest[near]]]


def _voxels(points: NDArray) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    size = _FINEST
    while True:
        first, voxel = voxel_index(points, size)
        # With fewer than two points per voxel, neighbors are missing and surfaces fall apart.
        if len(first) <= _MOST_VOXELS and (len(points) >= 2 * len(first) or size >= 0.05):
            return size, first, voxel
        size *= 1.25


def _could_be_object(low: NDArray, high: NDArray) -> bool:
    return bool((high - low).max() <= _LARGEST)
