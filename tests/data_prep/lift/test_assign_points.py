"""Points that several boxes want."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.lift.assign_points import assign_points


class Clusters:
    """A box that may choose among fixed clusters by the free points' weights."""

    def __init__(self, *clusters: dict[int, float]) -> None:
        self.clusters = clusters

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        says = [sum(w for i, w in cluster.items() if free[i]) for cluster in self.clusters]
        chosen = self.clusters[int(np.argmax(says))]
        return np.array(list(chosen), np.int64), np.array(list(chosen.values())), max(says)


RANGES = np.array([10.0] * 5 + [70.0] * 2)
SIDE_BY_SIDE = np.array([[0, 0, 20, 20], [18, 0, 38, 20]])


def test_a_box_whose_cluster_is_held_does_not_take_an_echo_far_behind() -> None:
    near, behind = dict.fromkeys(range(5), 1.0), dict.fromkeys((5, 6), 1e-6)
    weaker = {i: 0.5 * w for i, w in near.items()}
    owner = assign_points([Clusters(near), Clusters(weaker, behind)], RANGES, SIDE_BY_SIDE, np.ones(2))
    assert owner.tolist() == [0] * 5 + [-1] * 2
    # What is plausible is taken.
    behind = dict.fromkeys((5, 6), 0.3)
    owner = assign_points([Clusters(near), Clusters(weaker, behind)], RANGES, SIDE_BY_SIDE, np.ones(2))
    assert owner.tolist() == [0] * 5 + [1] * 2


def test_a_small_box_keeps_its_thing_inside_a_surer_large_box() -> None:
    """The large box's cluster runs on over a person beside the truck; the person is central to its own box alone."""
    truck = {0: 1.0, 1: 1.0, 2: 1.0, 3: 0.1, 4: 0.1}
    person = {3: 1.0, 4: 1.0}
    scores = np.array([0.9, 0.5])
    inside = np.array([[0, 0, 100, 60], [80, 20, 90, 50]])
    assert assign_points([Clusters(truck), Clusters(person)], RANGES, inside, scores)[:5].tolist() == [
        0,
        0,
        0,
        1,
        1,
    ]
    # Two boxes of one thing: the surer one has it.
    alike = np.array([[0, 0, 100, 60], [5, 0, 95, 60]])
    assert assign_points([Clusters(truck), Clusters(person)], RANGES, alike, scores)[:5].tolist() == [0] * 5
