"""Points of a box or mask, against looking at every point."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.geometry import Camera, rigid
from data_prep.lift.regions import ProjectedPoints

K = np.array([[100.0, 0, 49.5], [0, 100, 39.5], [0, 0, 1]])
CAMERA = Camera(K, 100, 80, rigid(translation=[0.1, 0, 0]))


def brute_force(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    uv, _ = CAMERA.project(points)
    u, v = uv.T
    return np.flatnonzero(CAMERA.in_image(uv) & (u >= box[0]) & (u <= box[2]) & (v >= box[1]) & (v <= box[3]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_boxes_hold_the_very_same_points_as_a_look_at_all(dtype: type) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-3, -3, -1], [3, 3, 5], (5000, 3)).astype(dtype)
    seen = ProjectedPoints(points, CAMERA)
    corners = rng.uniform(-20, 110, (200, 2, 2))
    boxes = np.hstack([corners.min(axis=1), corners.max(axis=1)])
    boxes[:50] = np.round(boxes[:50] * 2) / 2  # on pixel centers and between pixels
    boxes[50:60, 3] = boxes[50:60, 1]  # no height
    for box in boxes:
        np.testing.assert_array_equal(np.sort(seen.indices[seen.in_box(box)]), brute_force(points, box))


def test_positions_on_the_borders_of_pixels_and_boxes_are_inside() -> None:
    v = np.array([-0.5, 0.0, 9.5, 10.0, 79.499])
    points = np.column_stack([np.full(5, 0.1), (v - 39.5) / 100, np.ones(5)])
    seen = ProjectedPoints(points, CAMERA)
    for low, high in ((-0.5, 79.5), (9.5, 9.5), (0.0, 10.0)):
        box = np.array([0, low, 99, high])
        np.testing.assert_array_equal(np.sort(seen.indices[seen.in_box(box)]), brute_force(points, box))
    assert len(seen.in_box(np.array([0, -0.5, 99, 79.5]))) == 5


def test_a_mask_holds_the_points_whose_pixel_is_lit() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform([-1, -1, 0.5], [1, 1, 4], (3000, 3))
    mask = rng.random((80, 100)) < 0.1
    seen = ProjectedPoints(points, CAMERA)
    uv, _ = CAMERA.project(points)
    inside = np.flatnonzero(CAMERA.in_image(uv))
    u, v = np.floor(uv[inside] + 0.5).astype(int).T
    np.testing.assert_array_equal(np.sort(seen.indices[seen.in_mask(mask)]), inside[mask[v, u]])


def test_a_dark_mask_and_points_behind_the_camera_hold_nothing() -> None:
    points = np.array([[0, 0, -2.0], [0, 0, 2.0]])
    seen = ProjectedPoints(points, CAMERA)
    assert seen.indices.tolist() == [1]
    assert len(seen.in_mask(np.zeros((80, 100), dtype=bool))) == 0
    assert len(ProjectedPoints(points[:1], CAMERA).in_box(np.array([0, 0, 99, 79]))) == 0


def test_a_mask_of_another_size_is_refused() -> None:
    seen = ProjectedPoints(np.array([[0, 0, 2.0]]), CAMERA)
    with pytest.raises(InputError, match="masks: is 10x8, the image 100x80"):
        seen.in_mask(np.ones((8, 10), dtype=bool))


def test_float32_does_not_round_points_off_the_last_pixel_or_out_of_a_box() -> None:
    edge = np.nextafter(np.float32(79.5), np.float32(0))
    for v in (edge, np.nextafter(np.float32(59.5), np.float32(0)), np.float32(59.5)):
        point = np.array([[0.1, 0, 1]], np.float32)
        camera = Camera(np.array([[100.0, 0, 49.5], [0, 100, v], [0, 0, 1]]), 100, 80, CAMERA.T_points_cam)
        seen = ProjectedPoints(point, camera)
        exact = float(seen.v[0])
        assert len(seen.in_box(np.array([0, 0, 99, exact]))) == 1
        assert len(seen.in_box(np.array([0, exact, 99, 200]))) == 1
        assert len(seen.in_mask(np.ones((80, 100), dtype=bool))) == 1
