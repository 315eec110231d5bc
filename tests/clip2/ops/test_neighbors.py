"""Ball query and nearest neighbors against brute force in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.ops import ball_query, group, knn

# Small integers: squared distances are exact in any precision, and points exactly on the radius abound.
coordinates = st.tuples(*[st.integers(-3, 3)] * 3)
clouds = st.lists(coordinates, min_size=1, max_size=12)


def padded(batch: list, dtype: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Clouds of unlike size as one tensor whose padding sits where it would be found first: at the centers."""
    lengths = torch.tensor([len(cloud) for cloud in batch])
    points = torch.zeros(len(batch), int(lengths.max()), 3, dtype=getattr(torch, dtype))
    for row, cloud in zip(points, batch, strict=True):
        row[: len(cloud)] = torch.tensor(cloud)
    return points, lengths


def squared_distances(cloud: list, center: tuple) -> np.ndarray:
    return ((np.array(cloud, float) - np.array(center, float)) ** 2).sum(1)


def slow_ball(cloud: list, center: tuple, radius: float, k: int) -> list[int]:
    squared = squared_distances(cloud, center)
    hits = [place for place, value in enumerate(squared) if value <= radius**2]
    if not hits:
        return [int(squared.argmin())] * k
    return (hits + hits[:1] * k)[:k]


dtypes = st.sampled_from(["float32", "float64", "bfloat16"])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(clouds, min_size=1, max_size=4),
    st.lists(coordinates, min_size=1, max_size=5),
    st.sampled_from([0.0, 1.0, 2.0, 3.0, 20.0]),
    st.integers(1, 15),
    dtypes,
)
def test_ball_query_matches_its_definition(batch: list, at: list, radius: float, k: int, dtype: str) -> None:
    points, lengths = padded(batch, dtype)
    centers = torch.tensor(at, dtype=points.dtype).expand(len(batch), -1, -1)
    found = ball_query(points, centers, radius, k, lengths)
    assert found.dtype == torch.int64
    assert found.tolist() == [[slow_ball(cloud, center, radius, k) for center in at] for cloud in batch]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(clouds, min_size=1, max_size=4),
    st.lists(coordinates, min_size=1, max_size=5),
    st.integers(1, 15),
    dtypes,
)
def test_knn_is_sorted_by_distance_then_index(batch: list, at: list, k: int, dtype: str) -> None:
    points, lengths = padded(batch, dtype)
    centers = torch.tensor(at, dtype=points.dtype).expand(len(batch), -1, -1)
    distance, index = knn(points, centers, k, lengths)
    for row, cloud in enumerate(batch):
        for column, center in enumerate(at):
            squared = squared_distances(cloud, center)
            order = sorted(range(len(cloud)), key=lambda place: (squared[place], place))
            expected = [order[j % len(order)] for j in range(k)]
            assert index[row, column].tolist() == expected
            torch.testing.assert_close(
                distance[row, column].double(), torch.from_numpy(squared[expected] ** 0.5), rtol=1e-2, atol=0
            )


def test_large_queries_cut_into_blocks_agree_with_one_cloud_at_a_time() -> None:
    torch.manual_seed(0)
    points = torch.rand(5, 3000, 3)
    centers, lengths = points[:, :400], torch.tensor([3000, 1, 700, 2999, 400])
    found = ball_query(points, centers, 0.1, 16, lengths)
    _, nearest = knn(points, centers, 4, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = points[row : row + 1, :length]
        assert torch.equal(found[row], ball_query(alone, centers[row : row + 1], 0.1, 16)[0])
        assert torch.equal(nearest[row], knn(alone, centers[row : row + 1], 4)[1][0])


def test_far_from_the_origin_neighbors_are_still_exact() -> None:
    # Expanding (a - b)^2 into dot products would lose all of these digits.
    grid = torch.tensor([[4096.0, 4096.0, 4096.0 + 0.25 * step] for step in range(8)])[None]
    assert ball_query(grid, grid[:, :1], 0.5, 8).tolist() == [[[0, 1, 2, 0, 0, 0, 0, 0]]]
    assert knn(grid, grid[:, 7:], 3)[1].tolist() == [[[7, 6, 5]]]


def test_hits_do_not_depend_on_memory_layout() -> None:
    points = torch.rand(2, 3, 60).transpose(1, 2)
    centers = points[:, ::7]
    assert torch.equal(
        ball_query(points, centers, 0.3, 8), ball_query(points.contiguous(), centers.contiguous(), 0.3, 8)
    )


def test_gradients_of_distances() -> None:
    torch.manual_seed(0)
    points = torch.rand(2, 9, 3, dtype=torch.float64, requires_grad=True)
    centers = torch.rand(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda points, centers: knn(points, centers, 3)[0], (points, centers))


def test_group_collects_per_cloud_and_passes_gradients() -> None:
    features = torch.arange(12.0).view(2, 3, 2).requires_grad_()
    index = torch.tensor([[[0, 2], [2, 2]], [[1, 1], [0, 1]]])
    grouped = group(features, index)
    assert grouped[0].tolist() == [[[0, 1], [4, 5]], [[4, 5], [4, 5]]]
    assert grouped[1].tolist() == [[[8, 9], [8, 9]], [[6, 7], [8, 9]]]
    assert torch.equal(group(features, index[:, :, 0]), grouped[:, :, 0])
    grouped.sum().backward()
    assert features.grad[:, :, 0].tolist() == [[1, 0, 3], [1, 3, 0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ball_query(torch.rand(1, 4, 3), torch.rand(1, 2, 3), 0.1, 0), "k must be at least 1"),
        (lambda: ball_query(torch.rand(1, 4, 3), torch.rand(2, 3), 0.1, 1), "centers must be (B, N, 3)"),
        (lambda: ball_query(torch.rand(2, 4, 3), torch.rand(1, 2, 3), 0.1, 1), "2 clouds but centers for 1"),
        (lambda: knn(torch.rand(2, 4, 3), torch.rand(1, 2, 3), 1), "2 clouds but centers for 1"),
        (lambda: group(torch.rand(2, 4, 3), torch.zeros(1, 2, dtype=torch.int64)), "(2, 4, 3)"),
    ],
)
def test_wrong_arguments_of_neighbor_queries_are_named(call: object, words: str) -> None:
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
