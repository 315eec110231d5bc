"""Shared MLP over neighbourhoods followed by a maximum: the heart of PointNet++.

The first layer is linear in the point and in the centre, so it is applied before grouping:
``W [x_j - c_i, f_j] = (W_x x_j + W_f f_j) - W_x c_i``; only its result is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.fused_training import shared_mlp_max
from clip2.encoders.neighbourhoods import Neighbourhoods


class GroupedMLP(nn.Module):
    """Linear → BatchNorm → ReLU, repeated, then the maximum over each neighbourhood.

    Linear layers have no bias: BatchNorm would cancel it.

    Args:
        in_channels: 3 relative coordinates + the channels of the point features.
        widths: output channels of each layer.
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        channels = [in_channels, *widths]
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(
        self,
        points: Tensor,
        features: Tensor | None,
        centers: Tensor | None,
        neighbourhoods: Neighbourhoods,
        num_groups: int,
    ) -> Tensor:
        """Embed each neighbourhood.

        Args:
            points: (P, 3), all clouds' points in one table.
            features: (P, C) or None.
            centers: (G', 3) subtracted from the coordinates of the members, or None for absolute coordinates.
            neighbourhoods: which rows of ``points`` belong to which row of ``centers``.
            num_groups: rows of the result; those without a neighbourhood are 0.

        Returns:
            (num_groups, widths[-1]).
        """
        inputs = points if features is None else torch.cat([points, features], 1)
        weights = [linear.weight for linear in self.linears]
        if self.training:
            table = F.linear(inputs, weights[0])
            shift = None
            if centers is not None:
                shift = F.linear(centers, weights[0][:, :3]).index_select(0, neighbourhoods.groups)
            pooled = shared_mlp_max(table, shift, neighbourhoods, list(self.norms), weights[1:])
        else:
            folded = [_fold(weight, norm) for weight, norm in zip(weights, self.norms, strict=True)]
            pooled = _infer(inputs, centers, neighbourhoods, folded)
        return pooled.new_zeros(num_groups, pooled.shape[1]).index_copy(0, neighbourhoods.groups, pooled)


def _fold(weight: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one linear layer that equals ``weight`` followed by ``norm`` in eval mode."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return weight * scale[:, None], norm.bias - norm.running_mean * scale


def _infer(
    inputs: Tensor, centers: Tensor | None, hoods: Neighbourhoods, folded: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """Everything between gather and maximum in chunks that stay in cache; nothing else is materialised."""
    (weight, bias), *rest = folded
    table = F.linear(inputs, weight)
    shift = bias.expand(len(hoods.groups), -1)
    if centers is not None:
        shift = shift - F.linear(centers, weight[:, :3]).index_select(0, hoods.groups)
    widest = max(len(bias) for _, bias in folded)
    parts = []
    row = group = 0
    for count, size in hoods.blocks:
        step = max(1, (1 << 20) // (size * widest)) if inputs.device.type == "cpu" else count
        for first in range(0, count, step):
            groups = min(step, count - first)
            x = table.index_select(0, hoods.rows[row : row + groups * size]).view(groups, size, -1)
            if not rest:
                parts.append(x.amax(1).add_(shift[group : group + groups]))
            else:
                x += shift[group : group + groups, None]
                x = x.relu_().view(groups * size, -1)
                for weight, bias in rest[:-1]:
                    x = F.linear(x, weight, bias).relu_()
                # The last bias and ReLU are monotone: they wait until one row per neighbourhood is left.
                parts.append(F.linear(x, rest[-1][0]).view(groups, size, -1).amax(1).add_(rest[-1][1]))
            row += groups * size
            group += groups
    return torch.cat(parts).relu_()
