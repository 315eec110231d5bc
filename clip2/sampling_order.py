"""Seedless uniform sampling order of an object's points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# One millimeter: far above what float32 rounds away at 100 m (8 µm), far below what tells shapes apart. Objects smaller
# than a quarter of a meter get finer cells, so that no cell ever holds a noticeable share of the points.
_CELL, _SIZE_OF_FULL_CELLS = 0.001, 0.27
# Sensors and CAD programs round to tenths of millimeters; this share of a cell keeps such points off the cells' borders,
# where a rounding error would move them to another cell.
_OFF_THE_BORDER = (math.sqrt(5) - 1) / 2


def sampling_order(
    local: NDArray[np.float32], colors: NDArray[np.uint8] | None, count: int
) -> NDArray[np.int64]:
    """Indices of the ``count`` points (or all, if fewer) with the smallest hash, in order of their hash.

    The hash is of the point's cell, so the outcome depends neither on the points' order nor, except for the
    rare point on a border, on how their coordinates were rounded. Within a cell, coordinates and then color decide.
    To the eye the order is random.

    Args:
        local: (n, 3) float32 from :func:`clip2.preprocessing.local_coordinates`: relative to the corner of their box.
        colors: (n, 3) uint8 or None.
    """
    return sampling_orders(local, [len(local)], [colors], count)[0]


def sampling_orders(
    local: NDArray[np.float32],
    sizes: Sequence[int],
    colors: Sequence[NDArray[np.uint8] | None],
    count: int,
) -> list[NDArray[np.int64]]:
    """The order of :func:`sampling_order` within each of several clouds.

    Args:
        local: (P, 3) float32, the clouds one after the other, each relative to the corner of its own box.
        sizes: G numbers of points, none 0.
        colors: G arrays (n, 3) uint8 or None.
    """
    ends = np.cumsum(sizes)
    starts = ends - np.asarray(sizes)
    largest = np.maximum.reduceat(local, starts).max(axis=1)
    finer = [min(0, math.ceil(math.log2(float(size) / _SIZE_OF_FULL_CELLS))) for size in largest]
    # One hash of all points: small clouds cost numpy more in calls than in numbers.
    side = np.repeat(np.array([_CELL * 2.0**halvings for halvings in finer], dtype=np.float32), sizes)
    key = np.zeros(len(local), dtype=np.uint64)
    for axis in range(3):
        key += np.floor(local[:, axis] / side + _OFF_THE_BORDER).astype(np.int64).astype(np.uint64)
        _mix(key)
    return [
        _smallest(key[start:end], local[start:end], color, count)
        for start, end, color in zip(starts, ends, colors, strict=True)
    ]


def _smallest(
    key: NDArray[np.uint64], local: NDArray[np.float32], colors: NDArray[np.uint8] | None, count: int
) -> NDArray[np.int64]:
    chosen = np.arange(len(key))
    if count < len(key):
        # All points that share the last hash, so that the input order does not decide between them.
        chosen = np.flatnonzero(key <= np.partition(key, count - 1)[count - 1])
        key = key[chosen]
    order = np.argsort(key)
    ordered = key[order]
    if (ordered[1:] == ordered[:-1]).any():
        ties = [local[chosen, 2], local[chosen, 1], local[chosen, 0]]
        if colors is not None:
            ties = [*(colors[chosen, channel] for channel in (2, 1, 0)), *ties]
        order = np.lexsort((*ties, key))
    return chosen[order[:count]]


def _mix(value: NDArray[np.uint64]) -> None:
    """One round of splitmix64 in place (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    value += np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
