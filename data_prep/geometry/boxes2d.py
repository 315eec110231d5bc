"""Image rectangles: area, clipping, overlap and IoU of xyxy boxes.

Boxes are x0 y0 x1 y1 in pixels; everything is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_area_2d(boxes: ArrayLike) -> NDArray[np.float64]:
    """Areas (...) of boxes (..., 4) in square pixels; 0 for an inverted box."""
    corners = np.asarray(boxes, dtype=np.float64)
    area: NDArray[np.float64] = np.clip(corners[..., 2:] - corners[..., :2], 0, None).prod(axis=-1)
    return area


def clip_boxes_2d(boxes: ArrayLike, x_max: float, y_max: float) -> NDArray[np.float64]:
    """Boxes (..., 4) cut to 0..x_max and 0..y_max; a box entirely outside gets a side of zero.

    >>> clip_boxes_2d([-5, 2, 50, 60], 40, 30)
    array([ 0.,  2., 40., 30.])
    """
    clipped: NDArray[np.float64] = np.clip(np.asarray(boxes, dtype=np.float64), 0, [x_max, y_max] * 2)
    return clipped


def box_overlap_2d(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Areas shared by boxes (M, 4) and (N, 4), as (M, N) square pixels."""
    first, second = np.asarray(a, dtype=np.float64)[:, None], np.asarray(b, dtype=np.float64)[None]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    overlap: NDArray[np.float64] = np.clip(high - low, 0, None).prod(axis=2)
    return overlap


def box_iou_2d(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of boxes (M, 4) and (N, 4), as (M, N); 0 where both are empty.

    >>> box_iou_2d([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]])
    array([[0.33333333, 0.        ]])
    """
    overlap = box_overlap_2d(a, b)
    union = box_area_2d(a)[:, None] + box_area_2d(b)[None] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
