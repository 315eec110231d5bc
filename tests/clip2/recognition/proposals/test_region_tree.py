import numpy as np
import pytest
from support.recognition_stand_ins import box_surface, ground, without_what_is_covered

from clip2.recognition.proposals.region_tree import BORDER_FEATURES, NODE_FEATURES, RegionTree
from clip2.recognition.proposals.room import background_label, choose_nodes, read_room
from clip2.recognition.proposals.surface import build_surface


def a_tree(*merges, leaves):
    """A tree of leaves of 1 dm² and 100 elements each."""
    count = leaves + len(merges)
    children, parent = np.full((count, 2), -1), np.full(count, -1)
    for node, pair in enumerate(merges, start=leaves):
        children[node] = pair
        parent[list(pair)] = node
    features = np.zeros((count, len(NODE_FEATURES)))
    features[:, NODE_FEATURES.index("log_points")] = np.log(100)
    return RegionTree(np.arange(leaves), children, parent, features, np.full(count, 0.01))


def test_a_whole_is_kept_where_it_is_likelier_than_its_parts_together():
    tree = a_tree((0, 1), leaves=2)
    nothing = np.zeros(3)
    assert choose_nodes(tree, np.array([0.4, 0.4, 0.6]), nothing) == ([2], [True])
    nodes, _ = choose_nodes(tree, np.array([0.8, 0.8, 0.7]), nothing)
    assert sorted(nodes) == [0, 1]


def test_what_is_hardly_an_object_is_left_out_and_background_is_named():
    tree = a_tree(leaves=3)
    assert choose_nodes(tree, np.array([0.01, 0.9, 0.0]), np.array([0.0, 0.0, 0.9])) == (
        [2, 1],
        [False, True],
    )


def test_a_tree_as_deep_as_a_long_scan():
    leaves = 5000
    merges = [(0, 1), *((leaves + i, i + 2) for i in range(leaves - 2))]
    tree = a_tree(*merges, leaves=leaves)
    score = np.where(tree.children[:, 0] < 0, 0.9, 0.1)
    assert len(choose_nodes(tree, score, np.zeros(len(score)))[0]) == leaves


def two_boxes_on_a_table():
    table = ((0, 0, 0.35), (1.2, 0.8, 0.7), 0)
    boxes = [((x, 0, 0.76), (0.14, 0.14, 0.12), 0) for x in (-0.2, 0.2)]
    top = without_what_is_covered(box_surface(*table[:2], spacing=0.01), boxes)
    parts = [without_what_is_covered(ground(1.5, 0.02), [table]), top]
    return np.concatenate([*parts, *(box_surface(*box[:2], spacing=0.005) for box in boxes)])


def test_sure_pairs_merge_first_and_every_merge_joins_neighbors():
    room = read_room(two_boxes_on_a_table(), None, None)
    concave = BORDER_FEATURES.index("concavity")
    tree = room.grow(lambda rows, a, b: np.clip(rows[:, concave], 0, 0.99))
    inner, outer = (tree.features[:, NODE_FEATURES.index(name)] for name in ("inner", "outer"))
    merged = np.flatnonzero(tree.parent >= 0)
    assert (inner[tree.parent[merged]] >= outer[merged] - 1e-12).all()
    tops = np.flatnonzero(tree.parent < 0)
    assert (tree.leaf_owners(tops.tolist()) >= 0).all()
    assert tree.area[tops].sum() == pytest.approx(room.rest.area.sum())


def test_nothing_merges_where_everything_is_surely_apart():
    room = read_room(two_boxes_on_a_table(), None, None)
    tree = room.grow(lambda rows, a, b: np.full(len(rows), 2.0))
    assert len(tree.children) == tree.leaves


@pytest.mark.parametrize(
    ("height", "width", "bottom", "level", "label"),
    [
        (2.0, 0.9, 0.0, 0.0, "door"),
        (2.5, 4.0, 0.0, 0.0, "wall"),
        (0.8, 0.6, 0.1, 0.05, "cupboard front"),
        (0.02, 3.0, 2.4, 1.0, "ceiling"),
        (0.02, 3.0, 0.0, 1.0, "floor"),
        (0.02, 3.0, 0.9, 1.0, "level surface"),
    ],
)
def test_parts_of_a_room_are_called_by_their_shape(height, width, bottom, level, label):
    middle, reach = sorted((height, width)) if level < 0.5 else (width / 2, width)
    features = dict.fromkeys(NODE_FEATURES, 0.0) | {
        "flat": np.log(0.01), "height": height, "middle": middle, "reach": reach, "bottom": bottom,
        "top": bottom + height, "level": level, "log_area": np.log(middle * reach),
    }  # fmt: skip
    assert background_label(features) == label


@pytest.mark.parametrize("size", [(6, 5, 0.005), (8, 8, 2)], ids=["a floor", "a full volume"])
def test_a_dense_cloud_gets_as_many_elements_as_allowed_and_no_coarser_ones(size):
    points = np.random.default_rng(0).random((400_000, 3)) * size
    surface = build_surface(points, None, None)
    assert 60_000 / 1.3**3 < len(surface.points) <= 60_000
