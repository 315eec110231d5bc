"""Boxes in 3D and their rectangles in the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from data_prep.errors import InputError
from data_prep.geometry import (
    Camera,
    Distortion,
    OrientedBox,
    box_to_image,
    rigid,
    transform_points,
)

K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
CAMERA = Camera(K, 101, 81)


def test_corners_of_a_turned_box_by_hand() -> None:
    # Length 4 turned a quarter about z lies along y.
    corners = OrientedBox.from_yaw([10, 0, 1], [4, 2, 6], np.pi / 2).corners()
    np.testing.assert_allclose(corners.min(axis=0), [9, -2, -2])
    np.testing.assert_allclose(corners.max(axis=0), [11, 2, 4])


@given(st.floats(-3.1, 3.1))
def test_yaw_round_trip(yaw: float) -> None:
    assert OrientedBox.from_yaw([0, 0, 0], [1, 2, 3], yaw).yaw == pytest.approx(yaw)


def test_contains_includes_faces_and_margin() -> None:
    box = OrientedBox(np.zeros(3), np.array([2.0, 2, 2]))
    points = np.array([[1.0, 0, 0], [1.05, 0, 0], [0, 0, -1.2]])
    assert box.contains(points).tolist() == [True, False, False]
    assert box.contains(points, margin=0.1).tolist() == [True, True, False]


def test_what_is_inside_stays_inside_when_everything_moves() -> None:
    rng = np.random.default_rng(0)
    T = rigid(Rotation.random(random_state=0).as_matrix(), [5, -3, 2])
    box = OrientedBox.from_yaw([1, 2, 0], [4, 2, 1.5], 0.7)
    points = rng.uniform(-4, 6, (500, 3))
    moved = box.transformed(T)
    np.testing.assert_array_equal(moved.contains(transform_points(T, points)), box.contains(points))
    assert box.contains(points).any()


def test_rectangle_of_a_cube_by_hand() -> None:
    # Its near face, two meters wide at z = 4, spans 100 · 1/4 = 25 pixels to each side.
    rectangle = box_to_image(OrientedBox(np.array([0.0, 0, 5]), np.full(3, 2.0)), CAMERA)
    np.testing.assert_allclose(rectangle, [25, 15, 75, 65])


def test_a_box_reaching_behind_the_camera_is_cut_not_mirrored() -> None:
    # x from 1 to 2, z from -10 to 10: at z = 10 its left side shows at 50 + 100 · 1/10; it leaves to the right.
    box = OrientedBox(np.array([1.5, 0, 0]), np.array([1.0, 1, 20]))
    rectangle = box_to_image(box, CAMERA)
    assert rectangle is not None
    np.testing.assert_allclose(rectangle, [60, 0, 100, 80])


@pytest.mark.parametrize("center", [[0, 0, -5], [100, 0, 5], [0, -50, 5]])
def test_boxes_out_of_view_have_no_rectangle(center: list[float]) -> None:
    assert box_to_image(OrientedBox(np.array(center, float), np.ones(3)), CAMERA) is None


def test_a_strong_lens_keeps_a_near_box_in_the_image() -> None:
    lens = Distortion("radtan", (-0.3, 0.0, 0.0, 0.0))
    rectangle = box_to_image(
        OrientedBox(np.array([0.0, 0, 2]), np.full(3, 3.0)), Camera(K, 101, 81, distortion=lens)
    )
    np.testing.assert_allclose(rectangle, [0, 0, 100, 80], atol=1)  # the lens ends just inside


@pytest.mark.parametrize(
    "center, size", [([0, 0, np.nan], [1, 1, 1]), ([0, 0, 0], [1, -1, 1]), ([0, 0], [1, 1, 1])]
)
def test_impossible_boxes_are_refused(center: list[float], size: list[float]) -> None:
    with pytest.raises(InputError, match="box"):
        OrientedBox(np.array(center, float), np.array(size, float))
