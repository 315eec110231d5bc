"""Rigid transforms: they compose, invert, and refuse what is not rigid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from data_prep.errors import InputError
from data_prep.geometry import (
    invert,
    quaternion_to_rotation,
    rigid,
    rotation_between,
    transform_points,
    validate_rigid,
)

numbers = st.floats(-100, 100, allow_nan=False)
vectors = arrays(np.float64, 3, elements=numbers)
directions = vectors.filter(lambda v: np.linalg.norm(v) > 1e-3)
transforms = st.builds(
    lambda axis_angle, shift: rigid(Rotation.from_rotvec(axis_angle / 30).as_matrix(), shift),
    vectors,
    vectors,
)


def test_transform_worked_by_hand() -> None:
    # A quarter turn about z takes x to y; then two meters along x.
    T_a_b = rigid([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [2, 0, 0])
    np.testing.assert_allclose(transform_points(T_a_b, np.array([[1.0, 0, 5]])), [[2, 1, 5]])


@given(transforms, transforms, arrays(np.float64, (5, 3), elements=numbers))
@settings(max_examples=30, deadline=None)
def test_compose_and_invert(T_a_b: np.ndarray, T_b_c: np.ndarray, points_c: np.ndarray) -> None:
    step_by_step = transform_points(T_a_b, transform_points(T_b_c, points_c))
    np.testing.assert_allclose(transform_points(T_a_b @ T_b_c, points_c), step_by_step, atol=1e-9)
    np.testing.assert_allclose(transform_points(invert(T_a_b @ T_b_c), step_by_step), points_c, atol=1e-9)
    np.testing.assert_allclose(invert(T_a_b) @ T_a_b, np.eye(4), atol=1e-9)


@given(directions, directions)
@settings(max_examples=50, deadline=None)
def test_rotation_between_is_the_smallest_rotation(a: np.ndarray, b: np.ndarray) -> None:
    R = rotation_between(a, b)
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    np.testing.assert_allclose(R @ u, v, atol=1e-6)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-6)
    angle = Rotation.from_matrix(R).magnitude()
    np.testing.assert_allclose(angle, np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v), atol=1e-5)


def test_rotation_between_opposite_directions() -> None:
    R = rotation_between([0, 0, 1], [0, 0, -1])
    np.testing.assert_allclose(R @ [0, 0, 1], [0, 0, -1], atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)


@given(arrays(np.float64, 4, elements=numbers).filter(lambda q: np.linalg.norm(q) > 1e-3))
@settings(max_examples=50, deadline=None)
def test_quaternions_are_w_first(wxyz: np.ndarray) -> None:
    expected = Rotation.from_quat(wxyz[[1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(quaternion_to_rotation(wxyz), expected, atol=1e-9)


@pytest.mark.parametrize(
    "matrix, complaint",
    [
        (np.diag([1.0, 1, -1, 1]), "not a rotation"),  # mirrored
        (np.diag([2.0, 2, 2, 1]), "not a rotation"),  # scaled
        (np.full((4, 4), np.nan), "not finite"),
        (np.eye(3), "shape"),
    ],
)
def test_what_is_not_rigid_is_refused(matrix: np.ndarray, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        validate_rigid(matrix, source="calib.txt", field="R0_rect")
    assert str(caught.value).startswith("calib.txt: R0_rect: ")


def test_rounded_text_rotations_pass() -> None:
    rounded = np.round(Rotation.from_euler("xyz", [0.3, -1.2, 2.0]).as_matrix(), 4)
    assert validate_rigid(np.c_[rounded, [1, 2, 3]]).shape == (4, 4)


@pytest.mark.parametrize("shift", [[0.0, 0, 0], [1.0, -2, 0.5]])
def test_without_a_turn_nothing_is_rounded_and_nothing_is_shared(shift: list[float]) -> None:
    points = np.random.default_rng(0).normal(size=(7, 3))
    moved = transform_points(rigid(translation=shift), points)
    assert (moved == points + shift).all()
    assert not np.shares_memory(moved, points)
    assert transform_points(rigid(translation=shift), np.array([[1, 2, 3]])).dtype == np.float64


def test_single_precision_points_can_be_moved_in_double() -> None:
    T = rigid(Rotation.from_euler("z", 0.3).as_matrix(), [4e5, 5e6, 100])
    points = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    for matrix in (T, rigid(translation=T[:3, 3])):
        moved = transform_points(matrix, points, np.float64)
        np.testing.assert_array_equal(moved, transform_points(matrix, points.astype(np.float64)))
        assert moved.dtype == np.float64
    assert transform_points(T, points).dtype == np.float32
