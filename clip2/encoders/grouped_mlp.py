"""Shared MLP over neighbourhoods followed by a maximum: the heart of PointNet++.

The first layer is linear in the point and in the centre, so it is applied before grouping:
``W [x_j - c_i, f_j] = (W_x x_j + W_f f_j) - W_x c_i``; only its result is gathered.
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

# Elements of the widest layer worked on at a time in inference: 4 MB of float32, most of it read while still in cache.
_CHUNK = 1 << 20


class GroupedMLP(nn.Module):
    """Linear → BatchNorm → ReLU, repeated, then the maximum over each neighbourhood.

    Linear layers have no bias: BatchNorm would cancel it. Under autocast the matrix products run in its type; the
    first layer stays in full precision, because it subtracts nearly equal numbers.

    Args:
        in_channels: 3 coordinates + the channels of the point features.
        widths: output channels of each layer.
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
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
        inputs = points if features is None else torch.cat([points, features], 1)
        device = inputs.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weights[0].dtype
        with torch.autocast(device, enabled=False):
            inputs = inputs.to(weights[0].dtype)
            offsets = None if centers is None else centers.index_select(0, hoods.groups).to(inputs.dtype)
            if self.training:
                table = F.linear(inputs, weights[0])
                shift = None if offsets is None else F.linear(offsets, weights[0][:, :3])
                pooled = shared_mlp_max(table, shift, hoods, norms, weights[1:], dtype)
            else:
                # Folded anew at each call: it costs about a hundredth of one cloud, and no cache can go stale.
                folded = [_fold(weight, norm) for weight, norm in zip(weights, norms, strict=True)]
                pooled = _infer(inputs, offsets, hoods, folded, dtype)
            return pooled.new_zeros(num_groups, pooled.shape[1]).index_copy(0, hoods.groups, pooled)


def _fold(weight: Tensor, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one linear layer that equals ``weight`` followed by ``norm`` in eval mode."""
    mean, variance = running_statistics(norm)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return weight * scale[:, None], norm.bias - mean * scale


def _infer(
    inputs: Tensor,
    offsets: Tensor | None,
    hoods: Neighbourhoods,
    folded: Sequence[tuple[Tensor, Tensor]],
    dtype: torch.dtype,
) -> Tensor:
    """Everything between gather and maximum in chunks that stay in cache; no neighbourhood is materialised whole."""
    (weight, bias), *others = folded
    table = F.linear(inputs, weight)
    shift = bias if offsets is None else bias - F.linear(offsets, weight[:, :3])
    shift = shift.expand(len(hoods.groups), -1)
    inner = [(weight.to(dtype), bias.to(dtype)) for weight, bias in others]
    parts = []
    for chunk in hoods.chunks(_CHUNK, max(len(bias) for _, bias in folded)):
        x = table.index_select(0, hoods.rows[chunk.row_slice]).view(chunk.groups, chunk.size, -1)
        if not inner:
            parts.append(x.amax(1).add_(shift[chunk.group_slice]))
            continue
        x += shift[chunk.group_slice, None]
        x = x.relu_().view(chunk.rows, -1).to(dtype)
        for weight, bias in inner[:-1]:
            x = F.linear(x, weight, bias).relu_()
        # The last bias and ReLU are monotone: they wait until one row per neighbourhood is left.
        parts.append(F.linear(x, inner[-1][0]).view(chunk.groups, chunk.size, -1).amax(1))
    pooled = torch.cat(parts)
    if others:
        pooled = pooled.to(table.dtype) + others[-1][1]
    return pooled.relu_()
