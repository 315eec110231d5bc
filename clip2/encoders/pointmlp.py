"""PointMLP (Ma et al., Rethinking Network Design and Local Geometry in Point Cloud, ICLR 2022, arXiv 2202.07123)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.encoder import PointEncoder, register_encoder
from clip2.encoders.padding import RealRows, shapes_follow_data
from clip2.encoders.shared_mlp import LinearNorm, PointwiseMLP, fold_norm
from clip2.ops import farthest_point_sample, group, knn


@register_encoder
def pointmlp_elite(
    feature_channels: int = 3,
    width: int = 32,
    num_centers: Sequence[int] = (512, 256, 128, 64),
    num_neighbors: int = 24,
) -> PointEncoder:
    """PointMLP-elite: residual MLPs over affinely normalized neighborhoods of nearest points.

    The paper's classification network up to its global feature: 0.44 M parameters (0.72 M with its 40-way
    classifier). 0.75 GFLOP as computed here for 1024 points.

    Args:
        feature_channels: channels per point beside xyz.
        width: channels of the embedding of single points.
        num_centers: per stage; the paper halves a cloud of 1024 points, here larger ones come to the same.
        num_neighbors: nearest points of each center.
    """
    return PointMLP(feature_channels, width, num_centers, num_neighbors, (2, 2, 2, 1), (1, 1, 2, 1), 0.25)


@register_encoder
def pointmlp(
    feature_channels: int = 3,
    width: int = 64,
    num_centers: Sequence[int] = (512, 256, 128, 64),
    num_neighbors: int = 24,
) -> PointEncoder:
    """PointMLP: the paper's full network up to its global feature.

    12.6 M parameters (13.2 M with its 40-way classifier). 25.5 GFLOP as computed here for 1024 points, 31.4 in the
    textbook form.

    Args:
        feature_channels, width, num_centers, num_neighbors: as of :func:`pointmlp_elite`.
    """
    return PointMLP(feature_channels, width, num_centers, num_neighbors, (2, 2, 2, 2), (2, 2, 2, 2), 1.0)


class PointMLP(PointEncoder):
    """Point embedding, stages that halve the cloud, the maximum over the points that are left.

    Args:
        feature_channels: channels per point beside xyz.
        width: channels of the embedding.
        num_centers: of each stage.
        num_neighbors: nearest points of each center.
        growth: factor of the channels in each stage.
        blocks: residual blocks before the maximum of each stage, and as many after it.
        bottleneck: inner channels of a residual block, as a share of its outer ones.
    """

    def __init__(
        self,
        feature_channels: int,
        width: int,
        num_centers: Sequence[int],
        num_neighbors: int,
        growth: Sequence[int],
        blocks: Sequence[int],
        bottleneck: float,
    ) -> None:
        if len(num_centers) != len(growth) or list(num_centers) != sorted(num_centers, reverse=True):
            raise ValueError(
                f"num_centers must be {len(growth)} numbers that do not grow: {list(num_centers)}"
            )
        widths = [width]
        for factor in growth:
            widths.append(widths[-1] * factor)
        super().__init__(widths[-1], feature_channels)
        self.num_centers, self.num_neighbors = list(num_centers), num_neighbors
        self.embedding = PointwiseMLP((3 + feature_channels, width))
        self.stages = nn.ModuleList(
            _Stage(a, b, count, bottleneck)
            for a, b, count in zip(widths[:-1], widths[1:], blocks, strict=True)
        )

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, N, 3), (B, N, C) or None, (B,) or None → (B, width)."""
        if not self.training and shapes_follow_data(points.device) and len(points) > 1:
            # One cloud at a time stays in the processor's cache, and a batch takes no more memory than a cloud.
            one_by_one = []
            for b in range(len(points)):
                cloud = slice(b, b + 1)
                own = None if features is None else features[cloud]
                one_by_one.append(
                    self._embed(points[cloud], own, None if lengths is None else lengths[cloud])
                )
            return torch.cat(one_by_one)
        return self._embed(points, features, lengths)

    def _embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        batch, count, _ = points.shape
        rows = RealRows(batch, count, lengths, self.training)
        x = rows.put(
            self.embedding(rows.take(points if features is None else torch.cat([points, features], -1)))
        )
        for depth, (stage, wanted) in enumerate(zip(self.stages, self.num_centers, strict=True)):
            count = min(wanted, points.shape[1])
            if depth == 0:  # farthest-point samples are nested: this one serves every stage
                chosen = farthest_point_sample(points, count, lengths)
            else:
                chosen = torch.arange(count, device=points.device).expand(batch, count)
            centers = group(points, chosen)
            _, index = knn(points.detach(), centers.detach(), self.num_neighbors, lengths)
            lengths = None if lengths is None else lengths.clamp(max=count)
            real = RealRows(batch, count, lengths, self.training)
            x = cast("_Stage", stage)(x, chosen, index, real)
            points = centers
        if lengths is not None:
            padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            x = x.masked_fill(padding[..., None], -torch.inf)
        return x.amax(1).to(points.dtype)


