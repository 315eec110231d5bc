"""Broken and odd scans: each gives a sensible result or one clear line."""

from __future__ import annotations

import numpy as np
import pytest
from support.recognition_stand_ins import box_surface, ground, three_boxes_on_a_floor, tiny_bank, tiny_model

from clip2.recognition import Recognizer
from data_prep import InputError


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    cars = [box_surface((x, 6, 0.8), (4, 1.8, 1.5), spacing=0.1) for x in (-12, 0, 12)]
    return np.concatenate([ground(40, 0.3), *cars]).astype(np.float32)


def found_in(recognizer: Recognizer, points: np.ndarray) -> list[list[int]]:
    result = recognizer.set_scan(points).query("box")
    return sorted(index.tolist() for index in result.indices)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(tiny_model(tiny_bank()))


@pytest.mark.parametrize("stray", [[3e3, 3e3, 0], [1e5, 1e5, 0], [0, 0, 1e12], [1e19, 0, 0], [0, 3e38, 0]])
def test_a_stray_costs_no_object_and_is_said(recognizer, street, stray):
    alone = found_in(recognizer, street)
    assert len(alone) == 3
    assert recognizer.notes == ()
    assert found_in(recognizer, np.vstack([street, np.float32([stray])])) == alone
    assert "1 stray point is left out" in recognizer.notes[0]


def test_points_that_are_not_finite_are_refused_as_indices_would_shift(recognizer, street):
    broken = street.copy()
    broken[5, 0] = np.nan
    with pytest.raises(InputError, match=r"hold NaN or inf in 1 of .*isfinite"):
        recognizer.set_scan(broken)


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (5, "points: is a int"),
        (None, "points: is a NoneType"),
        ({}, "points: is a dict"),
        (np.zeros((5, 4)), "shape .5, 4."),
        (np.zeros((5, 3), complex), "give an array .N, 3. in meters"),
        (np.zeros((0, 3)), "expected at least one finite point"),
        ("nowhere.ply", "nowhere.ply: does not exist"),
        ((np.zeros((5, 3)), [1, 2]), "colors: are int64 of shape .2,., the points .5, 3.* uint8, 0 to 255"),
        ((np.zeros((5, 3)), np.zeros((5, 3))), "colors: are float64"),
        ((np.zeros((2, 3)), [[1, 2, 3], [1]]), "colors: are"),
    ],
)
def test_what_is_no_scan_is_one_line(recognizer, scan, message):
    with pytest.raises(InputError, match=message) as error:
        recognizer.set_scan(scan)
    assert "\n" not in str(error.value)


PLANE = np.stack([*np.meshgrid(np.arange(0, 3, 0.025), np.arange(0, 2, 0.025)), np.zeros((80, 120))], -1)
PLANE = PLANE.reshape(-1, 3)
LAMP = box_surface((1.5, 1.0, 2.1), (0.4, 0.4, 0.3))


@pytest.mark.parametrize(
    ("points", "most"),
    [
        pytest.param(PLANE, 0, id="a floor alone"),
        pytest.param(PLANE[:, [0, 2, 1]], 0, id="a wall alone"),
        pytest.param(PLANE @ [[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]], 1, id="a tilted plane alone"),
        pytest.param(PLANE + [0, 0, 2.5], 0, id="a ceiling alone"),
        # The ceiling, cut by the lamp, may be found as a slab of its own.
        pytest.param(np.vstack([PLANE + [0, 0, 2.5], LAMP]), 2, id="a lamp under a ceiling"),
        pytest.param(PLANE[:20], 0, id="20 points in a row"),
        pytest.param(PLANE[:1], 0, id="one point"),
        pytest.param(np.repeat(PLANE[:1], 300, axis=0), 0, id="one point 300 times"),
    ],
)
@pytest.mark.parametrize("kind", ["auto", "lidar"])
@pytest.mark.filterwarnings("error")
def test_a_scan_of_little_gives_few_objects_and_no_error(recognizer, points, most, kind):
    if kind == "lidar" and np.ptp(points[:, 2]) > 1:
        most = max(most, 2)  # a wall outdoors may be one side of a thing, or of two
    found = len(recognizer.set_scan(points, proposals=kind).unnamed())
    assert found <= most
    assert any(f"no object is found (points: {len(points):,}" in note for note in recognizer.notes) == (
        found == 0
    )


@pytest.mark.parametrize("flip", [(1, -1, -1), (-1, 1, 1)], ids=["upside down", "mirrored"])
def test_turned_and_mirrored_rooms_are_scans_too(recognizer, flip):
    points = three_boxes_on_a_floor(0.025) * flip
    result = recognizer.set_scan(points).query("box")
    assert 1 <= len(result) <= 12
    assert np.linalg.det(result.rotations) == pytest.approx(np.ones(len(result)))
    told = " ".join(recognizer.notes)  # which way is left, no cloud can tell
    assert ("-z looks like up rather than z" in told) == (flip[2] < 0)


def test_millimeters_are_said(recognizer):
    points = three_boxes_on_a_floor(0.05)
    assert recognizer.set_scan(points).notes == ()
    note = recognizer.set_scan(1000 * points).notes[0]
    assert "it looks like millimeters. If so, scale the points to meters" in note
