import numpy as np
import pytest
from support.recognition_stand_ins import box_surface

from clip2.recognition import fit_upright_box
from data_prep.geometry.upright_box import fit_upright_boxes


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


def plainly_fitted(points, trim=0.002):
    """The same search without any haste: center, size, cosine and sine of the yaw."""
    middle = points.mean(axis=0)
    local = points - middle
    outline = local[:: max(1, len(local) // 600), :2]
    scale = max(0.03, 0.02 * np.ptp(outline, axis=0).max())

    def merit(degrees):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        sides, area = [], 1.0
        for along in (outline @ [c, s], outline @ [-s, c]):
            to_low, to_high = along - along.min(), along.max() - along
            sides.append(to_low if to_low.sum() < to_high.sum() else to_high)
            area *= np.ptp(along) + scale
        return np.log((1 / np.maximum(np.minimum(*sides), scale)).mean()) - np.log(area)

    coarse = max(np.arange(0, 90, 3), key=merit)
    degrees = max(coarse + np.arange(-3, 3.1, 0.5), key=merit)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    low, high = np.quantile(local @ turn, [trim, 1 - trim], axis=0)
    return turn, middle + turn @ (low + high) / 2, high - low


def test_many_at_once_are_what_each_is_by_itself():
    rng = np.random.default_rng(0)
    clouds = [
        rng.normal(size=(count, 3)) * rng.uniform(0.02, 3, 3) + rng.uniform(-50, 50, 3)
        for count in [1, 2, 3, *rng.integers(4, 3000, 40)]
    ]
    for cloud, box in zip(clouds, fit_upright_boxes(clouds), strict=True):
        turn, center, size = plainly_fitted(cloud)
        np.testing.assert_allclose(box.center, center, atol=1e-9)
        # Its sides are those of the plain box, the longer one first.
        np.testing.assert_allclose(box.size, [*sorted(size[:2], reverse=True), size[2]], atol=1e-9)
        if len(cloud) > 1:
            assert abs(box.rotation[:, 0] @ turn[:, int(size[1] > size[0])]) == pytest.approx(1, abs=1e-12)
    assert fit_upright_boxes([]) == []
