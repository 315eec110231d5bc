"""Patch tokens of a point cloud: a small PointNet over the neighborhood of each of many spread centers."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.neighborhoods import Neighborhoods
from clip2.encoders.padding import RealRows, leaves_out_padding
from clip2.encoders.shared_mlp import GroupedMLP, fold_norm
from clip2.ops import ball_query, farthest_point_sample, group, knn
from clip2.ops.batches import is_exporting

# Members worked on at a time in inference: activations then stay near a CPU's cache, and memory does not grow with
# the batch.
_ROWS_AT_ONCE = {"cpu": 1 << 12}
_ROWS_AT_ONCE_ELSEWHERE = 1 << 20


class Patches(NamedTuple):
    """Tokens (B, S, C), their centers (B, S, 3), and how many are real: (B,) or None for all."""

    tokens: Tensor
    centers: Tensor
    lengths: Tensor | None


class NearestPatches(nn.Module):
    """The nearest points of each center through the two-step PointNet of Point-BERT (arXiv 2111.14819).

    Args:
        feature_channels: per point.
        count, size: patches, and points of each; a cloud with fewer points makes a patch of every point.
        inner: channels of a patch before it becomes a token.
        width: of the tokens.
    """

    def __init__(self, feature_channels: int, count: int, size: int, inner: int, width: int) -> None:
        super().__init__()
        self.count, self.size = count, size
        self.pointnet = PatchPointNet(3 + feature_channels, inner)
        self.project = nn.Linear(inner, width)

    def forward(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Patches:
        """points (B, N, 3), features (B, N, C) or None, lengths (B,) or None."""
        centers, lengths_of_centers = _centers(points, self.count, lengths)
        _, index = knn(points.detach(), centers.detach(), self.size, lengths)
        real = RealRows(centers.shape[0], centers.shape[1], lengths_of_centers, self.training)
        index, cloud = _rows_of_clouds(index, points.shape[1]), real.take(centers)
        index = real.take(index)
        table, rows = points.flatten(0, 1), None if features is None else features.flatten(0, 1)
        at_once = _ROWS_AT_ONCE.get(points.device.type, _ROWS_AT_ONCE_ELSEWHERE)
        whole = self.training or is_exporting()
        step = max(1, at_once // self.size)
        index_parts = [index] if whole else index.split(step)
        cloud_parts = [cloud] if whole else cloud.split(step)
        parts = []
        for part, middle in zip(index_parts, cloud_parts, strict=True):
            members = table[part] - middle[:, None]
            if rows is not None:
                members = torch.cat([members, rows[part]], -1)
            parts.append(self.pointnet(members))
        return Patches(real.put(self.project(torch.cat(parts))), centers, lengths_of_centers)


class BallPatches(nn.Module):
    """The points within a ball around each center through a set abstraction, as OpenShape does (arXiv 2305.10764).

    Points are described by coordinates relative to the center, absolute coordinates, and features; tokens also by
    their center.

    Args:
        feature_channels: per point.
        count: patches; a cloud with fewer points makes a patch of every point.
        radius, size: of the balls, and points taken from each.
        inner: channels of a patch before it becomes a token.
        width: of the tokens.
    """

    def __init__(
        self, feature_channels: int, count: int, radius: float, size: int, inner: int, width: int
    ) -> None:
        super().__init__()
        self.count, self.radius, self.size = count, radius, size
        self.mlp = GroupedMLP(6 + feature_channels, (64, 64, inner))
        self.project = nn.Linear(3 + inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Patches:
        """points (B, N, 3), features (B, N, C) or None, lengths (B,) or None."""
        batch, num_points, _ = points.shape
        centers, lengths_of_centers = _centers(points, self.count, lengths)
        index = ball_query(points, centers, self.radius, self.size, lengths)
        real = lengths_of_centers if leaves_out_padding(points.device, self.training) else None
        neighborhoods = Neighborhoods.of_ball_query(index, num_points, real)
        rows = (points if features is None else torch.cat([points, features], -1)).flatten(0, 1)
        pooled = self.mlp(
            points.flatten(0, 1), rows, centers.flatten(0, 1), neighborhoods, batch * centers.shape[1]
        ).view(batch, centers.shape[1], -1)
        tokens = self.norm(self.project(torch.cat([centers, pooled], -1)))
        return Patches(tokens, centers, lengths_of_centers)


class PatchPointNet(nn.Module):
    """Linear → BatchNorm → ReLU → linear, maximum beside each member, the same once more, maximum."""

    def __init__(self, in_channels: int, out: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_channels, 128, bias=False)
        self.norm1 = nn.BatchNorm1d(128)
        self.linear2 = nn.Linear(128, 256)
        self.linear3 = nn.Linear(512, 512, bias=False)  # of the maximum, then of the member
        self.norm2 = nn.BatchNorm1d(512)
        self.linear4 = nn.Linear(512, out)

    def forward(self, members: Tensor) -> Tensor:
        """(G, k, in_channels) → (G, out)."""
        groups, size, _ = members.shape
        full = members.dtype
        with torch.autocast(members.device.type, enabled=False):  # small differences of coordinates
            x = _linear_norm(self.linear1.weight, self.norm1, members.flatten(0, 1)).relu_()
        if not self.training:
            return self._infer(x, groups, size).to(full)
        x = self.linear2(x).unflatten(0, (groups, size))
        # The maximum is the same for all members: its half of the layer is applied once per patch.
        weight = self.linear3.weight
        shared = F.linear(x.amax(1), weight[:, :256]).to(full)
        own = F.linear(x, weight[:, 256:]).to(full)
        y = (own + shared[:, None]).flatten(0, 1)
        x = self.linear4(self.norm2(y).relu_())
        return cast("Tensor", x.unflatten(0, (groups, size)).amax(1).to(full))

    def _infer(self, rows: Tensor, groups: int, size: int) -> Tensor:
        """The rest for (G k, 128) rows in eval mode, with a sixth less arithmetic.

        Nothing but the maximum stands between the second and third layer, so a member's way through both is one
        product; BatchNorm is folded into it, and biases wait until one row per patch is left.
        """
        scale, bias = fold_norm(self.norm2)
        weight = self.linear3.weight * scale
        most = self.linear2(rows).unflatten(0, (groups, size)).amax(1)
        own = weight[:, 256:]
        shared = F.linear(most, weight[:, :256], bias + own @ self.linear2.bias)
        y = F.linear(rows, own @ self.linear2.weight).unflatten(0, (groups, size))
        y = y.add_(shared.to(y.dtype)[:, None]).relu_().flatten(0, 1)
        best = F.linear(y, self.linear4.weight).unflatten(0, (groups, size)).amax(1)
        return best + self.linear4.bias.to(best.dtype)


def _linear_norm(weight: Tensor, norm: nn.BatchNorm1d, rows: Tensor) -> Tensor:
    if norm.training:
        return cast("Tensor", norm(F.linear(rows, weight)))
    scale, bias = fold_norm(norm)
    return F.linear(rows, weight * scale, bias)


def _centers(points: Tensor, count: int, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    count = min(count, points.shape[1])
    centers = group(points, farthest_point_sample(points, count, lengths))
    return centers, None if lengths is None else lengths.clamp(max=count)


def _rows_of_clouds(index: Tensor, num_points: int) -> Tensor:
    offset = torch.arange(index.shape[0], device=index.device).mul_(num_points)
    return index + offset[:, None, None]
