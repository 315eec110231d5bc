from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.preprocessing import Preprocessing, local_coordinates
from clip2.sampling_order import sampling_order
from data_prep.errors import InputError


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def test_unit_sphere_around_the_centroid_worked_by_hand() -> None:
    # Centroid (1, 1, 0); distances from it sqrt(2) for all four corners of a 2 m square.
    square = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]], np.float32)
    batch = Preprocessing(num_points=8, color=False)([square])
    own = batch.points[0, : batch.lengths[0]]
    assert batch.lengths.tolist() == [4]
    corner = 2**-0.5
    assert sorted(own.tolist()) == [
        pytest.approx([x, y, 0.0]) for x in (-corner, corner) for y in (-corner, corner)
    ]


def test_metric_scale_keeps_meters_and_box_center_is_the_middle_of_the_box() -> None:
    # Three points at x=0 and one at x=4: centroid x=1, middle of the box x=2.
    points = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [4, 0, 0]], np.float32) + np.float32(10)
    by_box = Preprocessing(num_points=8, center="box", scale="metric")([points]).points[0, :4, 0]
    by_centroid = Preprocessing(num_points=8, center="centroid", scale="metric")([points]).points[0, :4, 0]
    assert sorted(by_box.tolist()) == [-2, -2, -2, 2]
    assert sorted(by_centroid.tolist()) == [-1, -1, -1, 3]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 400), st.integers(0, 2**32 - 1), st.sampled_from(["random", "fps"]))
def test_the_order_of_the_points_changes_nothing(count: int, seed: int, sampling: str) -> None:
    random = np.random.default_rng(seed)
    points = random.integers(-3, 4, size=(count, 3)).astype(np.float32)  # many points at the same place
    points[0] += 0.5
    colors = random.integers(0, 256, size=(count, 3), dtype=np.uint8)
    preprocessing = Preprocessing(num_points=64, sampling=sampling)  # type: ignore[arg-type]
    order = random.permutation(count)
    first = preprocessing([points], [colors])
    second = preprocessing([points[order]], [colors[order]])
    assert torch.equal(first.points, second.points)
    assert first.features is not None
    assert second.features is not None
    assert torch.equal(first.features, second.features)


def test_the_sample_is_uniform_over_the_points() -> None:
    # 20,000 points, half left and half right of x=0: a uniform sample of 4,000 has 2,000 ± 32 on either side.
    points = np.random.default_rng(1).uniform(-1, 1, size=(20_000, 3)).astype(np.float32)
    order = sampling_order(points - points.min(axis=0), None, 4000)
    assert len(np.unique(order)) == 4000
    assert abs(int((points[order, 0] > 0).sum()) - 2000) < 5 * 32


@pytest.mark.parametrize("distance", [1, 10, 100])
@pytest.mark.parametrize("grid", [None, 0.001, 0.0005, 1 / 1024])
def test_a_moved_object_keeps_its_sample(distance: float, grid: float | None) -> None:
    """float32 rounds 100 m to 8 micrometres: a point in a hundred may change its millimeter cell, not more."""
    points = np.random.default_rng(4).uniform(-1, 1, size=(5000, 3)) * [2, 1, 0.7]
    if grid is not None:  # as sensors and CAD programs write them
        points = np.round(points / grid) * grid
    moved = (points + distance * np.array([0.6, -0.7, 0.0123])).astype(np.float32)
    here = sampling_order(*local(points.astype(np.float32)), 1024)
    there = sampling_order(*local(moved), 1024)
    assert len(np.intersect1d(here, there)) >= 0.98 * 1024


