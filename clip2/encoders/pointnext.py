"""PointNeXt (Qian et al., PointNeXt, NeurIPS 2022, arXiv 2206.04670)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from clip2.encoders.encoder import PointEncoder, register_encoder
from clip2.encoders.neighborhoods import Neighborhoods
from clip2.encoders.padding import RealRows, leaves_out_padding
from clip2.encoders.shared_mlp import GroupedMLP, PointwiseMLP
from clip2.ops import ball_query, farthest_point_sample, group

_NEIGHBORS = 32
_GROWTH_OF_RADIUS = 1.5  # per stage, and from a stage's set abstraction to its residual blocks
_EXPANSION = 4  # of the inverted bottleneck


@register_encoder
def pointnext_s(
    feature_channels: int = 3,
    width: int = 32,
    num_centers: Sequence[int] = (512, 256, 128, 64),
    radius: float = 0.15,
) -> PointEncoder:
    """PointNeXt-S: PointNet++ with residual set abstraction and radius-normalized coordinates.

    The paper's classification network up to its global feature: 0.97 M parameters (1.367 M with the ScanObjectNN
    classifier). 0.58 GFLOP as computed here for 1024 points, 1.64 in the textbook form. Its point features are the
    coordinates and ``features``.

    Args:
        feature_channels: channels per point beside xyz.
        width: channels after the stem; they double at every stage.
        num_centers: per stage; the paper halves a cloud of 1024 points, here larger ones come to the same.
        radius: of the first stage's balls, clouds lying in the unit sphere.
    """
    return PointNeXt(feature_channels, width, num_centers, radius, (0,) * len(num_centers), residual=True)


@register_encoder
def pointnext_b(
    feature_channels: int = 3,
    width: int = 32,
    num_centers: Sequence[int] = (512, 256, 128, 64),
    radius: float = 0.15,
    blocks: Sequence[int] = (1, 2, 1, 1),
) -> PointEncoder:
    """PointNeXt-B: inverted residual blocks between the set abstractions.

    3.74 M parameters. 0.76 GFLOP as computed here for 1024 points. The paper defines B for scenes (3.83 M with decoder
    and the S3DIS head, 3.48 M of them before the decoder). Here its four stages, with the radii and strides that the
    paper takes for objects, end in the global set abstraction of the paper's classification networks.

    Args:
        feature_channels, width, num_centers, radius: as of :func:`pointnext_s`.
        blocks: inverted residual blocks per stage.
    """
    return PointNeXt(feature_channels, width, num_centers, radius, blocks, residual=False)


class PointNeXt(PointEncoder):
    """Stem, stages of set abstraction and inverted residual blocks, one global set abstraction.

    Args:
        feature_channels: channels per point beside xyz.
        width: channels after the stem.
        num_centers, blocks: centers and inverted residual blocks of each stage.
        radius: of the first stage.
        residual: set abstractions have two layers and a shortcut (S), or one layer and none (larger variants).
    """

    def __init__(
        self,
        feature_channels: int,
        width: int,
        num_centers: Sequence[int],
        radius: float,
        blocks: Sequence[int],
        residual: bool,
    ) -> None:
        if list(num_centers) != sorted(num_centers, reverse=True):
            raise ValueError(f"num_centers must not grow from stage to stage: {list(num_centers)}")
        if len(blocks) != len(num_centers):
            raise ValueError(f"{len(blocks)} blocks for {len(num_centers)} num_centers")
        out = width << len(num_centers)
        super().__init__(out, feature_channels)
        self.num_centers = list(num_centers)
        self.stem = nn.Linear(3 + feature_channels, width)
        self.stages = nn.ModuleList()
        for count in blocks:
            self.stages.append(_Stage(width, 2 * width, radius, count, residual))
            width, radius = 2 * width, radius * _GROWTH_OF_RADIUS
        self.head = GroupedMLP(3 + width, (out, out) if residual else (out,))

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, N, 3), (B, N, C) or None, (B,) or None → (B, width)."""
        x = self.stem(points if features is None else torch.cat([points, features], -1)).to(points.dtype)
        for depth, (stage, wanted) in enumerate(zip(self.stages, self.num_centers, strict=True)):
            count = min(wanted, points.shape[1])
            if depth == 0:  # farthest-point samples are nested: this one serves every stage
                index = farthest_point_sample(points, count, lengths)
                centers, anchors = group(points, index), group(x, index)
            else:
                centers, anchors = points[:, :count], x[:, :count]
            x = stage(_Cloud(points, lengths), x, _Cloud(centers, _at_most(lengths, count)), anchors)
            points, lengths = centers, _at_most(lengths, count)
        batch, count, _ = points.shape
        whole = Neighborhoods.of_whole_clouds(batch, count, lengths, points.device)
        return self.head(points.flatten(0, 1), x.flatten(0, 1), None, whole, batch)


