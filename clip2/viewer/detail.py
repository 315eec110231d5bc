"""Level of detail: a cloud in layers, each of which covers all of the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The first layer is a picture at once; a later one is a message that a browser takes in without a stutter.
_FIRST, _LARGEST = 60_000, 250_000


def layers(count: int, most: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Ascending indices of the points of each layer; layers share no point.

    Every layer is a random sample, so that any number of them shows the whole scene, coarser or finer.

    Args:
        count: P, points of the cloud.
        most: points in all layers together.
        seed: of the sample.

    >>> [len(layer) for layer in layers(500_000, 400_000)]
    [60000, 120000, 220000]
    """
    order = np.random.default_rng(seed).permutation(count)[:most]
    result, start, size = [], 0, _FIRST
    while start < len(order):
        result.append(np.sort(order[start : start + size]))
        start += size
        size = min(2 * size, _LARGEST)
    return result


def point_size(points: NDArray) -> float:
    """Side in meters of drawn points that close the surfaces: the distance to the fourth neighbor.

    The median favors what is near the sensor, where most of the points are.
    """
    from scipy.spatial import cKDTree

    if len(points) < 5:
        return 0.02
    some = points[:: max(1, len(points) // 500)]
    return float(np.clip(np.median(cKDTree(points).query(some, k=5)[0][:, 4]), 1e-3, 0.3))
