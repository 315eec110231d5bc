import logging

import numpy as np
import pytest

from clip2.recognition import propose_objects
from data_prep import open_scan
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.strays import far_strays, without_strays

STRAYS = [
    [1e3, 1e3, 0],
    [3e3, -3e3, 0],
    [1e5, 0, 0],
    [1e19, 0, 0],
    [3e38, 1, 0],
    [0, 0, 1e12],
    [-1e10, 2e19, 5],
]


@pytest.fixture(scope="module")
def sweep():
    frame = open_scan("procedural", "street", frames=1, seed=5)[0]
    return frame.world_points(), frame.T_world_points[:3, 3]


@pytest.mark.parametrize("stray", STRAYS, ids=str)
def test_one_stray_changes_neither_the_ground_nor_the_objects(sweep, stray, caplog):
    points, viewpoint = sweep
    with_stray = np.vstack([points, [stray]])
    before, after = (GroundMap.fit(p).surface for p in (points, with_stray))
    np.testing.assert_array_equal(before, after)
    with caplog.at_level(logging.WARNING):
        found = propose_objects(with_stray, "auto", viewpoint)
    assert "1 stray points left out" in caplog.text
    expected = propose_objects(points, "auto", viewpoint)
    assert [index.tolist() for index in found.indices] == [index.tolist() for index in expected.indices]


def test_a_second_place_is_no_stray(sweep):
    points, _ = sweep
    there = points[: len(points) // 50] + [5e3, 0, 0]
    assert not far_strays(np.vstack([points, there])).any()


def test_a_scene_as_it_is_has_none(sweep, caplog):
    points, _ = sweep
    assert len(without_strays(points, "scan")) == len(points)
    assert not caplog.text
    assert not far_strays(np.zeros((5, 3))).any()
    assert not far_strays(np.zeros((0, 3))).any()
