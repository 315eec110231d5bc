"""PointNeXt and PointMLP written the way their papers read give what our fast forms give, in eval and in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.textbook import ball, farthest_points, take
from clip2.encoders import create_encoder


def norm(module: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """BatchNorm over all rows of a table of any shape, statistics of the batch or running."""
    dims = tuple(range(x.ndim - 1))
    if module.training:
        mean, variance = x.mean(dims), x.var(dims, unbiased=False)
    else:
        mean, variance = module.running_mean, module.running_var
    return (x - mean) / (variance + module.eps).sqrt() * module.weight + module.bias


def pointnext(encoder: Any, points: Tensor, features: Tensor) -> Tensor:
    x = encoder.stem(torch.cat([points, features], -1))
    for stage, count in zip(encoder.stages, encoder.num_centers, strict=True):
        chosen = farthest_points(points, count)
        centers, anchors = take(points, chosen), take(x, chosen)
        x = _aggregate(stage.down, points, x, centers, stage.radius)
        if stage.shortcut is not None:
            x = F.relu(x + stage.shortcut(anchors))
        points = centers
        for block in stage.blocks:
            y = _aggregate(block.local, points, x, points, 1.5 * stage.radius)
            first, second = block.pointwise.layers
            y = F.relu(norm(first.norm, first.linear(y)))
            x = F.relu(norm(second.norm, second.linear(y)) + x)
    return _shared(encoder.head, torch.cat([points, x], -1)).amax(1)


def _aggregate(mlp: Any, points: Tensor, x: Tensor, centers: Tensor, radius: float) -> Tensor:
    index = ball(radius, 32, points, centers)
    relative = (take(points, index) - centers[:, :, None]) / radius
    return _shared(mlp, torch.cat([relative, take(x, index)], -1)).amax(2)


def _shared(mlp: Any, x: Tensor) -> Tensor:
    for i, (linear, batch_norm) in enumerate(zip(mlp.linears, mlp.norms, strict=True)):
        x = norm(batch_norm, linear(x))
        if i + 1 < len(mlp.linears) or mlp.last_activation:
            x = F.relu(x)
    return x


def pointmlp(encoder: Any, points: Tensor, features: Tensor) -> Tensor:
    embedding = encoder.embedding.layers[0]
    x = F.relu(norm(embedding.norm, embedding.linear(torch.cat([points, features], -1))))
    for stage, count in zip(encoder.stages, encoder.num_centers, strict=True):
        chosen = farthest_points(points, count)
        centers, anchors = take(points, chosen), take(x, chosen)[:, :, None]
        nearest = torch.cdist(centers, points).topk(encoder.num_neighbors, largest=False).indices
        difference = take(x, nearest) - anchors
        deviation = difference.flatten(1).std(1, unbiased=False).view(-1, 1, 1, 1)
        grouped = stage.alpha * difference / (deviation + 1e-5) + stage.beta
        x = torch.cat([grouped, anchors.expand_as(grouped)], -1)
        x = F.relu(norm(stage.transfer.norm, stage.transfer.linear(x)))
        x = _residuals(stage.before, x).amax(2)
        x, points = _residuals(stage.after, x), centers
    return x.amax(1)


def _residuals(blocks: Any, x: Tensor) -> Tensor:
    for block in blocks:
        first, second = block.mlp.layers
        x = F.relu(norm(second.norm, second.linear(F.relu(norm(first.norm, first.linear(x))))) + x)
    return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "plain", "options"),
    [
        ("pointnext_s", pointnext, {"width": 8}),
        ("pointnext_b", pointnext, {"width": 8}),
        ("pointmlp_elite", pointmlp, {"width": 16}),
        ("pointmlp", pointmlp, {"width": 8}),
    ],
)
def test_our_fast_form_is_the_plain_one(name: str, plain: Any, options: dict, training: bool) -> None:
    torch.manual_seed(0)
    more = {"num_neighbors": 12} if plain is pointmlp else {"radius": 0.4}
    encoder = create_encoder(name, num_centers=(64, 48, 40, 32), **options, **more)
    encoder = encoder.double()  # so that nothing but the mathematics can differ
    with torch.no_grad():
        for parameter in encoder.parameters():  # scales and offsets of either sign
            if parameter.ndim == 1:
                parameter.normal_(0.3, 0.5)
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    encoder.train(training)
    points = torch.randn(3, 120, 3, dtype=torch.float64)
    points = (points / points.norm(dim=-1).amax(1)[:, None, None]).requires_grad_()
    features = torch.rand(3, 120, 3, dtype=torch.float64)
    expected = plain(encoder, points, features)
    found = encoder(points, features)
    assert (found - expected).norm() <= 1e-9 * expected.norm()
    target = torch.randn_like(found)
    wanted = [parameter for key, parameter in encoder.named_parameters() if key != "absent_features"]
    theirs = torch.autograd.grad((expected * target).sum(), wanted)
    ours = torch.autograd.grad((found * target).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= 1e-7 * (1e-3 + b.norm())
