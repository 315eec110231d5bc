"""Voxel numbering: the cell of a regular grid that each point lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

import data_prep.native as native
from data_prep.errors import InputError

_BITS = 21  # per axis: three of them fit into an int64
_BLOCK = 1 << 24  # points numbered at once while thinning
_GROWTH = 1.25  # of the voxels' side, from each thinning to the next


def voxel_index(points: NDArray, size: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the occupied voxels of side ``size``; the grid begins at the points' lowest corner.

    Args:
        points: (N, 3) meters.
        size: meters.

    Raises:
        InputError: a size that is not above 0, or so small that the voxels cannot be numbered.

    Returns:
        first (M,): the first point of each voxel, ascending; voxel (N,): which of the M each point is in.

    >>> first, voxel = voxel_index(np.array([[0, 0, 0], [5, 0, 0], [0.1, 0, 0]]), 1.0)
    >>> first.tolist(), voxel.tolist()
    ([0, 1], [0, 1, 0])
    """
    columns = np.ascontiguousarray(points.T)  # numpy is slow along an axis of three
    return number_keys(number_cells(voxel_cells(columns - columns.min(axis=1, keepdims=True), size)))


def number_keys(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number distinct keys in the order in which they first occur.

    Args:
        keys: (N,).

    Returns:
        first (M,): where each of the M distinct keys first occurs, ascending; number (N,): which of the M each key is.

    >>> [part.tolist() for part in number_keys(np.array([7, 3, 7, 5]))]
    [[0, 1, 3], [0, 1, 0, 2]]
    """
    if native.problem() is None:
        keys = np.ascontiguousarray(keys, np.int64)
        number, first, distinct = (
            np.empty(len(keys), np.int64),
            np.empty(len(keys), np.int64),
            np.zeros(1, int),
        )
        native.call("number_keys", keys, len(keys), number, first, distinct)
        return first[: distinct[0]].copy(), number
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[number.reshape(-1)]


def thin(points: NDArray, most: int, size: float = 0.01) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep one point per voxel, with voxels just large enough that at most ``most`` points remain.

    Points join block by block, so that memory stays small next to the points themselves.

    Args:
        points: (N, 3) meters.
        most: at least 1.
        size: meters, of the first voxels.

    Returns:
        kept (M,): the points that stay, ascending; stands_for (N,): which of the M each point is represented by, at most
        a few voxels away.

    >>> kept, stands_for = thin(np.array([[0, 0, 0], [5, 0, 0], [0.1, 0, 0]]), 2, size=1.0)
    >>> kept.tolist(), stands_for.tolist()
    ([0, 1], [0, 1, 0])
    """
    if len(points) > most:
        size = max(size, float(np.ptp(points, axis=0).max()) / (1 << (_BITS - 1)))
    kept, stands_for = np.zeros(0, np.int64), np.empty(len(points), np.int64)
    for start in range(0, len(points), _BLOCK):
        stop = min(start + _BLOCK, len(points))
        united = np.append(kept, np.arange(start, stop))
        place = np.arange(len(united))
        while len(united) > most:
            first, voxel = voxel_index(points.take(united, axis=0), size)
            united, place = united[first], voxel[place]
            if len(united) > most:
                size *= _GROWTH
        stands_for[:start] = place[stands_for[:start]]
        stands_for[start:stop] = place[len(kept) :]
        kept = united
    return kept, stands_for


def voxel_cells(columns: NDArray, size: float) -> NDArray[np.int64]:
    """(3, N) cell of each point along each axis, from (3, N) coordinates in meters.

    Raises:
        InputError: a size that is not above 0, or coordinates too large for it.
    """
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"is {size}", field="voxel size", fix="give meters above 0")
    cells = np.floor(columns / size)
    if cells.size and np.abs(cells).max() > 2.0**61:
        raise _too_far(f"{np.abs(columns).max():.3g} m with voxels of {size} m")
    return cells.astype(np.int64)


def number_cells(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) one number from 0 per distinct cell of (3, N); numbers of two calls cannot be compared.

    Raises:
        InputError: the cells span more than int64 can number.
    """
    low = cells.min(axis=1)
    shape = cells.max(axis=1) - low + 1
    if float(np.prod(shape.astype(np.float64))) > 2.0**62:
        raise _too_far(f"{shape.max():.3g} voxels")
    x, y, z = cells - low[:, None]
    key: NDArray[np.int64] = (x * shape[1] + y) * shape[2] + z
    return key


def voxel_codes(points: NDArray[np.float64], size: float, origin: ArrayLike) -> NDArray[np.int64]:
    """(N,) one number per voxel of a fixed grid, the same in every call with this size and origin.

    Args:
        points: (N, 3) meters, within a million voxels of the origin.
        size: meters.
        origin: (3,) meters, a corner of the grid.
    """
    cells = np.floor((points - np.asarray(origin, np.float64)) / size).astype(np.int64) + (1 << (_BITS - 1))
    return np.asarray((cells[:, 0] << 2 * _BITS) | (cells[:, 1] << _BITS) | cells[:, 2])


def _too_far(extent: str) -> InputError:
    return InputError(f"span {extent}, too far to count", field="points", fix="use larger voxels")
