import numpy as np
import torch

from clip2.ops import radius_components
from clip2.recognition.proposals.component_tree import ComponentTree


def blob(center, count=60, radius=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(center) + rng.uniform(-radius, radius, size=(count, 3))


def tree_of(points, radii, min_weight=1):
    labels = radius_components(torch.from_numpy(points), torch.tensor(radii)).numpy()
    return ComponentTree.build(labels, np.ones(len(points), np.int64), min_weight)


def members(tree):
    return [set(tree.points(node).tolist()) for node in range(len(tree))]


def test_a_node_lies_within_its_parent_and_comes_before_it():
    rng = np.random.default_rng(3)
    tree = tree_of(rng.uniform(0, 6, (400, 3)), [0.3, 0.5, 0.7, 1.0])
    sets = members(tree)
    inner = [node for node in range(len(tree)) if tree.parent[node] >= 0]
    assert len(inner) > 20
    for node in inner:
        assert tree.parent[node] > node
        assert sets[node] < sets[tree.parent[node]]
        assert tree.born[node] < tree.died[node] == tree.born[tree.parent[node]]


def test_a_cluster_that_does_not_change_is_one_node_for_all_radii():
    points = np.concatenate([blob((0, 0, 0)), blob((10, 0, 0), seed=1)])
    tree = tree_of(points, [0.3, 0.5, 1.0, 2.0], min_weight=30)
    assert sorted(tree.weight) == [60, 60]
    assert (tree.died == 4).all()


def test_crumbs_make_no_second_node():
    points = np.concatenate([blob((0, 0, 0), 200, seed=2), blob((0.7, 0, 0), 4, 0.05, seed=1)])
    tree = tree_of(points, [0.3, 0.8], min_weight=10)
    assert len(tree) == 1


def test_light_clusters_are_left_out():
    assert len(tree_of(blob((0, 0, 0), 5), [0.5, 1.0], min_weight=10)) == 0


def two_and_their_union():
    points = np.concatenate([blob((0, 0, 0)), blob((0.95, 0, 0), seed=1)])
    tree = tree_of(points, [0.3, 1.0], min_weight=30)
    assert tree.weight.tolist() == [60, 60, 120]
    return tree


def test_the_best_sum_is_chosen():
    tree = two_and_their_union()
    assert tree.choose(np.array([1.0, 1.0, 1.9]))[0].tolist() == [0, 1]
    assert tree.choose(np.array([1.0, 1.0, 2.1]))[0].tolist() == [2]


def test_what_is_worth_nothing_is_left_in_its_largest_pieces():
    tree = two_and_their_union()
    chosen, rest = tree.choose(np.array([1.0, -1.0, -1.0]))
    assert chosen.tolist() == [0]
    assert rest.tolist() == [1]
    chosen, rest = tree.choose(np.array([-1.0, -1.0, -1.0]))
    assert chosen.tolist() == []
    assert rest.tolist() == [2]


def test_no_other_choice_has_a_larger_sum():
    rng = np.random.default_rng(5)
    tree = tree_of(rng.uniform(0, 2, (14, 3)), [0.4, 0.6, 0.8, 1.1])
    sets = members(tree)
    for _ in range(5):
        value = rng.normal(size=len(tree))
        best = 0.0
        for bits in range(1 << min(len(tree), 14)):
            nodes = [node for node in range(len(tree)) if bits >> node & 1]
            if sum(len(sets[n]) for n in nodes) == len(set().union(*(sets[n] for n in nodes))):
                best = max(best, value[nodes].sum())
        if len(tree) <= 14:
            assert value[tree.choose(value)[0]].sum() >= best - 1e-9
