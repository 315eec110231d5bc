import numpy as np
import pytest

from data_prep.geometry.planes import close_plane, estimate_normals, main_direction, room_planes

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


def test_a_row_of_cupboards_with_the_wall_behind_it_is_no_wall():
    wall, fronts = grid((0, 3, 0.1), (4, 3, 2.4)), grid((1, 2.4, 0.1), (3.2, 2.4, 1.9))
    covered = (np.abs(wall[:, 0] - 2.1) < 0.8) & (wall[:, 2] < 1.7)
    points = np.concatenate([wall[~covered], fronts])
    room = room_planes(points, np.tile([0.0, -1, 0], (len(points), 1)), np.full(len(points), SPACING**2))
    assert room.walls[: -len(fronts)].mean() > 0.9
    assert not room.walls[-len(fronts) :].any()


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


def table_seen_from(distance):
    """Points of a table with a box on it in front of a camera at the origin, and its normal: 75° from z."""
    rng = np.random.default_rng(0)
    normal = np.array([0, -np.sin(np.deg2rad(75)), np.cos(np.deg2rad(75))])
    across = np.array([1.0, 0, 0])
    along = np.cross(normal, across)
    table = rng.uniform(-0.5, 0.5, (4000, 2)) @ np.array([across, along])
    box = rng.uniform(-0.1, 0.1, (800, 2)) @ np.array([across, along]) + 0.15 * normal
    points = np.concatenate([table, box]) * distance + np.array([0, distance, 0])
    return points + rng.normal(0, 0.002, points.shape), normal


def test_a_table_that_fills_a_close_view_is_level_whatever_the_tilt():
    points, normal = table_seen_from(0.6)

    found = close_plane(points, np.zeros(3))

    assert found is not None
    assert found @ normal > np.cos(np.deg2rad(1))


def test_a_plane_across_the_room_may_be_a_wall():
    points, _ = table_seen_from(2.0)

    assert close_plane(points, np.zeros(3)) is None


def test_a_close_view_without_a_plane_says_nothing_about_up():
    ball = np.random.default_rng(0).normal(size=(3000, 3))
    ball = 0.3 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + [0, 0.6, 0]

    assert close_plane(ball, np.zeros(3)) is None
