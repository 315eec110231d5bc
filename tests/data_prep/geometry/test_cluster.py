"""Connected components against the graph written out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse.csgraph import connected_components as graph_components

from data_prep.errors import InputError
from data_prep.geometry.cluster import connected_components


def by_brute_force(points: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    radii = np.broadcast_to(radius, len(points))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    return graph_components(distance <= (radii[:, None] + radii) / 2, directed=False)[1]


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a, b]), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


# Eighths are exact in binary: no distance is a rounding error away from a radius.
eighths = st.integers(-24, 24).map(lambda n: n / 8)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(1, 40), st.just(3)), elements=eighths), st.integers(1, 20))
def test_equals_the_graph_of_one_radius(points: np.ndarray, eighth: int) -> None:
    assert same_partition(connected_components(points, eighth / 8), by_brute_force(points, eighth / 8))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(float, st.tuples(st.integers(1, 40), st.just(3)), elements=eighths), st.integers(0, 2**32 - 1)
)
def test_equals_the_graph_of_radii_of_their_own(points: np.ndarray, seed: int) -> None:
    radii = 2.0 ** np.random.default_rng(seed).integers(-3, 2, len(points))
    assert same_partition(connected_components(points, radii), by_brute_force(points, radii))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_equals_the_graph_of_many_crowded_and_lonely_points(scale: float) -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(0, 1, (600, 3)), rng.uniform(-9, 9, (300, 3))]) * scale
    for radius in (0.2 * scale, 0.7 * scale, scale):
        assert same_partition(connected_components(points, radius), by_brute_force(points, radius))


@pytest.mark.parametrize("own_radii", [False, True])
def test_what_a_smaller_radius_joined_need_not_be_found_anew(own_radii: bool) -> None:
    random = np.random.default_rng(8)
    points = random.normal(size=(600, 3)) * [1, 1, 0.2]
    radius = random.uniform(0.1, 0.3, 600) if own_radii else 0.2
    labels = None
    for step in range(5):
        labels = connected_components(points, radius * 1.3**step, labels)
        assert np.array_equal(labels, connected_components(points, radius * 1.3**step))
    with pytest.raises(InputError, match="joined: has shape"):
        connected_components(points, 0.1, np.zeros(3, np.int64))


def test_a_radius_of_nothing_beside_the_extent_joins_only_equal_points() -> None:
    points = np.array([[0, 0, 0], [1e30, 0, 0], [1e30, 0, 0], [2e30, -1e30, 0]])
    assert connected_components(points, 1e-6).tolist() == [0, 1, 1, 2]
    assert connected_components(points, np.array([1e-6, 1e-6, 1.0, 1.0])).tolist() == [0, 1, 1, 2]


def test_a_distance_of_exactly_the_radius_joins() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [2.0001, 0, 0]])
    assert connected_components(points, 1.0).tolist() == [0, 0, 1]


def test_radii_differ_and_half_of_each_counts() -> None:
    points = np.array([[0, 0, 0], [2.0, 0, 0]])
    assert connected_components(points, np.array([1.0, 3.0])).tolist() == [0, 0]
    assert connected_components(points, np.array([1.0, 2.9])).tolist() == [0, 1]


def test_labels_are_numbered_by_first_point_and_follow_a_permutation() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4, (300, 3))
    labels = connected_components(points, 0.5)
    _, first = np.unique(labels, return_index=True)
    assert (np.diff(first) > 0).all()
    shuffled = rng.permutation(300)
    assert same_partition(connected_components(points[shuffled], 0.5), labels[shuffled])


def test_points_a_million_radii_apart_need_no_grid_between_them() -> None:
    points = np.array([[0, 0, 0], [1e9, 1e9, -1e9], [1e9 + 0.5, 1e9, -1e9], [-1e9, 0, 5]])
    assert connected_components(points, 1.0).tolist() == [0, 1, 1, 2]


def test_memory_does_not_grow_with_the_neighborhood() -> None:
    points = np.random.default_rng(0).normal(size=(5000, 3))  # all 25 million pairs are neighbors
    tracemalloc.start()
    assert connected_components(points, 20.0).max() == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * len(points)


def test_one_point_and_none() -> None:
    assert connected_components(np.zeros((1, 3)), 0.1).tolist() == [0]
    assert connected_components(np.zeros((0, 3)), 0.1).shape == (0,)


@pytest.mark.parametrize(
    ("points", "radius"),
    [
        (np.zeros((2, 2)), 1.0),
        (np.full((2, 3), np.nan), 1.0),
        (np.zeros((2, 3)), 0.0),
        (np.zeros((2, 3)), np.ones(3)),
        (np.zeros((2, 3)), np.nan),
    ],
)
def test_refuses_what_has_no_graph(points: np.ndarray, radius: float) -> None:
    with pytest.raises(InputError):
        connected_components(points, radius)
