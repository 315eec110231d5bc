"""Exact overlap of upright boxes, in 3D and from above."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError
from data_prep.geometry.boxes import OrientedBox

_SIGNS = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])


def box_iou_3d(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU of every upright box of one list with every box of another.

    Args:
        a: (A, 7) center x y z, length, width, height, yaw; meters, radians about z.
        b: (B, 7).

    Returns:
        3D IoU (A, B), and IoU seen from above (A, B), 0..1.

    Raises:
        InputError: another shape, or numbers that are not finite.

    >>> iou, above = box_iou_3d([[0, 0, 0, 2, 2, 2, 0]], [[1, 0, 1, 2, 2, 2, 0]])
    >>> iou.round(4).tolist(), above.round(4).tolist()
    ([[0.1429]], [[0.3333]])
    """
    first, second = _checked(a), _checked(b)
    rows, columns = len(first), len(second)
    result = np.zeros((2, rows, columns))
    if rows == 0 or columns == 0:
        return result[0], result[1]
    # Only boxes whose circles meet can overlap.
    gap = np.linalg.norm(first[:, None, :2] - second[None, :, :2], axis=2)
    reach = [np.linalg.norm(boxes[:, 3:5], axis=1) / 2 for boxes in (first, second)]
    i, j = np.nonzero(gap < reach[0][:, None] + reach[1][None])
    p, q = first[i], second[j]
    area = _shared_area(p, q)
    top = np.minimum(p[:, 2] + p[:, 5] / 2, q[:, 2] + q[:, 5] / 2)
    bottom = np.maximum(p[:, 2] - p[:, 5] / 2, q[:, 2] - q[:, 5] / 2)
    shared = area * np.maximum(top - bottom, 0)
    volume = p[:, 3:6].prod(axis=1) + q[:, 3:6].prod(axis=1) - shared
    plan = p[:, 3:5].prod(axis=1) + q[:, 3:5].prod(axis=1) - area
    result[0, i, j] = shared / np.maximum(volume, 1e-12)
    result[1, i, j] = area / np.maximum(plan, 1e-12)
    return result[0], result[1]


def box_rows(boxes: Iterable[OrientedBox]) -> NDArray[np.float64]:
    """(N, 7) center x y z, length, width, height, yaw of upright boxes.

    >>> box_rows([OrientedBox.from_yaw([1, 2, 3], [4, 2, 1], 0.5)]).tolist()
    [[1.0, 2.0, 3.0, 4.0, 2.0, 1.0, 0.5]]
    """
    return np.array([[*box.center, *box.size, box.yaw] for box in boxes], np.float64).reshape(-1, 7)


def _checked(boxes: ArrayLike) -> NDArray[np.float64]:
    array = (
        np.asarray(boxes, dtype=np.float64).reshape(-1, 7)
        if np.size(boxes) == 0
        else np.asarray(boxes, float)
    )
    if array.ndim != 2 or array.shape[1] != 7 or not np.isfinite(array).all():
        raise InputError(f"must be finite with shape (N, 7), got {array.shape}", field="boxes")
    return array


def _shared_area(p: NDArray, q: NDArray) -> NDArray[np.float64]:
    """(n,) area that rectangles share: corners of one inside the other and crossings of their sides, in order."""
    corners = [_corners(boxes) - p[:, None, :2] for boxes in (p, q)]
    points, valid = [], []
    for mine, other, center in (
        (corners[0], q, q[:, :2] - p[:, :2]),
        (corners[1], p, np.zeros((len(p), 2))),
    ):
        c, s = np.cos(other[:, 6]), np.sin(other[:, 6])
        away = mine - center[:, None]
        u = away[..., 0] * c[:, None] + away[..., 1] * s[:, None]
        v = -away[..., 0] * s[:, None] + away[..., 1] * c[:, None]
        half = other[:, None, 3:5] / 2 + 1e-9
        points.append(mine)
        valid.append((np.abs(u) <= half[..., 0]) & (np.abs(v) <= half[..., 1]))
    start, end = (np.repeat(x, 4, axis=1) for x in (corners[0], np.roll(corners[0], -1, axis=1)))
    other, stop = (np.tile(x, (1, 4, 1)) for x in (corners[1], np.roll(corners[1], -1, axis=1)))
    d, e, gap = end - start, stop - other, other - start
    cross = d[..., 0] * e[..., 1] - d[..., 1] * e[..., 0]
    safe = np.where(np.abs(cross) < 1e-12, 1.0, cross)
    t = (gap[..., 0] * e[..., 1] - gap[..., 1] * e[..., 0]) / safe
    w = (gap[..., 0] * d[..., 1] - gap[..., 1] * d[..., 0]) / safe
    points.append(start + t[..., None] * d)
    valid.append((np.abs(cross) >= 1e-12) & (t >= 0) & (t <= 1) & (w >= 0) & (w <= 1))
    xy, inside = np.concatenate(points, axis=1), np.concatenate(valid, axis=1)
    count = inside.sum(axis=1)
    middle = (xy * inside[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
    xy = np.where(inside[..., None], xy - middle[:, None], 0.0)
    angle = np.where(inside, np.arctan2(xy[..., 1], xy[..., 0]), np.inf)
    order = np.argsort(angle, axis=1)
    xy = np.take_along_axis(xy, order[..., None], axis=1)
    # After the last valid point comes the first: points at the middle add nothing to the sum.
    last = np.arange(xy.shape[1]) >= count[:, None]
    xy = np.where(last[..., None], xy[:, :1], xy)
    x, y = xy[..., 0], xy[..., 1]
    twice = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    return np.where(count >= 3, np.abs(twice) / 2, 0.0)


def _corners(boxes: NDArray) -> NDArray[np.float64]:
    """(n, 4, 2) counter-clockwise."""
    c, s = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    local = _SIGNS[None] * boxes[:, None, 3:5]
    x = local[..., 0] * c[:, None] - local[..., 1] * s[:, None]
    y = local[..., 0] * s[:, None] + local[..., 1] * c[:, None]
    return np.stack([x, y], axis=-1) + boxes[:, None, :2]
