"""Clouds one after the other in a table, and padded."""

from __future__ import annotations

import pytest
import torch

from clip2.ops import farthest_point_sample, pad_ragged, unpad


def test_there_and_back_is_the_same() -> None:
    values, offsets = torch.randn(9, 3), torch.tensor([0, 4, 5, 9])
    padded, lengths = pad_ragged(values, offsets)
    assert padded.shape == (3, 4, 3)
    assert lengths.tolist() == [4, 1, 4]
    assert (padded[1, 1:] == 0).all()
    back, again = unpad(padded, lengths)
    assert torch.equal(back, values)
    assert torch.equal(again, offsets)


def test_each_cloud_is_sampled_as_if_it_were_alone() -> None:
    clouds = [torch.rand(n, 3) for n in (40, 7, 300)]
    offsets = torch.tensor([0, 40, 47, 347])
    chosen = farthest_point_sample(*pad_first(torch.cat(clouds), offsets))
    for cloud, found in zip(clouds, chosen, strict=True):
        assert torch.equal(farthest_point_sample(cloud[None], 5)[0], found)


def pad_first(values: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, int, torch.Tensor]:
    padded, lengths = pad_ragged(values, offsets)
    return padded, 5, lengths


def test_gradients_reach_every_row_once() -> None:
    values = torch.randn(6, 2, requires_grad=True)
    padded, _ = pad_ragged(values, torch.tensor([0, 1, 6]))
    (padded * torch.arange(20.0).view(2, 5, 2)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1], *[[10 + 2 * i, 11 + 2 * i] for i in range(5)]]


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 2, 3], [0, 4], [0], [[0, 3]]])
def test_offsets_that_do_not_fit_are_refused(offsets: list) -> None:
    with pytest.raises(ValueError, match="offsets must ascend from 0 to 3"):
        pad_ragged(torch.zeros(3, 3), torch.tensor(offsets))
