"""The fused training operation equals gather → [Linear → BatchNorm → ReLU]* → max written with torch's own layers."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from clip2.encoders import create_encoder, fused_training
from clip2.encoders.fused_training import shared_mlp_max
from clip2.encoders.neighborhoods import Neighborhoods


def plain(
    points: Tensor, first: Tensor, table: Tensor | None, index: Tensor, norms: list, weights: list
) -> Tensor:
    y = points[index] @ first.t()
    if table is not None:
        y = y + table[index]
    groups, k, _ = y.shape
    y = y.flatten(0, 1)
    for level, norm in enumerate(norms):
        y = torch.relu(norm(y @ weights[level - 1].t() if level else y))
    return y.view(groups, k, -1).max(1)[0]


def ball_like_index(points: int, groups: int, k: int) -> Tensor:
    """Ascending hits, the first one repeated to the end, as a ball query gives them."""
    index = torch.zeros(groups, k, dtype=torch.int64)
    for row in index:
        hits = torch.randperm(points)[: torch.randint(1, k + 1, ())].sort().values
        row[:] = hits[0]
        row[: len(hits)] = hits
    return index


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("chunk", [40, 1 << 19])
def test_values_gradients_and_running_statistics(
    depth: int, wide: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fused_training, "CHUNK_ELEMENTS", chunk
    )  # 40: a few rows at a time, many chunks per block
    torch.manual_seed(depth)
    widths = [5, 6, 7, 4, 3][:depth]
    index = ball_like_index(points=40, groups=30, k=8)
    norms = [nn.BatchNorm1d(width).double() for width in widths]
    for norm in norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    norms_plain = copy.deepcopy(norms)
    points = (torch.randn(40, 3).double() + 50).requires_grad_()  # a mean far from 0 costs no digits
    first, *weights = (torch.randn(b, a).double().requires_grad_() for a, b in pairwise([3, *widths]))
    table = torch.randn(40, widths[0]).double().requires_grad_() if wide else None

    neighborhoods = Neighborhoods.of_ball_query(index[None], 40)
    found = shared_mlp_max(
        points[neighborhoods.rows], first, table, neighborhoods, norms, weights, torch.float64
    )
    expected = plain(points, first, table, index, norms_plain, weights)[neighborhoods.groups]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)

    inputs = [points, first, *weights] + ([] if table is None else [table])
    target = torch.randn_like(found)
    ours = torch.autograd.grad((found * target).sum(), inputs + [p for n in norms for p in n.parameters()])
    theirs = torch.autograd.grad(
        (expected * target).sum(), inputs + [p for n in norms_plain for p in n.parameters()]
    )
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= 1e-9 * (1 + b.norm())
    for a, b in zip(norms, norms_plain, strict=True):
        for mine, own in zip(a.buffers(), b.buffers(), strict=True):
            torch.testing.assert_close(mine, own, rtol=1e-9, atol=1e-9)


def test_dense_layout_of_other_devices_gives_the_same() -> None:
    torch.manual_seed(0)
    index = ball_like_index(points=40, groups=30, k=8)
    neighborhoods = Neighborhoods.of_ball_query(index[None], 40)
    dense = Neighborhoods(index.flatten(), torch.arange(30), ((30, 8),), None)
    points, first, weight = (
        torch.randn(40, 3).double(),
        torch.randn(5, 3).double(),
        torch.randn(6, 5).double(),
    )
    results = []
    for layout in (neighborhoods, dense):
        norms = [nn.BatchNorm1d(5).double(), nn.BatchNorm1d(6).double()]
        pooled = shared_mlp_max(points[layout.rows], first, None, layout, norms, [weight], torch.float64)
        results.append(torch.zeros_like(pooled).index_copy(0, layout.groups, pooled))
    torch.testing.assert_close(results[0], results[1])


def test_layout_spends_little_on_repeats_and_counts_every_neighbor() -> None:
    torch.manual_seed(0)
    index = ball_like_index(points=100, groups=500, k=64)
    neighborhoods = Neighborhoods.of_ball_query(index[None], 100)
    hits = torch.tensor([len(row.unique()) for row in index])
    assert neighborhoods.total == 500 * 64 == neighborhoods.weight.sum()
    assert hits.sum() <= len(neighborhoods.rows) <= 1.12 * hits.sum()
    times = torch.zeros(100).index_add_(0, neighborhoods.rows, neighborhoods.weight)
    assert torch.equal(times, torch.bincount(index.flatten(), minlength=100).float())


def test_a_second_backward_pass_is_refused() -> None:
    neighborhoods = Neighborhoods.of_whole_clouds(1, 4, None, torch.device("cpu"))
    points, first = torch.randn(4, 3, requires_grad=True), torch.randn(3, 3)
    out = shared_mlp_max(points, first, None, neighborhoods, [nn.BatchNorm1d(3)], [], torch.float32).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="only once"):
        out.backward()


def test_statistics_of_ragged_whole_clouds_count_every_real_point_once() -> None:
    torch.manual_seed(0)
    encoder, points, lengths = (
        create_encoder("pointnet", feature_channels=0),
        torch.randn(3, 50, 3),
        [50, 2, 17],
    )
    encoder.mlp.norms[0].momentum = 1.0
    encoder(points, lengths=torch.tensor(lengths))
    real = torch.cat([cloud[:length] for cloud, length in zip(points, lengths, strict=True)])
    first_layer = real @ encoder.mlp.linears[0].weight.t()
    torch.testing.assert_close(encoder.mlp.norms[0].running_mean, first_layer.mean(0))
    torch.testing.assert_close(encoder.mlp.norms[0].running_var, first_layer.var(0))