def test_small_objects_are_sampled_as_evenly_as_large_ones() -> None:
    """A centimeter cube has ten cells of a millimeter per side; whole cells in or out would be a patchy sample."""
    points = np.random.default_rng(5).uniform(0, 0.01, size=(40_000, 3)).astype(np.float32)
    order = sampling_order(*local(points), 1000)
    counts = np.bincount(np.ravel_multi_index((points[order] // 0.00101).astype(int).T, (10, 10, 10)))
    # 1000 points in 1000 cells of a millimeter: uniform sampling leaves most of them with 0 to 3.
    assert counts.max() <= 8


def local(points: np.ndarray) -> tuple[np.ndarray, None]:
    return local_coordinates(points), None


def test_survey_coordinates_lose_nothing() -> None:
    # Millimeters on top of a 5,000 km northing: float32 alone would round them to half a meter.
    local = np.round(np.random.default_rng(2).uniform(0, 4, size=(50, 3)), 3)
    shifted = local + np.array([500_000.0, 5_000_000.0, 300.0])
    preprocessing = Preprocessing(num_points=50, scale="metric")
    spread = preprocessing([shifted]).points[0]
    plain = preprocessing([local]).points[0]
    assert sorted(spread[:, 1].tolist()) == pytest.approx(sorted(plain[:, 1].tolist()), abs=1e-5)


def test_sparse_clouds_keep_their_points_and_say_how_many() -> None:
    batch = Preprocessing(num_points=10)([cloud(4), cloud(25)])
    assert batch.lengths.tolist() == [4, 10]
    assert torch.equal(batch.points[0, 0:4], batch.points[0, 4:8])  # padding repeats the cloud's own points


def test_color_is_scaled_and_its_absence_is_stated() -> None:
    white = np.full((30, 3), 255, np.uint8)
    batch = Preprocessing(num_points=16)([cloud(30), cloud(30)], [white, None])
    assert batch.features is not None
    assert batch.features_present is not None
    assert batch.features[0].unique().tolist() == [1.0]
    assert batch.features_present.tolist() == [True, False]
    assert Preprocessing(num_points=16, color=False)([cloud(30)], [white]).features is None


def test_fps_spreads_further_than_a_uniform_sample() -> None:
    # A dense blob and one far point: farthest point sampling always takes the far one.
    points = np.concatenate([cloud(60) * np.float32(0.01), [[1, 0, 0]]]).astype(np.float32)
    spread = Preprocessing(num_points=8, sampling="fps", scale="metric", center="box")([points]).points[0]
    assert spread[:, 0].max() - spread[:, 0].min() > 0.9


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((0, 3), np.float32), "has 0 points"),
        (np.ones((1, 3), np.float32), "has 1 points"),
        (np.ones((9, 3), np.float32), "all 9 are the same place"),
        (np.array([[0, 0, 0], [np.nan, 0, 0], [1, 1, 1]], np.float32), "1 of 3 are NaN"),
        (np.array([[0, 0, 0], [np.inf, 0, 0]], np.float32), "1 of 2 are NaN or infinite"),
        (np.ones((4, 4), np.float32), "shape (4, 4)"),
        (np.ones((4, 3), np.int32), "int32"),
    ],
)
def test_what_is_no_object_is_refused_and_named(points: np.ndarray, said: str) -> None:
    with pytest.raises(InputError) as error:
        Preprocessing()([cloud(5), points])
    assert "cloud 1: points" in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("colors", [np.zeros((4, 3), np.uint8), np.zeros((5, 3), np.float32)])
def test_colors_that_do_not_fit_are_refused(colors: np.ndarray) -> None:
    with pytest.raises(InputError, match="cloud 0: colors"):
        Preprocessing()([cloud(5)], [colors])


def test_counts_must_agree() -> None:
    with pytest.raises(InputError, match="1 for 2 clouds"):
        Preprocessing()([cloud(5), cloud(5)], [None])
    with pytest.raises(InputError, match="no clouds"):
        Preprocessing()([])


@pytest.mark.parametrize("sampling", ["random", "fps"])
def test_clouds_of_a_batch_do_not_see_each_other(sampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip2.preprocessing._POINTS_AT_ONCE", 500)  # some go together, some alone
    random = np.random.default_rng(6)
    clouds = [cloud(n, n) * 10.0 ** random.uniform(-3, 2) for n in random.integers(2, 700, 20)]
    colors = [random.integers(0, 3, c.shape, dtype=np.uint8) if len(c) % 3 else None for c in clouds]
    preprocessing = Preprocessing(num_points=32, size=True, sampling=sampling)  # type: ignore[arg-type]
    together = preprocessing(clouds, colors)
    for i in range(len(clouds)):
        for part, own in zip(together, preprocessing(clouds[i : i + 1], colors[i : i + 1]), strict=True):
            assert part is not None
            assert own is not None
            assert torch.equal(part[i], own[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 500), st.integers(1, 40), st.integers(0, 10_000))
def test_the_order_is_that_of_the_hash_then_of_the_place_then_of_the_color(
    count: int, kept: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    points = random.integers(0, 5, (count, 3)) * np.array([0.1, 0.0003, 0.2])
    points[0] += 0.01  # never all the same place
    points = local_coordinates(points)
    colors = random.integers(0, 3, (count, 3), dtype=np.uint8)
    finer = 2.0 ** min(0, np.ceil(np.log2(float(points.max()) / 0.27)))
    cells = np.floor(points / (0.001 * finer) + (np.sqrt(5) - 1) / 2).astype(int).tolist()

    def mixed(x: int) -> int:  # splitmix64 with Python's integers
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    def rank(i: int) -> tuple[int, ...]:
        x, y, z = cells[i]
        return mixed((mixed((mixed(x) + y) % 2**64) + z) % 2**64), *points[i].tolist(), *colors[i].tolist()

    order = sampling_order(points, colors, kept)
    assert [rank(i) for i in order] == sorted(map(rank, range(count)))[:kept]
