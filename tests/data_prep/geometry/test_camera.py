"""Projection worked by hand, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, Distortion, invert, rigid
from data_prep.scans import View

K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
# Camera axes (x right, y down, z forward) in a frame with x forward, y left, z up; the camera 1 m ahead.
T_VELO_CAM = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [1, 0, 0])
LENSES = [
    Distortion(),
    Distortion("radtan", (-0.28, 0.07, 1e-3, -5e-4)),
    Distortion("radtan", (0.1, -0.05, 1e-3, -5e-4, 0.01)),
    Distortion("fisheye", (-0.01, 0.02, -0.003, 0.0005)),
    Distortion("fisheye", (0.0, 0.0, 0.0, 0.0)),
]


def test_pinhole_projection_by_hand() -> None:
    uv, depth = Camera(K, 100, 80).project(np.array([[1.0, 2.0, 4.0]]))
    np.testing.assert_allclose(uv, [[50 + 100 / 4, 40 + 200 / 4]])
    np.testing.assert_allclose(depth, [4])


def test_projection_through_a_mounted_camera_by_hand() -> None:
    # Five meters ahead, one to the left, two up: four meters from the camera, left of and above its axis.
    uv, depth = Camera(K, 100, 80, T_VELO_CAM).project(np.array([[5.0, 1.0, 2.0]]))
    np.testing.assert_allclose(uv, [[50 - 25, 40 - 50]])
    np.testing.assert_allclose(depth, [4])


def test_radial_distortion_by_hand() -> None:
    # r = 0.5: 0.5 (1 + 0.1 · 0.25) = 0.5125; tangential p1 adds p1 (r² + 2y²) = 0.01 · 0.25 to y.
    lens = Distortion("radtan", (0.1, 0.0, 0.01, 0.0))
    uv, _ = Camera(K, 200, 80, distortion=lens).project(np.array([[0.5, 0.0, 1.0]]))
    np.testing.assert_allclose(uv, [[50 + 51.25, 40 + 0.25]])


def test_equidistant_fisheye_maps_angle_to_radius() -> None:
    lens = Distortion("fisheye", (0.0, 0.0, 0.0, 0.0))
    angle = np.radians([0, 30, 60, 80])
    points = np.stack([np.sin(angle), np.zeros(4), np.cos(angle)], axis=1)
    uv, _ = Camera(K, 300, 80, distortion=lens).project(points)
    np.testing.assert_allclose(uv[:, 0], 50 + 100 * angle)


@pytest.mark.parametrize("lens", LENSES, ids=str)
@given(
    uv=arrays(np.float64, (6, 2), elements=st.floats(-0.5, 79.5)),
    depth=arrays(np.float64, 6, elements=st.floats(0.1, 100)),
)
@settings(max_examples=25, deadline=None)
def test_unproject_then_project_returns_the_pixel(
    lens: Distortion, uv: np.ndarray, depth: np.ndarray
) -> None:
    camera = Camera(K, 100, 80, T_VELO_CAM, lens)
    back, z = camera.project(camera.unproject_pixels(uv, depth))
    np.testing.assert_allclose(back, uv, atol=1e-5)
    np.testing.assert_allclose(z, depth, rtol=1e-9)


def test_a_direction_beyond_the_lens_model_has_no_pixel() -> None:
    # r (1 - 0.3 r²) turns back at r = 1.054; at r = 1.8 it would fall near the middle of the image.
    lens = Distortion("radtan", (-0.3, 0.0, 0.0, 0.0))
    assert lens.reach == pytest.approx(np.sqrt(1 / 0.9))
    uv, _ = Camera(K, 200, 200, distortion=lens).project(np.array([[1.8, 0.0, 1.0], [0.9, 0.0, 1.0]]))
    assert np.isnan(uv[0]).all()
    np.testing.assert_allclose(uv[1, 0], 50 + 100 * 0.9 * (1 - 0.3 * 0.81))


def test_points_behind_and_on_the_image_plane_have_no_pixel() -> None:
    camera = Camera(K, 100, 80)
    uv, _ = camera.project(np.array([[0.0, 0, -5], [1, 1, 0], [0, 0, 5]]))
    assert camera.in_image(uv).tolist() == [False, False, True]


@pytest.mark.parametrize("lens", LENSES, ids=str)
def test_a_depth_image_becomes_points_in_row_order(lens: Distortion) -> None:
    camera = Camera(K, 100, 80, T_VELO_CAM, lens)
    depth = np.zeros((80, 100), np.float32)
    depth[10, 20], depth[10, 30], depth[60, 5] = 2.0, 3.0, 4.0
    depth[70, 70], depth[71, 71] = np.nan, np.inf
    points, pixels = camera.unproject(depth)
    assert pixels.tolist() == [1020, 1030, 6005]
    assert points.dtype == np.float32
    uv, z = camera.project(points)
    np.testing.assert_allclose(uv, [[20, 10], [30, 10], [5, 60]], atol=1e-3)
    np.testing.assert_allclose(z, [2, 3, 4], rtol=1e-6)


def test_pixels_without_a_direction_are_left_out() -> None:
    # The largest distorted radius of this lens is 1.054 · 2/3 = 0.703: the corner at (4, 3) has none.
    camera = Camera(np.diag([10.0, 10, 1]) + [[0, 0, 4], [0, 0, 3], [0, 0, 0]], 20, 20,
                    distortion=Distortion("radtan", (-0.3, 0.0, 0.0, 0.0)))  # fmt: skip
    points, pixels = camera.unproject(np.ones((20, 20), np.float32))
    radius = np.hypot(pixels % 20 - 4, pixels // 20 - 3) / 10
    assert len(points) == len(pixels)
    assert radius.max() < 0.7028
    assert len(pixels) == (np.hypot(*(np.mgrid[:20, :20] - [[[3]], [[4]]])) / 10 < 0.7028).sum()


def test_float32_projection_agrees_with_float64_to_a_hundredth_of_a_pixel() -> None:
    points = np.random.default_rng(0).uniform([2, -40, -3], [80, 40, 3], (1000, 3))
    camera = Camera(np.array([[720.0, 0, 610], [0, 720, 173], [0, 0, 1]]), 1242, 375, T_VELO_CAM)
    exact, rough = camera.project(points)[0], camera.project(points.astype(np.float32))[0]
    inside = camera.in_image(exact)
    np.testing.assert_allclose(rough[inside], exact[inside], atol=1e-2)
    np.testing.assert_allclose(invert(camera.T_points_cam), camera.T_cam_points)


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Camera(np.zeros((3, 3)), 10, 10), "camera.K"),
        (lambda: Camera(np.full((3, 3), np.nan), 10, 10), "camera.K"),
        (lambda: Camera(K, 0, 10), "camera size"),
        (lambda: Camera(K, 10, 10, np.diag([1.0, 1, -1, 1])), "T_points_cam"),
        (lambda: Distortion("radtan", (0.1,)), "distortion.coefficients"),
        (lambda: Distortion("radtan", (0.1, 0, 0, np.nan)), "distortion.coefficients"),
        (lambda: Distortion("plumb", ()), "distortion.model"),  # type: ignore[arg-type]
        (lambda: Camera(K, 10, 10).unproject(np.ones((4, 4))), "depth"),
    ],
)
def test_impossible_cameras_name_the_field(make: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field


def test_an_image_of_another_size_than_its_camera_is_a_bad_frame() -> None:
    with pytest.raises(BadFrameError, match=r"a\.png: image: is uint8 \(40, 50, 3\)"):
        View("a.png", Camera(K, 100, 80), np.zeros((40, 50, 3), np.uint8))
