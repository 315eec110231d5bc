"""Reference PointNet++ SSG, written literally from the paper.

Written from Qi et al., PointNet++ (NeurIPS 2017): neighborhoods by sorting, groups materialized, 1x1 convolutions,
BatchNorm, `max`. Attribute names follow the layout that public checkpoints of PyTorch ports share
(``sa1.mlp_convs.0.weight``, ``sa1.mlp_bns.0.weight`` …), so one key mapping serves both.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders import PointEncoder, create_encoder
from clip2.pretrained import fill_encoder
from clip2.pretrained.layouts import LAYOUTS

# Layout of its state dict, for clip2.pretrained.fill_encoder.
LAYOUT = replace(
    LAYOUTS["ulip_pointnet2_ssg"],
    prefix="",
    left_out=("fc", "bn"),
    axes=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
)


class TextbookPointNet2(nn.Module):
    """PointNet++ SSG classifier; 1,475,688 parameters with 40 classes and coordinates alone.

    Args:
        classes: outputs of the last layer.
        feature_channels: channels per point beside xyz.
    """

    def __init__(self, classes: int = 40, feature_channels: int = 0) -> None:
        super().__init__()
        self.sa1 = TextbookSetAbstraction(512, 0.2, 32, 3 + feature_channels, (64, 64, 128))
        self.sa2 = TextbookSetAbstraction(128, 0.4, 64, 3 + 128, (128, 128, 256))
        self.sa3 = TextbookSetAbstraction(None, 0.0, 0, 3 + 256, (256, 512, 1024))
        self.fc1, self.bn1, self.drop1 = nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.Dropout(0.5)
        self.fc2, self.bn2, self.drop2 = nn.Linear(512, 256), nn.BatchNorm1d(256), nn.Dropout(0.5)
        self.fc3 = nn.Linear(256, classes)

    def forward(self, points: Tensor, features: Tensor | None = None) -> Tensor:
        """points (B, N, 3), features (B, N, C) or None → logits (B, classes)."""
        x = self.embed(points, features)
        x = self.drop1(F.relu(self.bn1(self.fc1(x))))
        x = self.drop2(F.relu(self.bn2(self.fc2(x))))
        return self.fc3(x)

    def embed(self, points: Tensor, features: Tensor | None = None) -> Tensor:
        """points (B, N, 3), features (B, N, C) or None → global feature (B, 1024)."""
        points, features = self.sa1(points, features)
        points, features = self.sa2(points, features)
        return self.sa3(points, features)[1].squeeze(1)


class TextbookSetAbstraction(nn.Module):
    """Sample, group, shared MLP, maximum. ``num_centers`` None groups the whole cloud."""

    def __init__(
        self,
        num_centers: int | None,
        radius: float,
        k: int,
        in_channels: int,
        widths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.num_centers, self.radius, self.k = num_centers, radius, k
        self.mlp_convs, self.mlp_bns = nn.ModuleList(), nn.ModuleList()
        for width in widths:
            self.mlp_convs.append(nn.Conv2d(in_channels, width, 1))
            self.mlp_bns.append(nn.BatchNorm2d(width))
            in_channels = width

    def forward(self, points: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """points (B, N, 3), features (B, N, C) or None → centers (B, S, 3), features (B, S, C')."""
        if self.num_centers is None:
            centers, grouped = points.new_zeros(len(points), 1, 3), points[:, None]
            grouped_features = None if features is None else features[:, None]
        else:
            centers = take(points, farthest_points(points, self.num_centers))
            index = ball(self.radius, self.k, points, centers)
            grouped = take(points, index) - centers[:, :, None]
            grouped_features = None if features is None else take(features, index)
        if grouped_features is not None:
            grouped = torch.cat([grouped, grouped_features], -1)
        x = grouped.permute(0, 3, 2, 1)  # (B, C, k, S)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return centers, torch.max(x, 2)[0].permute(0, 2, 1)


def take(values: Tensor, index: Tensor) -> Tensor:
    """values (B, N, C), index (B, ...) → (B, ..., C)."""
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.ndim - 1))
    return values[batch, index]


def farthest_points(points: Tensor, k: int) -> Tensor:
    """(B, N, 3) → (B, k), from point 0."""
    batch, count, _ = points.shape
    chosen = torch.zeros(batch, k, dtype=torch.long, device=points.device)
    nearest = torch.full((batch, count), 1e10, dtype=points.dtype, device=points.device)
    farthest = torch.zeros(batch, dtype=torch.long, device=points.device)
    rows = torch.arange(batch, device=points.device)
    for step in range(k):
        chosen[:, step] = farthest
        distance = ((points - points[rows, farthest][:, None]) ** 2).sum(-1)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        farthest = torch.max(nearest, -1)[1]
    return chosen


def ball(radius: float, k: int, points: Tensor, centers: Tensor) -> Tensor:
    """First k indices within the radius: mark the others N, sort, cut, fill with the first."""
    batch, count, _ = points.shape
    squared = -2 * centers @ points.transpose(1, 2)
    squared += (centers**2).sum(-1)[:, :, None] + (points**2).sum(-1)[:, None]
    index = torch.arange(count, device=points.device).expand(batch, centers.shape[1], count).clone()
    index[squared > radius**2] = count
    index = index.sort(dim=-1)[0][:, :, :k]
    first = index[:, :, :1].expand_as(index)
    return torch.where(index == count, first, index)


def cube(batch: int, count: int) -> Tensor:
    """(batch, count, 3) points on the faces of a cube within the unit sphere."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(batch, count, 3, generator=generator) * 2 - 1
    axis = torch.randint(0, 3, (batch, count, 1), generator=generator)
    side = torch.randint(0, 2, (batch, count, 1), generator=generator) * 2.0 - 1
    return points.scatter(2, axis, side) / 3**0.5


def same_weights() -> tuple[TextbookPointNet2, PointEncoder]:
    """The textbook's network and ours with equal weights."""
    torch.manual_seed(0)
    textbook = TextbookPointNet2().train()
    with torch.no_grad():
        textbook.embed(cube(8, 600))  # running statistics as after training
    encoder = create_encoder("pointnet2_ssg", feature_channels=0)
    fill_encoder(encoder, textbook.state_dict(), LAYOUT)
    return textbook, encoder
