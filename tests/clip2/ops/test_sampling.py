"""Sampling against a brute-force oracle in numpy, on ordinary and degenerate clouds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.ops import farthest_point_sample, group, use_backend


def slow_fps(cloud: np.ndarray, k: int) -> list[int]:
    """Farthest-point sampling by its definition, distances to all chosen points recomputed at every step."""
    chosen = [0]
    while len(chosen) < min(k, len(cloud)):
        to_chosen = ((cloud[:, None] - cloud[chosen][None]) ** 2).sum(-1).min(1)
        chosen.append(int(to_chosen.argmax()))
    return [chosen[j % len(chosen)] for j in range(k)]


# Small integers: squared distances are exact in any precision, and coincident points and ties abound.
clouds = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(clouds, min_size=1, max_size=4),
    st.integers(1, 15),
    st.sampled_from(["float32", "float64", "bfloat16"]),
)
def test_fps_matches_its_definition_on_ragged_batches(batch: list, k: int, dtype: str) -> None:
    lengths = torch.tensor([len(cloud) for cloud in batch])
    points = torch.full(
        (len(batch), int(lengths.max()), 3), 1e6, dtype=getattr(torch, dtype)
    )  # padding: very far
    for row, cloud in zip(points, batch, strict=True):
        row[: len(cloud)] = torch.tensor(cloud)
    expected = [slow_fps(np.array(cloud, float), k) for cloud in batch]
    for backend in ("torch", "numpy"):
        with use_backend(backend):
            chosen = farthest_point_sample(points, k, lengths)
        assert chosen.dtype == torch.int64
        assert chosen.tolist() == expected


def test_fps_backends_agree_on_large_batches_that_are_cut_into_chunks() -> None:
    torch.manual_seed(0)
    points, lengths = torch.rand(7, 20_000, 3), torch.tensor([20_000, 1, 500, 19_999, 20_000, 3, 12_345])
    with use_backend("torch"):
        expected = farthest_point_sample(points, 40, lengths)
    assert torch.equal(farthest_point_sample(points, 40, lengths), expected)


def test_fps_on_a_line_by_hand() -> None:
    # From 0: 10 is farthest, then 4 (4 from the nearer end), then 7 (3 from both 4 and 10).
    line = torch.zeros(1, 5, 3)
    line[0, :, 0] = torch.tensor([0.0, 1.0, 4.0, 7.0, 10.0])
    assert farthest_point_sample(line, 4).tolist() == [[0, 4, 2, 3]]


def test_fps_of_coincident_points_and_of_one_point() -> None:
    assert farthest_point_sample(torch.ones(2, 5, 3), 3).tolist() == [[0, 0, 0]] * 2
    assert farthest_point_sample(torch.rand(1, 1, 3), 4).tolist() == [[0] * 4]


def test_fps_asked_for_more_than_there_is_repeats_cyclically() -> None:
    cloud = torch.rand(1, 3, 3)
    (chosen,) = farthest_point_sample(cloud, 7).tolist()
    assert sorted(chosen[:3]) == [0, 1, 2]
    assert chosen == chosen[:3] * 2 + chosen[:1]


def test_fps_samples_are_nested_and_a_sample_of_the_sample_is_its_beginning() -> None:
    cloud = torch.rand(3, 200, 3)
    large = farthest_point_sample(cloud, 64)
    assert torch.equal(farthest_point_sample(cloud, 20), large[:, :20])
    assert farthest_point_sample(group(cloud, large), 20).tolist() == [list(range(20))] * 3


def test_fps_spreads_better_than_chance() -> None:
    cloud = torch.rand(1, 1000, 3, generator=torch.Generator().manual_seed(0))
    spread = torch.cdist(cloud, group(cloud, farthest_point_sample(cloud, 50))).amin(2).max()
    chance = torch.cdist(cloud, cloud[:, :50]).amin(2).max()
    assert spread < 0.7 * chance


def test_fps_does_not_depend_on_memory_layout_or_scale() -> None:
    points = torch.rand(2, 3, 50).transpose(1, 2)
    chosen = farthest_point_sample(points, 10)
    assert torch.equal(chosen, farthest_point_sample(points.contiguous(), 10))
    assert torch.equal(chosen, farthest_point_sample(points * 1024, 10))  # a power of two is exact


def test_fps_generator_moves_only_the_start_and_stays_within_the_cloud() -> None:
    points, lengths = torch.rand(64, 20, 3), torch.full((64,), 7)
    starts = farthest_point_sample(points, 7, lengths, torch.Generator().manual_seed(3))
    again = farthest_point_sample(points, 7, lengths, torch.Generator().manual_seed(3))
    assert torch.equal(starts, again)
    assert starts.sort(1).values.tolist() == [list(range(7))] * 64
    assert len(set(starts[:, 0].tolist())) == 7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: farthest_point_sample(torch.rand(5, 3), 2), "points must be (B, N, 3)"),
        (lambda: farthest_point_sample(torch.rand(1, 5, 4), 2), "points must be (B, N, 3)"),
        (lambda: farthest_point_sample(torch.zeros(1, 5, 3, dtype=torch.int64), 2), "floating point"),
        (lambda: farthest_point_sample(torch.rand(1, 0, 3), 2), "empty"),
        (lambda: farthest_point_sample(torch.rand(1, 5, 3), 0), "k must be at least 1"),
        (lambda: farthest_point_sample(torch.rand(1, 5, 3), 2, torch.tensor([6])), "1..5, found 6"),
        (lambda: farthest_point_sample(torch.rand(1, 5, 3), 2, torch.tensor([0])), "1..5, found 0"),
        (lambda: farthest_point_sample(torch.rand(2, 5, 3), 2, torch.tensor([5])), "lengths must be (2,)"),
    ],
)
def test_wrong_arguments_are_named(call: object, words: str) -> None:
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