class _Stage(nn.Module):
    """Geometric affine module, residual blocks over neighbors, maximum, residual blocks over centers."""

    def __init__(self, width: int, out: int, blocks: int, bottleneck: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.transfer = LinearNorm(2 * width, out)
        self.before = nn.Sequential(*(_Residual(out, bottleneck) for _ in range(blocks)))
        self.after = nn.Sequential(*(_Residual(out, bottleneck) for _ in range(blocks)))

    def forward(self, x: Tensor, chosen: Tensor, index: Tensor, real: RealRows) -> Tensor:
        """x (B, N, C), chosen (B, S) centers, index (B, S, k) their neighbors → (B, S, C')."""
        k = index.shape[2]
        rows = self._first_layer(x, chosen, index, real)
        rows = self.before(rows)
        pooled = rows.unflatten(0, (-1, k)).amax(1)
        return real.put(self.after(pooled))

    def _first_layer(self, x: Tensor, chosen: Tensor, index: Tensor, real: RealRows) -> Tensor:
        """ReLU(BatchNorm(W [α (x_j - x_i) / σ + β, x_i])) for all neighbors j of the real centers i: (R k, C').

        W is linear: its first half is applied once per point and its second once per center, then gathered.
        """
        width = len(self.alpha)
        weight, norm = self.transfer.linear.weight, self.transfer.norm
        if not self.training:
            scale, bias = fold_norm(norm)
            weight = weight * scale
        relative, absolute = weight[:, :width], weight[:, width:]
        spread = real.take((1 / (_deviation(x, chosen, index, real) + 1e-5)).expand(index.shape[:2]))
        table = F.linear(x, relative * self.alpha).to(x.dtype)
        offset = F.linear(group(x, chosen), absolute).to(x.dtype) + relative @ self.beta
        y = real.take(group(table, index)) - real.take(group(table, chosen))[:, None]
        y = torch.addcmul(real.take(offset)[:, None], y, spread[:, None, None]).flatten(0, 1)
        return ((y + bias) if not self.training else norm(y)).relu_()


def _deviation(x: Tensor, chosen: Tensor, index: Tensor, real: RealRows) -> Tensor:
    """Standard deviation of all entries of x_j - x_i of each cloud: (B, 1), as the public code takes it.

    Of the population: the sample's would have nothing to divide by in a cloud of one point.
    """
    difference = group(x, index) - group(x, chosen)[:, :, None]
    sums = torch.stack([difference.sum((2, 3)), difference.square().sum((2, 3))])
    count = torch.full((x.shape[0], 1), float(index.shape[1]), dtype=x.dtype, device=x.device)
    if real.mask is not None:
        inside = real.mask.to(x.dtype)
        sums, count = sums * inside, inside.sum(1, keepdim=True)
    mean, mean_square = sums.sum(2, keepdim=True) / (count * index.shape[2] * x.shape[2])
    # The root has no slope at 0, where all points coincide.
    return (mean_square - mean.square()).clamp_min(1e-20).sqrt()


class _Residual(nn.Module):
    def __init__(self, width: int, bottleneck: float) -> None:
        super().__init__()
        self.mlp = PointwiseMLP((width, int(width * bottleneck), width), last_activation=False)

    def forward(self, rows: Tensor) -> Tensor:
        return (self.mlp(rows) + rows).relu_()
