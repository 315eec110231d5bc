"""Native kernels of the geometry against numpy and scipy: the same bits from every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import data_prep.native as native
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.voxels import number_keys


@pytest.fixture
def street() -> np.ndarray:
    draw = np.random.default_rng(3)
    xy = draw.uniform(-40, 40, (20_000, 2))
    ground = np.column_stack([xy, 0.05 * xy[:, 0] + draw.normal(0, 0.02, len(xy))])
    cars = np.concatenate([draw.uniform([x, -2, 0], [x + 4, 0, 2], (500, 3)) for x in (-20, 5, 22)])
    return np.concatenate([ground, cars])


def test_ground_under_a_street_is_the_same_to_the_bit(
    instruction_set: int, street: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = GroundMap.fit(street).surface
    monkeypatch.setattr(native, "problem", lambda: "not built")
    assert np.array_equal(ours, GroundMap.fit(street).surface)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 200), (9, 158, 81)])
@pytest.mark.parametrize("spread", [0.7, 2.0, 8.0])
def test_blur_is_scipys(instruction_set: int, shape: tuple[int, int, int], spread: float) -> None:
    images = np.random.default_rng(0).normal(size=shape)
    reach = int(2.5 * spread + 0.5)
    taps = np.exp(-0.5 / spread**2 * np.arange(-reach, reach + 1) ** 2)
    found = np.empty_like(images)
    half = np.ascontiguousarray((taps / taps.sum())[reach:])
    native.call("blur", images, *shape, half, reach, 2, found)
    scipys = ndimage.gaussian_filter(images, spread, truncate=2.5, mode="constant", axes=(1, 2))
    assert np.allclose(found, scipys, rtol=1e-13, atol=1e-15)


@given(st.lists(st.one_of(st.integers(0, 6), st.integers(-(2**63), 2**63 - 1)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_keys_are_numbered_as_they_first_occur(keys: list[int]) -> None:
    first, number = number_keys(np.array(keys, np.int64))
    distinct = list(dict.fromkeys(keys))
    assert first.tolist() == [keys.index(key) for key in distinct]
    assert number.tolist() == [distinct.index(key) for key in keys]


def test_numpy_numbers_the_same_keys_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = np.random.default_rng(0).integers(0, 900, 5000)
    ours = number_keys(keys)
    monkeypatch.setattr(native, "problem", lambda: "not built")
    assert all(np.array_equal(a, b) for a, b in zip(ours, number_keys(keys), strict=True))
