import numpy as np
import pytest

from clip2.recognition import propose_objects
from data_prep import Frame, open_scan
from data_prep.geometry.ground import GroundMap, height_above_ground
from data_prep.geometry.strays import far_strays, stray_note

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
def test_one_stray_changes_neither_the_ground_nor_the_objects(sweep, stray):
    points, viewpoint = sweep
    with_stray = np.vstack([points, [stray]])
    before, after = (GroundMap.fit(p).surface for p in (points, with_stray))
    np.testing.assert_array_equal(before, after)
    found = propose_objects(with_stray, "auto", viewpoint)
    expected = propose_objects(points, "auto", viewpoint)
    assert [index.tolist() for index in found.indices] == [index.tolist() for index in expected.indices]


def test_a_second_place_is_no_stray(sweep):
    points, _ = sweep
    there = points[: len(points) // 50] + [5e3, 0, 0]
    assert not far_strays(np.vstack([points, there])).any()


def test_a_scene_as_it_is_has_none(sweep):
    points, _ = sweep
    assert not far_strays(points).any()
    assert not far_strays(np.zeros((5, 3))).any()
    assert not far_strays(np.zeros((0, 3))).any()


@pytest.mark.parametrize("count", [30, 500])
@pytest.mark.parametrize("far", [4.8e9, 1e19])
def test_a_line_that_ends_far_out_has_a_ground(count, far):
    points = np.zeros((count, 3))
    points[:, 0] = range(count)
    points[-1, 0] = far
    assert np.isfinite(height_above_ground(points)).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_line_of_any_length_has_a_small_map(axis):
    points = np.zeros((50, 3))
    points[:, axis] = np.linspace(0, 5e9, 50)
    assert GroundMap.fit(points).surface.size < 1 << 20


def test_a_frame_leaves_strays_out_with_their_attributes_and_says_so(sweep):
    points, _ = sweep
    numbers = np.linspace(0, 1, len(points) + 2, dtype=np.float32)
    frame = Frame.build("f", np.vstack([[[0, 1e19, 0]], points, [[np.nan, 0, 0]]]), intensity=numbers)
    np.testing.assert_array_equal(frame.intensity, numbers[1:-1])
    nan = f"1 of {len(points) + 2:,} points are NaN or inf and left out"
    assert frame.notes == (nan, "1 stray point is left out, 1e+19 m away")
    assert Frame.build("f", points).notes == ()


def test_a_note_counts():
    points = np.array([[0.0, 0, 0], [2e3, 0, 0], [0, -3e3, 0]])
    note = stray_note(points, np.array([False, True, True]))
    assert note == "2 stray points are left out, up to 3,000 m away"
