"""PointNet (Qi et al., CVPR 2017, arXiv 1612.00593) and PointNet++ (Qi et al., NeurIPS 2017, arXiv 1706.02413)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from clip2.encoders.encoder import PointEncoder, register_encoder
from clip2.encoders.neighborhoods import Neighborhoods
from clip2.encoders.padding import leaves_out_padding
from clip2.encoders.shared_mlp import GroupedMLP
from clip2.ops import ball_query, farthest_point_sample, group


@register_encoder
def pointnet(feature_channels: int = 3, widths: Sequence[int] = (64, 64, 64, 128, 1024)) -> PointEncoder:
    """PointNet (arXiv 1612.00593) without transformation networks ("vanilla"): one shared MLP and a maximum over all points.

    0.15 M parameters up to its global feature (0.8 M with the paper's classifier). 0.3 GFLOP as computed here for 1024
    points.

    Args:
        feature_channels: channels per point beside xyz.
        widths: of the shared MLP.
    """
    return PointNet(feature_channels, widths)


@register_encoder
def pointnet2_ssg(
    feature_channels: int = 3,
    num_centers: Sequence[int] = (512, 128),
    radii: Sequence[float] = (0.2, 0.4),
    num_neighbors: Sequence[int] = (32, 64),
    widths: Sequence[Sequence[int]] = ((64, 64, 128), (128, 128, 256), (256, 512, 1024)),
) -> PointEncoder:
    """PointNet++ with single-scale grouping: the paper's ModelNet40 architecture up to its global feature.

    0.81 M parameters (1.48 M with the paper's classifier). 0.94 GFLOP as computed here for 1024 points, 1.67 in the
    textbook form.

    Args:
        feature_channels: channels per point beside xyz.
        num_centers: centers of each local set abstraction level; a cloud with fewer points uses all of them.
        radii: of the balls of each level, clouds lying in the unit sphere.
        num_neighbors: points taken from each ball.
        widths: of the shared MLP of each level, and of the global one.
    """
    scales = [
        [(radius, k, tuple(mlp))] for radius, k, mlp in zip(radii, num_neighbors, widths[:-1], strict=True)
    ]
    return PointNet2(feature_channels, list(num_centers), scales, widths[-1])


@register_encoder
def pointnet2_ssg_small(feature_channels: int = 3) -> PointEncoder:
    """A narrow PointNet++ for quick experiments on a CPU.

    0.20 M parameters. 0.04 GFLOP as computed here for 1024 points.
    """
    return pointnet2_ssg(
        feature_channels, (128, 32), (0.25, 0.5), (16, 16), ((32, 32, 64), (64, 64, 128), (128, 256, 512))
    )


@register_encoder
def pointnet2_msg(feature_channels: int = 3) -> PointEncoder:
    """PointNet++ with multi-scale grouping: the paper's ModelNet40 architecture up to its global feature.

    1.08 M parameters (1.74 M with the paper's classifier). 4.22 GFLOP as computed here for 1024 points, 7.8 in the
    textbook form.

    Args:
        feature_channels: channels per point beside xyz.
    """
    scales = [
        [(0.1, 16, (32, 32, 64)), (0.2, 32, (64, 64, 128)), (0.4, 128, (64, 96, 128))],
        [(0.2, 32, (64, 64, 128)), (0.4, 64, (128, 128, 256)), (0.8, 128, (128, 128, 256))],
    ]
    return PointNet2(feature_channels, (512, 128), scales, (256, 512, 1024))


class PointNet(PointEncoder):
    """Shared MLP over points, then the maximum; the order of points never matters."""

    def __init__(self, feature_channels: int, widths: Sequence[int]) -> None:
        super().__init__(widths[-1], feature_channels)
        self.mlp = GroupedMLP(3 + feature_channels, widths)

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, N, 3), (B, N, C) or None, (B,) or None → (B, width)."""
        batch, num_points, _ = points.shape
        whole = Neighborhoods.of_whole_clouds(batch, num_points, lengths, points.device)
        rows = None if features is None else features.flatten(0, 1)
        return self.mlp(points.flatten(0, 1), rows, None, whole, batch)


Scale = tuple[float, int, Sequence[int]]  # radius, neighbors, widths of the shared MLP


class PointNet2(PointEncoder):
    """Set abstraction levels, then one shared MLP and a maximum over the centers that are left.

    Args:
        feature_channels: channels per point beside xyz.
        num_centers: per level.
        scales: per level, one entry per grouping radius; their outputs are concatenated (multi-scale grouping).
        global_widths: of the last shared MLP, which sees absolute coordinates.
    """

    def __init__(
        self,
        feature_channels: int,
        num_centers: Sequence[int],
        scales: Sequence[Sequence[Scale]],
        global_widths: Sequence[int],
    ) -> None:
        super().__init__(global_widths[-1], feature_channels)
        if list(num_centers) != sorted(num_centers, reverse=True):
            raise ValueError(f"num_centers must not grow from level to level: {list(num_centers)}")
        self.levels = nn.ModuleList()
        channels = feature_channels
        for count, level in zip(num_centers, scales, strict=True):
            self.levels.append(SetAbstraction(channels, count, level))
            channels = sum(widths[-1] for _, _, widths in level)
        self.head = GroupedMLP(3 + channels, global_widths)

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, N, 3), (B, N, C) or None, (B,) or None → (B, width)."""
        # Farthest-point samples are nested: the first m of the sample of k points are the sample of m points, and
        # a sample of the sample is its beginning. One sampling serves every level.
        centers = points
        for depth, module in enumerate(self.levels):
            level = cast("SetAbstraction", module)
            count = min(level.num_centers, points.shape[1])
            if depth == 0:
                centers = group(points, farthest_point_sample(points, count, lengths))
            else:
                centers = points[:, :count]
            features = level(points, features, centers, lengths)
            points = centers
            lengths = None if lengths is None else lengths.clamp(max=count)
        batch, count, _ = points.shape
        whole = Neighborhoods.of_whole_clouds(batch, count, lengths, points.device)
        rows = None if features is None else features.flatten(0, 1)
        return self.head(points.flatten(0, 1), rows, None, whole, batch)


class SetAbstraction(nn.Module):
    """Set abstraction: features of each center from the points around it, at one or several radii."""

    def __init__(self, in_channels: int, num_centers: int, scales: Sequence[Scale]) -> None:
        super().__init__()
        self.num_centers = num_centers
        self.radii = [radius for radius, _, _ in scales]
        self.num_neighbors = [k for _, k, _ in scales]
        self.mlps = nn.ModuleList(GroupedMLP(3 + in_channels, widths) for _, _, widths in scales)

    def forward(
        self, points: Tensor, features: Tensor | None, centers: Tensor, lengths: Tensor | None
    ) -> Tensor:
        """points (B, N, 3), features (B, N, C) or None, centers (B, S, 3), lengths (B,) or None → (B, S, C')."""
        batch, num_points, _ = points.shape
        real = None
        if lengths is not None and leaves_out_padding(points.device, self.training):
            real = lengths.clamp(max=centers.shape[1])
        table = points.flatten(0, 1)
        rows = None if features is None else features.flatten(0, 1)
        outputs = []
        for radius, k, mlp in zip(self.radii, self.num_neighbors, self.mlps, strict=True):
            index = ball_query(points, centers, radius, k, lengths)
            neighborhoods = Neighborhoods.of_ball_query(index, num_points, real)
            outputs.append(mlp(table, rows, centers.flatten(0, 1), neighborhoods, batch * centers.shape[1]))
        return torch.cat(outputs, 1).view(batch, centers.shape[1], -1)
