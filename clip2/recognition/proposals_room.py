"""Proposals indoors: floor, ceiling and walls away, then what stands apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.component_tree import stable_clusters
from clip2.recognition.voxels import voxel_index
from data_prep.geometry.planes import estimate_normals, room_planes

_FINEST = 0.025  # m: a finer voxel shows nothing that an object's outline needs
_MOST_VOXELS = 150_000
_MIN_SURFACE = 0.015  # m²: about a mug
_LARGEST = 4.0  # m, a corner sofa


def propose_room(points: NDArray) -> list[NDArray[np.int64]]:
    """Indices of the points of each proposal; arguments as in :func:`propose_objects`."""
    voxel_size, first, voxel = _voxels(points)
    sample = points[first].astype(np.float64)
    normals, _ = estimate_normals(sample)
    rest = np.flatnonzero(~room_planes(sample, normals, voxel_size).any)
    radii = [voxel_size * scale for scale in (1.5, 2.0, 2.7, 3.6, 4.8)]
    clusters = stable_clusters(
        sample[rest], radii, _could_be_object, min_weight=max(8, round(_MIN_SURFACE / voxel_size**2))
    )
    owner = np.full(len(first), -1)
    for number, cluster in enumerate(clusters):
        owner[rest[cluster]] = number
    of_point = owner[voxel]
    order = np.argsort(of_point, kind="stable")
    cuts = np.searchsorted(of_point[order], np.arange(len(clusters)))
    return [np.sort(part) for part in np.split(order, cuts)[1:]]


def _voxels(points: NDArray) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    size = _FINEST
    while True:
        first, voxel = voxel_index(points, size)
        # Emptier than three points a voxel, neighbours go missing and surfaces fall apart.
        if len(first) <= _MOST_VOXELS and (len(points) >= 2.0 * len(first) or size >= 0.05):
            return size, first, voxel
        size *= 1.25


def _could_be_object(points: NDArray) -> bool:
    return bool(np.ptp(points, axis=0).max() <= _LARGEST)