@dataclass(frozen=True)
class _Cloud:
    points: Tensor  # (B, N, 3)
    lengths: Tensor | None  # (B,)

    def neighborhoods(self, centers: _Cloud, radius: float, training: bool) -> Neighborhoods:
        index = ball_query(self.points, centers.points, radius, _NEIGHBORS, self.lengths)
        real = centers.lengths if leaves_out_padding(index.device, training) else None
        return Neighborhoods.of_ball_query(index, self.points.shape[1], real)


class _Stage(nn.Module):
    def __init__(self, width: int, out: int, radius: float, blocks: int, residual: bool) -> None:
        super().__init__()
        self.radius = radius
        self.down = GroupedMLP(3 + width, (out // 2, out) if residual else (out,), not residual)
        self.shortcut = nn.Linear(width, out) if residual else None
        self.blocks = nn.ModuleList(InvertedResidual(out) for _ in range(blocks))

    def forward(self, cloud: _Cloud, x: Tensor, centers: _Cloud, anchors: Tensor) -> Tensor:
        """x (B, N, C) of the cloud, anchors (B, S, C) of the centers → (B, S, out)."""
        neighborhoods = cloud.neighborhoods(centers, self.radius, self.training)
        x = _aggregate(self.down, cloud, x, centers, neighborhoods, self.radius)
        if self.shortcut is not None:
            x = (x + self.shortcut(anchors)).relu_()
        if len(self.blocks):
            radius = self.radius * _GROWTH_OF_RADIUS
            neighborhoods = centers.neighborhoods(centers, radius, self.training)
            real = RealRows(x.shape[0], x.shape[1], centers.lengths, self.training)
            for block in self.blocks:
                x = cast("InvertedResidual", block)(centers, x, neighborhoods, radius, real)
        return x


class InvertedResidual(nn.Module):
    """InvResMLP: neighborhood aggregation, a point-wise inverted bottleneck, and the way around both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local = GroupedMLP(3 + width, (width,))
        self.pointwise = PointwiseMLP((width, _EXPANSION * width, width), last_activation=False)

    def forward(
        self, cloud: _Cloud, x: Tensor, neighborhoods: Neighborhoods, radius: float, real: RealRows
    ) -> Tensor:
        """(B, S, C) → (B, S, C)."""
        local = _aggregate(self.local, cloud, x, cloud, neighborhoods, radius)
        return (real.put(self.pointwise(real.take(local))) + x).relu_()


def _aggregate(
    mlp: GroupedMLP, cloud: _Cloud, x: Tensor, centers: _Cloud, neighborhoods: Neighborhoods, radius: float
) -> Tensor:
    """Coordinates in units of the radius: what the paper calls normalized relative coordinates."""
    batch, count, _ = centers.points.shape
    table, middles = cloud.points.flatten(0, 1) / radius, centers.points.flatten(0, 1) / radius
    pooled = mlp(table, x.flatten(0, 1), middles, neighborhoods, batch * count)
    return pooled.view(batch, count, -1)


def _at_most(lengths: Tensor | None, count: int) -> Tensor | None:
    return None if lengths is None else lengths.clamp(max=count)
