"""Broken and odd scans: each gives a sensible result or one clear line."""

from __future__ import annotations

import numpy as np
import pytest
from support.recognition_stand_ins import box_surface, ground, tiny_bank, tiny_model

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
