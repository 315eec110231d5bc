import numpy as np
import pytest

import data_prep.native as native
from clip2.recognition.proposals.cuts import cut_at_valleys
from clip2.recognition.proposals.lidar import find_candidates, propose_lidar
from data_prep import open_scan

EYE = np.array([0.0, 0.0, 1.8])


def swept(things, beams=128, low=-22.5, high=22.5, steps=1024):
    """(N, 3) points of a sweep over flat ground, and for each the number of the thing it lies on, -1 for ground.

    A thing is an upright box: x, y of its center, and its length, width and height in meters.
    """
    elevation, azimuth = (
        a.ravel()
        for a in np.meshgrid(
            np.deg2rad(np.linspace(low, high, beams)), np.linspace(-np.pi, np.pi, steps, endpoint=False)
        )
    )
    ray = np.column_stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    with np.errstate(divide="ignore"):
        reach = np.where(ray[:, 2] < 0, -EYE[2] / ray[:, 2], np.inf)
        owner = np.full(len(ray), -1)
        for number, (x, y, *size) in enumerate(things):
            low_end = np.array([x - size[0] / 2, y - size[1] / 2, 0.0]) - EYE
            ends = np.stack([low_end / ray, (low_end + size) / ray])
            enter, leave = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
            hit = (enter < leave) & (enter > 0) & (enter < reach)
            reach[hit], owner[hit] = enter[hit], number
    kept = reach < 90
    reach = reach[kept] + 0.01 * np.random.default_rng(0).standard_normal(kept.sum())
    return EYE + ray[kept] * reach[:, None], owner[kept]


def best_overlap(found, mask):
    return max(
        (np.isin(index, np.flatnonzero(mask)).sum() / len(np.union1d(index, np.flatnonzero(mask)))
         for index in found.objects().indices),
        default=0.0,
    )  # fmt: skip


def test_a_person_50_m_away_with_8_points_is_found():
    points, owner = swept([(50.0, 0.2, 0.3, 0.5, 1.75), (20.0, -6.0, 4.2, 1.8, 1.5)], beams=96)
    assert (owner == 0).sum() == 8
    found = propose_lidar(points, EYE)
    assert best_overlap(found, owner == 0) >= 0.5
    assert best_overlap(found, owner == 1) >= 0.5


def test_a_car_in_a_row_of_parked_ones_is_one_object():
    points, owner = swept([(x, 5.0, 4.2, 1.8, 1.5) for x in (-5.0, 0.0, 5.0)], 64, -24.8, 2.0, 1900)
    found = propose_lidar(points, EYE)
    for number in range(3):
        assert best_overlap(found, owner == number) >= 0.8


def test_people_shoulder_to_shoulder_are_cut_between_their_heads():
    rng = np.random.default_rng(0)
    along = np.arange(0, 1.5, 0.05)
    top = np.where(np.abs((along % 0.5) - 0.25) < 0.12, 1.75, 1.4)  # three heads, 0.5 m apart
    x = np.repeat(along, 20)
    height = rng.uniform(0.2, 1, len(x)) * np.repeat(top, 20)
    height[::20] = top
    xy = np.column_stack([x, rng.normal(0, 0.05, len(x))])
    parts = cut_at_valleys(xy, height, np.zeros(len(x), np.int64))
    heads = [parts[np.abs(x - center) < 0.08] for center in (0.25, 0.75, 1.25)]
    assert [len(np.unique(head)) for head in heads] == [1, 1, 1]
    assert len({head[0] for head in heads}) == 3


def test_one_cluster_keeps_its_cuts_to_itself():
    x = np.tile(np.arange(8) * 0.15, 2)
    height = np.concatenate([np.full(8, 1.0), [1.0, 1.7, 1.7, 1.0, 1.0, 1.7, 1.7, 1.0]])
    labels = np.repeat([0, 1], 8)
    parts = cut_at_valleys(np.column_stack([x, 10.0 * labels]), height, labels)
    assert len(np.unique(parts[:8])) == 1
    assert len(np.unique(parts[8:])) == 2
    assert not set(parts[:8]) & set(parts[8:])


@pytest.fixture(scope="module")
def city():
    """Proposals of two sweeps of cities that the scorer was not trained on, with instances and background."""
    seen = []
    for seed, beams in ((501, 32), (502, 64)):
        scan = open_scan("procedural", "city", frames=1, seed=seed, beams=beams, image_size=(16, 16))
        frame, truth = scan[0], scan.ground_truth(0)
        seen.append((propose_lidar(frame.world_points(), frame.T_world_points[:3, 3]), truth))
    return seen


def test_objectness_is_how_often_a_proposal_is_an_object(city):
    said, true = [], []
    for found, truth in city:
        for index, objectness in zip(found.objects().indices, found.objects().objectness, strict=True):
            own, counts = np.unique(truth.instances[index], return_counts=True)
            counts, own = counts[own >= 0], own[own >= 0]
            whole = np.array([(truth.instances == i).sum() for i in own], int)
            true.append((counts / (whole + len(index) - counts)).max(initial=0) >= 0.5)
            said.append(objectness)
    said, true = np.array(said), np.array(true)
    assert len(said) > 80
    assert said.mean() == pytest.approx(true.mean(), abs=0.1)
    assert true[said > 0.8].mean() > true[said < 0.5].mean() + 0.4


def test_background_is_called_by_its_name_and_holds_no_objects(city):
    kinds = {"building": "built", "wall": "built", "hedge": "vegetation", "bush": "vegetation"}
    right = named = on_objects = 0
    for found, truth in city:
        for label, index in zip(found.background, found.indices, strict=True):
            if label is not None:
                true = np.array([kinds.get(str(name), str(name)) for name in truth.background[index]])
                right += (true == kinds.get(label, label)).sum()
                on_objects += (truth.instances[index] >= 0).sum()
                named += len(index)
    assert named > 8_000
    assert right / named > 0.8
    assert on_objects / named < 0.05


def test_clusters_and_features_are_the_same_without_the_native_library(instruction_set, monkeypatch):
    points, _ = swept([(x, 5.0, 4.2, 1.8, 1.5) for x in (-5.0, 0.0, 5.0)], 32, -24.8, 2.0, 900)
    ours = find_candidates(points, EYE)
    monkeypatch.setattr(native, "problem", lambda: "not built")
    plain = find_candidates(points, EYE)
    assert np.array_equal(ours.tree.order, plain.tree.order)
    assert np.array_equal(ours.voxel, plain.voxel)
    np.testing.assert_allclose(ours.features, plain.features, rtol=1e-6, atol=1e-6)
