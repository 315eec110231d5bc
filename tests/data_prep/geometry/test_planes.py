import numpy as np
import pytest

from data_prep.geometry.planes import estimate_normals, main_direction, room_planes

SPACING = 0.05


def grid(low, high):
    """(n, 3) points on an axis-aligned rectangle or in a box, every 5 cm."""
    axes = [np.arange(a, b + SPACING / 2, SPACING) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def turned(points, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


PARTS = {
    "floor": grid((0, 0, 0), (4, 3, 0)),
    "ceiling": grid((0, 0, 2.5), (4, 3, 2.5)),
    "wall": grid((0, 3, 0.1), (4, 3, 2.4)),
    "table": grid((1, 1, 0.75), (2.6, 1.9, 0.75)),
    "cupboard": grid((3, 0.5, 0.1), (3, 1.4, 1.9)),  # 90 cm wide: a smaller upright patch is furniture
}


@pytest.mark.parametrize("yaw", [0, 33, 71])
def test_a_room_is_told_from_what_stands_in_it(yaw):
    points = turned(np.concatenate(list(PARTS.values())), yaw) + [50, -20, 7]
    part = np.repeat(list(PARTS), [len(p) for p in PARTS.values()])
    room = room_planes(points, estimate_normals(points)[0], np.full(len(points), SPACING**2))
    assert room.floor_height == pytest.approx(7.0, abs=0.01)
    assert room.floor[part == "floor"].mean() > 0.99
    assert room.ceiling[part == "ceiling"].mean() > 0.99
    assert room.walls[part == "wall"].mean() > 0.9
    assert room.any[part == "table"].mean() == 0
    assert room.any[part == "cupboard"].mean() < 0.05


def test_normals_of_a_slope():
    points = grid((0, 0, 0), (1, 1, 0))
    points[:, 2] = 0.5 * points[:, 0]
    normals, variation = estimate_normals(points)
    expected = np.array([-0.5, 0, 1]) / np.sqrt(1.25)
    assert np.abs(normals @ expected) == pytest.approx(np.ones(len(points)), abs=1e-6)
    assert variation == pytest.approx(np.zeros(len(points)), abs=1e-9)


@pytest.mark.parametrize("yaw", [0.0, 12.0, 44.9, 89.5])
def test_main_direction_is_that_of_the_walls(yaw):
    walls = np.concatenate([grid((0, 0, 0), (4, 0, 2)), grid((0, 0, 0), (0, 3, 2))])
    found = np.rad2deg(main_direction(estimate_normals(turned(walls, yaw))[0]))
    assert abs((found - yaw + 45) % 90 - 45) < 0.5


def test_a_floor_alone_has_no_direction():
    assert main_direction(np.tile([0.0, 0, 1], (5, 1))) == 0.0
