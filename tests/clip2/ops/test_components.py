"""Connected components at one radius and at several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components as graph_components

from clip2.ops import radius_components, use_backend


def test_a_chain_hangs_together_and_what_is_further_away_does_not() -> None:
    chain = torch.arange(10.0)[:, None] * torch.tensor([1.0, 0, 0])
    points = torch.cat([chain, chain + torch.tensor([0, 5.0, 0])])
    labels = radius_components(points, torch.tensor([0.9, 1.0, 4.9, 5.0]))
    assert labels[0].tolist() == list(range(20))
    assert labels[1].tolist() == labels[2].tolist() == [0] * 10 + [1] * 10
    assert labels[3].tolist() == [0] * 20


def test_half_of_either_radius_counts() -> None:
    points = torch.tensor([[0.0, 0, 0], [2, 0, 0]])
    radii = torch.tensor([[1.0, 2.9], [1.0, 3.0]])
    assert radius_components(points, radii).tolist() == [[0, 1], [0, 0]]


def test_labels_count_up_from_the_first_point() -> None:
    points = torch.tensor([[9.0, 0, 0], [0, 0, 0], [9.5, 0, 0], [5, 0, 0], [0.5, 0, 0]])
    assert radius_components(points, torch.tensor([1.0])).tolist() == [[0, 1, 0, 2, 1]]


@pytest.mark.parametrize("backend", ["torch", "numpy", "native"])
def test_equals_the_graph_written_out(backend: str) -> None:
    draw = np.random.default_rng(0)
    points = np.concatenate([draw.normal(0, 1, (500, 3)), draw.uniform(-6, 6, (300, 3))])
    base = draw.uniform(0.1, 0.5, len(points))
    radii = np.stack([base, 1.5 * base, 2.5 * base])
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    try:
        with use_backend(backend):
            found = radius_components(torch.from_numpy(points), torch.from_numpy(radii)).numpy()
    except ValueError as error:
        pytest.skip(str(error))
    for labels, radius in zip(found, radii, strict=True):
        expected = graph_components(distance <= (radius[:, None] + radius) / 2, directed=False)[1]
        pairs = np.unique(np.stack([labels, expected]), axis=1).shape[1]
        assert pairs == labels.max() + 1 == expected.max() + 1


def test_survey_coordinates_are_compared_in_float64() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.01, 0, 0], [0.03, 0, 0]], dtype=torch.float64) + 4_000_000
    assert radius_components(points, torch.tensor([0.015], dtype=torch.float64)).tolist() == [[0, 0, 1]]


def test_no_points_and_no_levels_give_no_labels() -> None:
    assert radius_components(torch.zeros(0, 3), torch.tensor([1.0, 2.0])).shape == (2, 0)
    assert radius_components(torch.zeros(4, 3), torch.zeros(0)).shape == (0, 4)


@pytest.mark.parametrize(
    ("points", "radii", "said"),
    [
        (torch.zeros(3, 2), torch.ones(1), r"points must be finite and \(N, 3\)"),
        (torch.full((3, 3), torch.nan), torch.ones(1), "points must be finite"),
        (torch.zeros(3, 3), torch.ones(2, 4), r"radii must be \(L,\) or \(L, 3\)"),
        (torch.zeros(3, 3), torch.zeros(1), "positive"),
        (torch.zeros(3, 3), torch.tensor([2.0, 1.0]), "below the one before"),
        (torch.zeros(3, 3), torch.tensor([torch.inf]), "finite"),
    ],
)
def test_what_cannot_be_labeled_is_refused(points: torch.Tensor, radii: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        radius_components(points, radii)
