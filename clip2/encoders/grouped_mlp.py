"""Shared MLP over neighbourhoods followed by a maximum: the heart of PointNet++.

The first layer is linear, so the part of it that sees wide point features is applied once per point and gathered,
not applied once per neighbour. Coordinates, and features as narrow as colour, are gathered as they are: that is less
to move, and subtracting the centre first keeps every digit of small differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.batch_statistics import running_statistics
from clip2.encoders.fused_training import shared_mlp_max
from clip2.encoders.neighbourhoods import Neighbourhoods

# Point features with at most so many channels are gathered before the first layer.
_NARROW = 16

# Elements of the widest layer worked on at a time in inference: 4 MB of float32, most of it read while still in cache.
_CHUNK = 1 << 20


class GroupedMLP(nn.Module):
    """Linear → BatchNorm → ReLU, repeated, then the maximum over each neighbourhood.

    Linear layers have no bias: BatchNorm would cancel it. Under autocast the matrix products run in its type; the
    first layer of coordinates stays in full precision.

    Args:
        in_channels: 3 coordinates + the channels of the point features.
        widths: output channels of each layer.
        last_activation: False: no ReLU after the last layer, for a sum to come before it.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], last_activation: bool = True) -> None:
        super().__init__()
        self.last_activation = last_activation
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise([in_channels, *widths]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(
        self,
        points: Tensor,
        features: Tensor | None,
        centers: Tensor | None,
        hoods: Neighbourhoods,
        num_groups: int,
    ) -> Tensor:
        """Embed each neighbourhood.

        Args:
            points: (P, 3), all clouds' points in one table.
            features: (P, C) or None.
            centers: (num_groups, 3) subtracted from the coordinates of the members; None: absolute coordinates.
            hoods: which rows of ``points`` belong to which group.
            num_groups: rows of the result; a group without a neighbourhood is 0.

        Returns:
            (num_groups, widths[-1]).
        """
        weights = [cast("Tensor", linear.weight) for linear in self.linears]
        norms = [cast("nn.BatchNorm1d", norm) for norm in self.norms]
        full, device = weights[0].dtype, points.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else full
        with torch.autocast(device, enabled=False):
            table = None
            direct = points.to(full).index_select(0, hoods.rows)
            if centers is not None:
                direct = direct - hoods.spread(centers.to(full).index_select(0, hoods.groups))
            if features is not None and features.shape[1] <= _NARROW:
                direct = torch.cat([direct, features.to(full).index_select(0, hoods.rows)], 1)
            elif features is not None:
                table = F.linear(features.to(dtype), weights[0][:, 3:].to(dtype)).to(full)
            direct_weight = weights[0][:, : direct.shape[1]]
            if self.training:
                pooled = shared_mlp_max(
                    direct, direct_weight, table, hoods, norms, weights[1:], dtype, self.last_activation
                )
            else:
                # Folded anew at each call: it costs about a hundredth of one cloud, and no cache can go stale.
                scales, biases = zip(*map(fold_norm, norms), strict=True)
                inner = [weight * scale for weight, scale in zip(weights[1:], scales[1:], strict=True)]
                table = None if table is None else table * scales[0].t()
                pooled = _infer(direct, direct_weight * scales[0], table, hoods, inner, biases, dtype)
                if self.last_activation:
                    pooled.relu_()
            return pooled.new_zeros(num_groups, pooled.shape[1]).index_copy(0, hoods.groups, pooled)


def fold_norm(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """What ``norm`` in eval mode does to the linear layer before it: row scale (C, 1) and bias (C,)."""
    mean, variance = running_statistics(norm)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return scale[:, None], norm.bias - mean * scale


def _infer(
    direct: Tensor,
    direct_weight: Tensor,
    table: Tensor | None,
    hoods: Neighbourhoods,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    dtype: torch.dtype,
) -> Tensor:
    """Everything between gather and maximum in chunks that stay in cache; no neighbourhood is materialised whole."""
    inner = [(weight.to(dtype), bias.to(dtype)) for weight, bias in zip(weights, biases[1:], strict=True)]
    parts = []
    for chunk in hoods.chunks(_CHUNK, max(len(bias) for bias in biases)):
        x = F.linear(direct[chunk.row_slice], direct_weight)
        if table is not None:
            x += table.index_select(0, hoods.rows[chunk.row_slice])
        if inner:
            x = x.add_(biases[0]).relu_().to(dtype)
            for weight, bias in inner[:-1]:
                x = F.linear(x, weight, bias).relu_()
            x = F.linear(x, inner[-1][0])
        # The last bias and ReLU are monotone: they wait until one row per neighbourhood is left.
        parts.append(x.view(chunk.groups, chunk.size, -1).amax(1))
    return torch.cat(parts).to(direct.dtype) + biases[-1]
