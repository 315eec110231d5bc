"""Point operations on numpy arrays, without torch: farthest-point sampling, ball query, nearest neighbors, components.

Same indices as :mod:`clip2.ops`: by the native library where it is built, in numpy elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import data_prep.native as native
from data_prep.geometry.cluster import connected_components

_SAMPLED_AT_ONCE = 1 << 16  # points: the arrays of the sampling loop then fit a core's second-level cache
_DISTANCES_AT_ONCE = 1 << 18


def farthest_point_sample(
    points: NDArray[np.float32], k: int, lengths: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(B, k) int64 indices of k points per cloud, each the farthest from those before it; the first is point 0.

    Args:
        points: (B, N, 3) float32.
        k: how many; asked for more than a cloud has, the sample repeats cyclically.
        lengths: (B,) int64 real points of each cloud, at least 1; None: all N.
    """
    points = np.ascontiguousarray(points, np.float32)
    batch, count, _ = points.shape
    steps = min(k, count)
    first = np.zeros(batch, np.int64)
    if native.problem() is None:
        chosen = np.empty((batch, steps), np.int64)
        native.call(
            "farthest_point_sample",
            points,
            batch,
            count,
            _contiguous(lengths),
            first,
            steps,
            native.threads(),
            chosen,
        )
    else:
        chosen = sample_in_numpy(points, steps, lengths, first)
    return _repeated(chosen, k, lengths)


