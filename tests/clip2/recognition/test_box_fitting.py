import numpy as np
import pytest
from recognition_stand_ins import box_surface

from clip2.recognition import fit_upright_box


def angle_between(a: float, b: float, period: float = np.pi) -> float:
    return abs((a - b + period / 2) % period - period / 2)


@pytest.mark.parametrize("yaw", [-80, -35, 0, 7, 44, 60, 89])
def test_recovers_a_whole_box(yaw):
    points = box_surface((4.0, -2.0, 1.0), (3.9, 1.6, 1.5), np.deg2rad(yaw))
    box = fit_upright_box(points)
    assert box.center == pytest.approx([4.0, -2.0, 1.0], abs=0.03)
    assert box.size == pytest.approx([3.9, 1.6, 1.5], abs=0.05)
    assert angle_between(box.yaw, np.deg2rad(yaw)) < np.deg2rad(2)


@pytest.mark.parametrize("yaw", [-60, 0, 25])
def test_two_visible_sides_are_enough(yaw):
    points = box_surface((0.0, 0.0, 0.0), (4.0, 1.8, 1.4), 0.0, spacing=0.05)
    seen = points[(points[:, 0] == 2.0) | (points[:, 1] == -0.9)]  # an L: front and right side, no roof
    c, s = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
    box = fit_upright_box(seen @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [10, 5, 1])
    assert box.size == pytest.approx([4.0, 1.8, 1.4], abs=0.1)
    assert angle_between(box.yaw, np.deg2rad(yaw)) < np.deg2rad(3)


def test_length_is_the_longer_side():
    box = fit_upright_box(box_surface((0, 0, 0), (0.5, 2.0, 1.0)))
    assert box.size[0] == pytest.approx(2.0, abs=0.05)
    assert angle_between(box.yaw, np.pi / 2) < 0.03


def test_a_stray_point_does_not_stretch_the_box():
    points = box_surface((0, 0, 0), (1.0, 0.6, 0.8))
    box = fit_upright_box(np.vstack([points, [[3.0, 3.0, 3.0]]]))
    assert box.size == pytest.approx([1.0, 0.6, 0.8], abs=0.05)


def test_one_point_is_a_box_without_extent():
    box = fit_upright_box(np.array([[1.0, 2.0, 3.0]]))
    assert box.center.tolist() == [1, 2, 3]
    assert box.size.tolist() == [0, 0, 0]


def test_moves_with_its_points():
    points = box_surface((0, 0, 0), (1.0, 0.6, 0.8), 0.3)
    far = np.array([6e5, 5.4e6, 120.0])  # UTM
    assert fit_upright_box(points + far).center == pytest.approx(
        fit_upright_box(points).center + far, abs=1e-6
    )
