"""Where overlay pixels fall, and in which color."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.geometry import Camera
from data_prep.report.overlay import (
    OverlayObject,
    depth_colors,
    depth_range,
    draw_overlay,
    draw_zoom,
    object_color,
)

# Focal length 100, center at pixel (50, 40): a point at (x, y, z) lies at (50 + 100 x/z, 40 + 100 y/z).
CAMERA = Camera(np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]]), 101, 81)
WHITE = np.full((81, 101, 3), 255, np.uint8)
LEGEND = 26


def colored(picture: np.ndarray) -> np.ndarray:
    """(v, u) of pixels that are not gray, above the legend."""
    spread = picture[:-LEGEND].max(axis=2).astype(int) - picture[:-LEGEND].min(axis=2)
    return np.argwhere(spread > 0)


def test_a_point_is_drawn_at_the_pixel_it_projects_to() -> None:
    picture = draw_overlay(WHITE, CAMERA, np.array([[0.6, -0.4, 2.0]]))
    # By hand: u = 50 + 100 * 0.3 = 80, v = 40 - 100 * 0.2 = 20; dots are 2 pixels wide.
    assert colored(picture).tolist() == [[20, 80], [20, 81], [21, 80], [21, 81]]


def test_points_behind_the_camera_or_out_of_sight_are_not_drawn() -> None:
    points = np.array([[0, 0, -2.0], [9, 0, 2.0], [0, 0, 0]])
    assert len(colored(draw_overlay(WHITE, CAMERA, points))) == 0


def test_the_nearer_of_two_points_in_one_place_is_seen() -> None:
    points = np.array([[0, 0, 2.0], [0, 0, 8.0], [0.9, 0, 2.0], [-3.6, 0, 8.0]])
    for order in (slice(None), slice(None, None, -1)):
        picture = draw_overlay(WHITE, CAMERA, points[order])
        near = picture[40, 95]  # u = 50 + 100 * 0.45
        np.testing.assert_array_equal(picture[40, 50], near)


def test_dense_points_leave_most_of_the_image_to_see() -> None:
    v, u = np.mgrid[:81, :101]
    dense = np.stack([(u - 50) / 100, (v - 40) / 100, np.ones_like(u)], -1).reshape(-1, 3) * 3.0
    share = len(colored(draw_overlay(WHITE, CAMERA, dense))) / (81 * 101)
    assert 0.1 < share < 0.5


def test_depth_runs_from_yellow_to_blue_in_even_steps_of_its_logarithm() -> None:
    near, middle, far = depth_colors(np.array([2.0, 8.0, 32.0]), 2.0, 32.0).astype(int)
    assert near.tolist() == [240, 249, 33]
    assert far.tolist() == [13, 8, 135]
    assert middle.tolist() == [204, 71, 120]  # plasma at one half
    beyond = depth_colors(np.array([0.5, 100.0]), 2.0, 32.0)
    assert beyond.tolist() == [near.tolist(), far.tolist()]


def test_brightness_falls_with_depth_all_the_way() -> None:
    colors = depth_colors(np.geomspace(1, 100, 50), 1, 100).astype(float)
    assert (np.diff(colors @ (0.299, 0.587, 0.114)) < 0).all()


def test_one_stray_point_does_not_change_the_scale() -> None:
    depth = np.concatenate([np.linspace(5, 10, 200), [900.0]])
    near, far = depth_range(depth)
    assert 5 <= near < 5.3
    assert 9.5 < far <= 10


def test_depth_range_of_nothing_and_of_one_depth_can_be_drawn() -> None:
    for depth in (np.zeros(0), np.array([3.0, 3.0])):
        near, far = depth_range(depth)
        assert 0 < near < far


def test_objects_have_their_points_and_box_in_one_color() -> None:
    item = OverlayObject(np.array([[0, 0, 2.0]]), np.array([30, 20, 70, 60]), "mug")
    picture = draw_overlay(WHITE, CAMERA, np.array([[0.9, 0.6, 2.0]]), [item])
    expected = np.array(object_color(0))
    np.testing.assert_array_equal(picture[40, 50], expected)  # the point
    np.testing.assert_array_equal(picture[60, 50], expected)  # the lower edge of the box


def test_object_colors_are_not_colors_of_the_depth_scale() -> None:
    scale = depth_colors(np.geomspace(1, 100, 200), 1, 100).astype(int)
    for number in range(20):
        distance = np.linalg.norm(scale - np.array(object_color(number)), axis=1)
        assert distance.min() > 80


def test_a_moved_camera_moves_the_points_and_not_the_box() -> None:
    item = OverlayObject(np.array([[0, 0, 2.0]]), np.array([30, 20, 70, 60]))
    shift = np.eye(4)
    shift[0, 3] = 0.2  # camera 20 cm to the right: the point moves 10 pixels left
    moved = Camera(CAMERA.K, 101, 81, shift)
    picture = draw_overlay(WHITE, moved, np.zeros((0, 3)), [item])
    np.testing.assert_array_equal(picture[40, 40], object_color(0))
    assert len(set(picture[40, 50].tolist())) == 1  # gray again
    np.testing.assert_array_equal(picture[60, 50], object_color(0))


@pytest.mark.parametrize("box", [[-20, -20, 200, 200], [95, 75, 100, 80], [0, 0, 3, 3], [50, 40, 50, 40]])
def test_boxes_at_and_over_the_border_can_be_drawn(box: list[float]) -> None:
    item = OverlayObject(np.array([[0, 0, 2.0]]), np.array(box), "a long caption here")
    assert draw_overlay(WHITE, CAMERA, item.points, [item]).shape == (81 + LEGEND, 101, 3)
    assert draw_zoom(WHITE, CAMERA, item.points, np.array(box), height=60).shape[0] == 60 + LEGEND


def test_enlarging_keeps_points_on_their_pixels() -> None:
    image = np.zeros((81, 101, 3), np.uint8)
    image[20:61, 50:] = 255  # a step in brightness at u = 50, and points only to its right
    v, u = np.mgrid[20:61, 50:71]
    points = np.stack([(u - 50) / 100, (v - 40) / 100, np.ones_like(u)], -1).reshape(-1, 3) * 3.0
    picture = draw_zoom(image, CAMERA, points, np.array([30, 20, 70, 60]), height=410, context=0)
    # Window 30..70 x 20..60 is 41 x 41 pixels, tenfold enlarged; u = 50 begins at 200.
    assert picture.shape == (410 + LEGEND, 410, 3)
    assert colored(picture)[:, 1].min() == pytest.approx(204, abs=3)


def test_without_the_frame_the_objects_points_are_drawn_by_depth() -> None:
    item = OverlayObject(np.array([[0, 0, 2.0], [0.4, 0, 4.0]]))
    picture = draw_overlay(WHITE, CAMERA, None, [item])
    assert picture[40, 50].tolist() != picture[40, 60].tolist()
    assert len(colored(picture)) == 8
