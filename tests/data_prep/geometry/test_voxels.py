import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import InputError
from data_prep.geometry import voxels
from data_prep.geometry.voxels import thin, voxel_codes, voxel_index


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.floats(0.05, 2.0), st.integers(0, 10_000))
def test_points_of_a_voxel_lie_together(count, size, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3)) * 3
    first, voxel = voxel_index(points, size)
    assert (voxel[first] == np.arange(len(first))).all()
    assert set(voxel) == set(range(len(first)))
    for v in range(len(first)):
        assert np.ptp(points[voxel == v], axis=0).max() <= size + 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), st.sampled_from([np.float32, np.float64]), st.integers(0, 10_000))
def test_voxels_are_numbered_by_their_first_points(count, dtype, seed):
    points = (np.random.default_rng(seed).normal(size=(count, 3)) * [3, 2, 1]).astype(dtype)
    _, first, voxel = np.unique(
        np.floor((points - points.min(axis=0)) / 0.5), axis=0, return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first))
    got_first, got_voxel = voxel_index(points, 0.5)
    assert got_first.tolist() == sorted(first)
    assert got_voxel.tolist() == rank[voxel.reshape(-1)].tolist()


def test_a_cloud_too_wide_for_its_voxels_is_refused():
    with pytest.raises(InputError, match="too far"):
        voxel_index(np.array([[0.0, 0, 0], [1e9, 1e9, 1e9]]), 1e-3)


@pytest.mark.parametrize("size", [0.0, -0.02, float("inf"), float("nan")])
def test_a_voxel_has_a_size(size):
    with pytest.raises(InputError, match="voxel size: is"):
        voxel_index(np.zeros((1, 3)), size)


def test_codes_of_two_clouds_can_be_compared():
    origin = [4.5e5, 5.4e6, 100]
    first = voxel_codes(origin + np.array([[0.01, 0.01, 0.01], [1, 0, 0]]), 0.1, origin)
    second = voxel_codes(origin + np.array([[0.09, 0.05, 0.02], [-1, 0, 0]]), 0.1, origin)
    assert first[0] == second[0]
    assert len({*first, *second}) == 3


def test_thinning_keeps_few_points_and_each_near_those_it_stands_for(monkeypatch):
    monkeypatch.setattr(voxels, "_BLOCK", 700)  # so that blocks are joined
    points = np.random.default_rng(0).uniform(0, [4, 3, 0.01], (5000, 3))
    kept, stands_for = thin(points, 400)
    assert 200 < len(kept) <= 400
    assert (stands_for[kept] == np.arange(len(kept))).all()
    assert np.linalg.norm(points - points[kept][stands_for], axis=1).max() < 0.8  # 400 on 12 m²: 0.17 m apart


def test_thinning_leaves_a_small_cloud_and_counts_a_vast_one():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 1e8
    assert [part.tolist() for part in thin(points, 50)] == [[*range(50)]] * 2
    kept, stands_for = thin(np.concatenate([points, points]), 60)
    assert len(kept) == 50
    assert stands_for.tolist() == [*range(50)] * 2
