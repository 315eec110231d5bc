"""Image rectangles against counted pixels."""

from __future__ import annotations

import numpy as np

from data_prep.geometry.boxes2d import box_area_2d, box_iou_2d, box_overlap_2d, clip_boxes_2d


def test_iou_against_counting_cells() -> None:
    rng = np.random.default_rng(1)
    low = rng.integers(0, 20, (12, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 15, (12, 2))], axis=1)
    masks = np.zeros((12, 40, 40), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    flat = masks.reshape(12, -1).astype(float)
    both = flat @ flat.T
    expected = both / (flat.sum(1)[:, None] + flat.sum(1)[None] - both)
    np.testing.assert_allclose(box_iou_2d(boxes, boxes), expected)


def test_two_boxes_by_hand() -> None:
    square, shifted = [0, 0, 10, 10], [5, 0, 15, 10]
    assert box_area_2d(square) == 100
    assert box_overlap_2d([square], [shifted]) == [[50]]
    np.testing.assert_allclose(box_iou_2d([square], [shifted]), [[1 / 3]])


def test_boxes_without_area_overlap_nothing() -> None:
    point, inverted = [3, 3, 3, 3], [5, 5, 2, 2]
    np.testing.assert_array_equal(box_area_2d([point, inverted]), [0, 0])
    np.testing.assert_array_equal(box_iou_2d([point], [point, inverted]), [[0, 0]])


def test_no_boxes_make_an_empty_matrix() -> None:
    assert box_iou_2d(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


def test_a_box_outside_the_image_is_clipped_to_a_side_of_zero() -> None:
    np.testing.assert_array_equal(clip_boxes_2d([[50, 5, 60, 9]], 40, 30), [[40, 5, 40, 9]])
