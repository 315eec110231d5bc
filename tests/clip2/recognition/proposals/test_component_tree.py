import numpy as np

from clip2.recognition.proposals.component_tree import stable_clusters


def blob(center, count=60, radius=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(center) + rng.uniform(-radius, radius, size=(count, 3))


def anything(points, lengths):
    return True


def test_two_blobs_far_apart_are_two():
    points = np.concatenate([blob((0, 0, 0)), blob((10, 0, 0), seed=1)])
    found = stable_clusters(points, [0.3, 0.5, 1.0, 2.0], anything)
    assert sorted(map(len, found)) == [60, 60]


def test_a_short_gap_is_bridged_when_the_whole_lasts_longer():
    # Parts 0.35 apart: they are two only at the smallest of five radii.
    points = np.concatenate([blob((0, 0, 0)), blob((0.95, 0, 0), seed=1)])
    assert len(stable_clusters(points, [0.25, 0.5, 0.75, 1.1, 1.6], anything)) == 1


def test_what_cannot_be_one_object_is_split():
    points = np.concatenate([blob((0, 0, 0)), blob((0.95, 0, 0), seed=1)])
    found = stable_clusters(
        points,
        [0.25, 0.5, 0.75, 1.1, 1.6],
        lambda cluster, lengths: np.ptp(cluster[:, 0]) == lengths[0] < 1.0,
    )
    assert len(found) == 2


def test_crumbs_stay_with_their_object():
    points = np.concatenate([blob((0, 0, 0), 200), blob((0.7, 0, 0), 12, 0.05, seed=1)])
    found = stable_clusters(points, [0.3, 0.5, 0.8], anything)
    assert [len(index) for index in found] == [212]


def test_light_clusters_are_dropped():
    assert stable_clusters(blob((0, 0, 0), 5), [0.5, 1.0], anything, min_weight=10) == []
    assert stable_clusters(np.zeros((0, 3)), [0.5, 1.0], anything) == []


def test_weights_count_as_points():
    points = blob((0, 0, 0), 5)
    found = stable_clusters(points, [0.5, 1.0], anything, weights=np.full(5, 4), min_weight=10)
    assert [index.tolist() for index in found] == [[0, 1, 2, 3, 4]]