def ball_query(
    points: NDArray[np.float32],
    centers: NDArray[np.float32],
    radius: float,
    k: int,
    lengths: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """(B, S, k) int64, the first k points within the radius of each center; short rows repeat their first entry.

    Args:
        points: (B, N, 3) float32; centers: (B, S, 3) float32.
        radius, k: as of :func:`clip2.ops.ball_query`, whose rules for points at the radius and empty balls hold here.
        lengths: (B,) int64 real points of each cloud; None: all N.
    """
    points, centers = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(centers, np.float32)
    batch, count, _ = points.shape
    index = np.empty((*centers.shape[:2], k), np.int64)
    if native.problem() is None:
        cloud = (points, batch, count, _contiguous(lengths))
        native.call("ball_query", *cloud, centers, centers.shape[1], radius, k, native.threads(), index)
        return index
    column = np.arange(count)
    for b, rows, squared in _squared_distances(points, centers, lengths):
        inside = squared <= np.float32(radius**2)
        first = np.partition(np.where(inside, column, count), min(k, count) - 1, axis=1)[:, :k]
        first.sort(axis=1)
        lonely = first[:, 0] == count
        first[lonely, 0] = squared[lonely].argmin(axis=1)
        index[b, rows] = first[:, :1]
        index[b, rows, : first.shape[1]] = np.where(first < count, first, first[:, :1])
    return index


def knn(
    points: NDArray[np.float32],
    centers: NDArray[np.float32],
    k: int,
    lengths: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """(B, S, k) int64, the k points nearest to each center, nearest first, ties by index.

    Args:
        points: (B, N, 3) float32; centers: (B, S, 3) float32.
        k: asked for more than a cloud has, the row repeats cyclically.
        lengths: (B,) int64 real points of each cloud; None: all N.
    """
    points, centers = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(centers, np.float32)
    batch, count, _ = points.shape
    queries, found = centers.shape[1], min(k, count)
    index = np.empty((batch, queries, found), np.int64)
    if native.problem() is None:
        cloud = (points, batch, count, _contiguous(lengths))
        squared = np.empty(index.shape, np.float32)
        native.call("knn", *cloud, centers, queries, found, native.threads(), index, squared)
    else:
        for b, rows, block in _squared_distances(points, centers, lengths):
            index[b, rows] = np.argsort(block, axis=1, kind="stable")[:, :found]
    each = None if lengths is None else np.repeat(lengths, queries)
    return _repeated(index.reshape(-1, found), k, each).reshape(batch, queries, k)


def radius_components(points: NDArray[np.floating], radii: NDArray[np.floating]) -> NDArray[np.int64]:
    """(L, N) int64 components of radius graphs at ascending radii, see :func:`clip2.ops.radius_components`.

    Args:
        points: (N, 3) finite.
        radii: (L, N), positive; no level below the one before it.
    """
    points = np.ascontiguousarray(points, np.float64)
    radii = np.ascontiguousarray(radii, np.float64)
    labels = np.empty(radii.shape, np.int64)
    if native.problem() is None:
        native.call("radius_components", points, len(points), radii, len(radii), labels)
        return labels
    for level, radius in enumerate(radii):
        labels[level] = connected_components(points, radius, labels[level - 1] if level else None)
    return labels


def sample_in_numpy(
    points: NDArray, k: int, lengths: NDArray[np.int64] | None, first: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(B, k) farthest-point sample from ``first`` (B,) on, k <= N, in numpy and in the points' own precision."""
    batch, count, _ = points.shape
    chosen = np.empty((batch, k), np.int64)
    clouds = max(1, _SAMPLED_AT_ONCE // count)
    for start in range(0, batch, clouds):
        part = slice(start, start + clouds)
        nearest = np.full(points[part].shape[:2], np.inf, points.dtype)
        if lengths is not None:  # below every distance: padding is never the farthest
            nearest[np.arange(count) >= lengths[part, None]] = -1
        with np.errstate(over="ignore"):  # infinitely far is far enough
            chosen[part] = _greedy(points[part], k, nearest, first[part]).T
    return chosen


def _greedy(points: np.ndarray, k: int, nearest: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(b, N, 3) → (k, b), every array allocated before the loop."""
    batch, count, _ = points.shape
    axes = np.ascontiguousarray(points.transpose(2, 0, 1))
    flat = axes.reshape(3, -1)
    square = np.empty_like(axes)
    distance = square[0]
    latest = np.empty((3, batch, 1), axes.dtype)
    columns, row_start = latest[:, :, 0], np.arange(batch) * count
    place = np.empty(batch, np.int64)
    chosen = np.empty((k, batch), np.int64)
    chosen[0] = first
    for step in range(1, k):
        np.add(chosen[step - 1], row_start, out=place)
        np.take(
            flat, place, axis=1, out=columns, mode="clip"
        )  # the mode that needs no buffer; all are in range
        np.subtract(axes, latest, out=square)
        np.multiply(square, square, out=square)
        np.add(distance, square[1], out=distance)
        np.add(distance, square[2], out=distance)
        np.minimum(nearest, distance, out=nearest)
        nearest.argmax(1, out=chosen[step])
    return chosen


def _squared_distances(
    points: NDArray, centers: NDArray, lengths: NDArray[np.int64] | None
) -> Iterator[tuple[int, slice, NDArray]]:
    """Cloud, slice of its centers and their (s, N) squared distances, rounded as in the other backends."""
    step = max(1, _DISTANCES_AT_ONCE // points.shape[1])
    for b, (cloud, middles) in enumerate(zip(points, centers, strict=True)):
        for start in range(0, len(middles), step):
            rows = slice(start, start + step)
            square = (cloud[None] - middles[rows, None]) ** 2
            squared = square[..., 0] + square[..., 1] + square[..., 2]
            if lengths is not None:
                squared[:, lengths[b] :] = np.inf
            yield b, rows, squared


def _repeated(index: NDArray[np.int64], k: int, lengths: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(R, k) from (R, n): column j is column j modulo the row's number of real entries."""
    if lengths is None and index.shape[1] == k:
        return index
    real = index.shape[1] if lengths is None else np.minimum(lengths, index.shape[1])[:, None]
    return np.take_along_axis(index, np.broadcast_to(np.arange(k) % real, (len(index), k)), axis=1)


def _contiguous(lengths: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    return None if lengths is None else np.ascontiguousarray(lengths, np.int64)
