"""PointNet (Qi et al., CVPR 2017, arXiv 1612.00593)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from clip2.encoders.encoder import PointEncoder
from clip2.encoders.grouped_mlp import GroupedMLP
from clip2.encoders.neighborhoods import Neighborhoods
from clip2.encoders.registry import register_encoder


@register_encoder
def pointnet(feature_channels: int = 3, widths: Sequence[int] = (64, 64, 64, 128, 1024)) -> PointEncoder:
    """PointNet without transformation networks ("vanilla"): one shared MLP and a maximum over all points.

    0.15 M parameters up to its global feature (0.8 M with the paper's classifier). 0.3 GFLOP as computed here for 1024
    points.

    Args:
        feature_channels: channels per point beside xyz.
        widths: of the shared MLP.
    """
    return PointNet(feature_channels, widths)


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
