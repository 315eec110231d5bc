"""Voxel grids: thinning a cloud to even density, and fusing posed frames into one cloud."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.scans import Frame


def voxel_index(points: NDArray, size: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of side ``size`` that hold points.

    Args:
        points: (N, 3) meters.
        size: meters.

    Raises:
        InputError: a size that is not above 0, or so small that the voxels cannot be counted.

    Returns:
        first (M,): the first point of each voxel, ascending; voxel (N,): which of the M each point is in.

    >>> first, voxel = voxel_index(np.array([[0, 0, 0], [5, 0, 0], [0.1, 0, 0]]), 1.0)
    >>> first.tolist(), voxel.tolist()
    ([0, 1], [0, 1, 0])
    """
    columns = np.ascontiguousarray(points.T)  # numpy is slow along an axis of three
    key = _number(_cells(columns - columns.min(axis=1, keepdims=True), size))
    order = np.argsort(key)
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    first = np.minimum.reduceat(order, starts)
    is_first = np.zeros(len(key), dtype=bool)
    is_first[first] = True
    rank = np.cumsum(is_first) - 1
    voxel = np.empty_like(order)
    voxel[order] = np.repeat(rank[first], np.diff(starts, append=len(key)))
    return np.flatnonzero(is_first), voxel


def fuse_frames(frames: Iterable[Frame], size: float = 0.02) -> Frame:
    """One cloud from posed frames: the mean position and color of what falls into each voxel.

    Args:
        frames: each with its ``T_world_points``; all with colors, or none.
        size: of a voxel, meters.

    Returns:
        A frame whose points are in the world, relative to the first frame's first point's meter (large
        coordinates survive float32); no views.

    Raises:
        InputError: no frames; or a size as :func:`voxel_index` refuses it.
    """
    origin: NDArray | None = None
    cells = np.zeros((3, 0), np.int64)
    sums = np.zeros((0, 7))
    colored, ids, timestamp = True, [], None
    for frame in frames:
        world = frame.world_points()
        if origin is None:
            origin, timestamp = np.floor(world[0]), frame.timestamp
        ids.append(frame.id)
        colored = colored and frame.colors is not None
        local = world - origin
        values = np.ones((len(local), 7))
        values[:, :3] = local
        values[:, 3:6] = 0 if frame.colors is None else frame.colors
        cells = np.concatenate([cells, _cells(np.ascontiguousarray(local.T), size)], axis=1)
        cells, sums = _merge(cells, np.concatenate([sums, values]))
    if origin is None:
        raise InputError("has no frames", source="sequence")
    mean = sums[:, :6] / sums[:, 6:]
    T_world_points = np.eye(4)
    T_world_points[:3, 3] = origin
    name = ids[0] if len(ids) == 1 else f"{ids[0]}-{ids[-1]}"
    return Frame(
        id=name,
        points=mean[:, :3].astype(np.float32),
        colors=np.round(mean[:, 3:]).astype(np.uint8) if colored else None,
        T_world_points=T_world_points,
        timestamp=timestamp,
    )


def _merge(cells: NDArray[np.int64], sums: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    key = _number(cells)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return cells[:, order[starts]], np.add.reduceat(sums[order], starts)


def _cells(columns: NDArray, size: float) -> NDArray[np.int64]:
    """(3, N) which voxel each point is in, along each axis, of (3, N) coordinates."""
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"is {size}", field="voxel size", fix="give meters above 0")
    cells = np.floor(columns / size)
    if cells.size and np.abs(cells).max() > 2.0**61:
        raise _too_far(f"{np.abs(columns).max():.3g} m with voxels of {size} m")
    return cells.astype(np.int64)


def _number(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) one number per voxel, from 0, the same for the same voxel."""
    low = cells.min(axis=1)
    shape = cells.max(axis=1) - low + 1
    if float(np.prod(shape.astype(np.float64))) > 2.0**62:
        raise _too_far(f"{shape.max():.3g} voxels")
    x, y, z = cells - low[:, None]
    key: NDArray[np.int64] = (x * shape[1] + y) * shape[2] + z
    return key


def _too_far(extent: str) -> InputError:
    return InputError(f"span {extent}, too far to count", field="points", fix="use larger voxels")
