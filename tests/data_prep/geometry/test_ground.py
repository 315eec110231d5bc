"""Ground under hand-made streets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.errors import InputError
from data_prep.geometry.ground import GroundMap, height_above_ground
from data_prep.world import ProceduralScan


def carpet(size: float, count: int, seed: int = 0) -> NDArray[np.float64]:
    xy = np.random.default_rng(seed).uniform(-size / 2, size / 2, (count, 2))
    return np.column_stack([xy, np.zeros(count)])


def ground_mask(points: NDArray) -> NDArray[np.bool_]:
    return np.abs(height_above_ground(points)) < 0.2


def box(
    center: tuple[float, float, float], size: tuple[float, float, float], count: int
) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (count, 3)) * size + center


def test_a_flat_floor_with_a_car_and_a_wall() -> None:
    floor = carpet(40, 8000)
    car = box((5, 0, 1.0), (4.4, 1.8, 1.2), 800)
    wall = box((0, 19, 2.3), (40, 0.2, 4.0), 4000)
    ground = ground_mask(np.concatenate([floor, car, wall]))
    assert ground[:8000].mean() > 0.99
    assert not ground[8000:].any()


@pytest.mark.parametrize("slope", [0.05, -0.1, 0.2])
def test_a_slope_with_a_curb(slope: float) -> None:
    street = carpet(40, 12000)
    street[:, 2] = slope * street[:, 0] + np.where(street[:, 1] > 6, 0.15, 0)  # a pavement 15 cm higher
    street[:, 2] += np.random.default_rng(2).normal(0, 0.01, len(street))
    person = box((8, 8, slope * 8 + 0.15 + 1.0), (0.5, 0.5, 1.4), 200)
    ground = ground_mask(np.concatenate([street, person]))
    assert ground[:12000].mean() > 0.98
    assert not ground[12000:].any()


@pytest.mark.parametrize("amplitude", [0.5, 1.0, 2.0])
def test_a_road_over_crests_and_dips(amplitude: float) -> None:
    hill = carpet(80, 20000)
    hill[:, 2] = amplitude * np.cos(hill[:, 0] / 12)
    assert ground_mask(hill).mean() > 0.97


@pytest.mark.parametrize(("beams", "error"), [(16, 0.2), (32, 0.1), (64, 0.05)])
def test_where_beams_reach_only_objects_the_ground_continues_under_them(beams: int, error: float) -> None:
    scan = ProceduralScan("street", frames=3, worlds=3, beams=beams, seed=5)
    errors = []
    for position in range(len(scan)):
        frame, boxes = scan[position], scan.annotations(position).boxes
        boxes = [box for box in boxes if np.linalg.norm(box.center) > 20]
        placed = [box.transformed(frame.T_world_points) for box in boxes]
        bottoms = np.array([box.center[2] - box.size[2] / 2 for box in placed])
        heights = GroundMap.fit(frame.world_points()).height(np.array([box.center[:2] for box in placed]))
        errors += (heights - bottoms)[bottoms < 0.1].tolist()  # the others hang
    assert np.median(np.abs(errors)) < error


@pytest.mark.parametrize("shape", ["hill", "valley"])
def test_hills_that_no_plane_lies_under(shape: str) -> None:
    """A dome 20 m high at its edges' expense, and two flanks of 17 degrees; cars stand all over them."""
    land = carpet(80, 40000)

    def height(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return -(xy**2).sum(axis=1) / 80 if shape == "hill" else 0.3 * np.abs(xy[:, 0])

    land[:, 2] = height(land)
    places = np.random.default_rng(3).uniform(-35, 35, (40, 2))
    cars = np.concatenate([box((x, y, 0), (4.0, 1.8, 0), 150) for x, y in places])
    up = np.random.default_rng(4).uniform(0.3, 1.5, len(cars))
    cars[:, 2] = height(cars[:, :2]) + up
    ground = ground_mask(np.concatenate([land, cars]))
    assert ground[: len(land)].mean() > 0.93
    assert ground[len(land) :].mean() < 0.01


def test_reflections_below_the_ground_do_not_pull_it_down() -> None:
    floor = carpet(40, 8000)
    mirrored = box((3, 3, -2.5), (1, 1, 0.2), 30)
    above = height_above_ground(np.concatenate([floor, mirrored]))
    assert np.abs(above[:8000]).max() < 0.15
    assert above[8000:].max() < -2


def test_height_does_not_depend_on_the_order_of_points_or_on_where_the_world_begins() -> None:
    scene = np.concatenate([carpet(30, 3000), box((2, 2, 0.8), (2, 2, 1.0), 300)])
    expected = height_above_ground(scene)
    order = np.random.default_rng(0).permutation(len(scene))
    np.testing.assert_allclose(height_above_ground(scene[order]), expected[order], atol=1e-9)
    np.testing.assert_allclose(height_above_ground(scene + [5000.0, -300.0, 70.0]), expected, atol=1e-6)


def test_ground_that_is_not_seen_continues_its_surroundings() -> None:
    floor = carpet(40, 8000)
    floor[:, 2] = 0.1 * floor[:, 0]
    seen = floor[np.linalg.norm(floor[:, :2] - [6, 0], axis=1) > 3]
    assert GroundMap.fit(seen).height(np.array([[6.0, 0.0]]))[0] == pytest.approx(0.6, abs=0.05)


def test_few_points() -> None:
    assert ground_mask(np.zeros((0, 3))).shape == (0,)
    assert ground_mask(np.zeros((1, 3))).tolist() == [True]
    assert ground_mask(np.array([[0, 0, 0], [0, 0, 2.0]])).tolist() == [True, False]


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.full((4, 3), np.inf)])
def test_refuses_what_is_no_cloud(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="points"):
        ground_mask(points)


@pytest.mark.parametrize("shape", [(7, 5), (1, 6), (1, 1)])
def test_between_cells_heights_are_bilinear_and_beyond_the_map_those_of_its_border(
    shape: tuple[int, int],
) -> None:
    rng = np.random.default_rng(0)
    ground = GroundMap(rng.normal(size=shape), np.array([3.0, -2.0]), 0.5)
    xy = rng.uniform(-3, 9, (500, 2))
    expected = ndimage.map_coordinates(
        ground.surface, ((xy - ground.origin) / 0.5 - 0.5).T, order=1, mode="nearest"
    )
    np.testing.assert_allclose(ground.height(xy), expected, atol=1e-12)
