"""Shared MLPs: the same layers on every row of a table of points, or on every neighborhood followed by a maximum.

BatchNorm is folded into the linear layers in eval mode. In `GroupedMLP`, the heart of PointNet++, the part of the first
layer that sees wide point features is applied once per point and gathered, not applied once per neighbor. Coordinates,
and features as narrow as color, are gathered as they are: that is less to move, and subtracting the center first keeps
every digit of small differences.
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
from clip2.encoders.neighborhoods import Neighborhoods

# Point features with at most so many channels are gathered before the first layer.
_NARROW = 16

# Elements of the widest layer worked on at a time in inference: 4 MB of float32, most of it read while still in cache.
_CHUNK = 1 << 20


class LinearNorm(nn.Module):
    """Linear → BatchNorm of rows (R, in_channels); no bias in the linear layer, BatchNorm would cancel it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = nn.BatchNorm1d(out_channels)

    def forward(self, rows: Tensor) -> Tensor:
        """(R, in_channels) → (R, out_channels); in training R rows make the batch statistics."""
        weight = self.linear.weight
        if not self.training or len(rows) == 1:  # one value has no variance: it is judged by those before it
            scale, bias = fold_norm(self.norm)
            return F.linear(rows, weight * scale, bias).to(weight.dtype)
        # Half precision would spoil sums over so many rows.
        normalized: Tensor = self.norm(F.linear(rows, weight).to(weight.dtype))
        return normalized


class PointwiseMLP(nn.Module):
    """Linear → BatchNorm → ReLU, repeated.

    Args:
        widths: channels before the first layer and after each.
        last_activation: False: no ReLU after the last layer, for a sum to come before it.
    """

    def __init__(self, widths: Sequence[int], last_activation: bool = True) -> None:
        super().__init__()
        self.last_activation = last_activation
        self.layers = nn.ModuleList(LinearNorm(a, b) for a, b in pairwise(widths))

    def forward(self, rows: Tensor) -> Tensor:
        """(R, widths[0]) → (R, widths[-1])."""
        for layer in self.layers[:-1]:
            rows = layer(rows).relu_()
        rows = self.layers[-1](rows)
        return rows.relu_() if self.last_activation else rows


class GroupedMLP(nn.Module):
    """Linear → BatchNorm → ReLU, repeated, then the maximum over each neighborhood.

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
        neighborhoods: Neighborhoods,
        num_groups: int,
    ) -> Tensor:
        """Embed each neighborhood.

        Args:
            points: (P, 3), all clouds' points in one table.
            features: (P, C) or None.
            centers: (num_groups, 3) subtracted from the coordinates of the members; None: absolute coordinates.
            neighborhoods: which rows of ``points`` belong to which group.
            num_groups: rows of the result; a group without a neighborhood is 0.

        Returns:
            (num_groups, widths[-1]).
        """
        weights = [cast("Tensor", linear.weight) for linear in self.linears]
        norms = [cast("nn.BatchNorm1d", norm) for norm in self.norms]
        full, device = weights[0].dtype, points.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else full
        narrow, wide = points.to(full), None
        if features is not None and features.shape[1] <= _NARROW:
            narrow = torch.cat([narrow, features.to(full)], 1)
        elif features is not None:
            wide = features.to(dtype)
        with torch.autocast(device, enabled=False):
            direct = narrow.index_select(0, neighborhoods.rows)
            if centers is not None:
                neighborhoods.subtract_(direct, centers.to(full).index_select(0, neighborhoods.groups))
            direct_weight, wide_weight = weights[0][:, : direct.shape[1]], weights[0][:, direct.shape[1] :]
            if self.training:
                table = None if wide is None else F.linear(wide, wide_weight.to(dtype)).to(full)
                pooled = shared_mlp_max(
                    direct,
                    direct_weight,
                    table,
                    neighborhoods,
                    norms,
                    weights[1:],
                    dtype,
                    self.last_activation,
                )
                return pooled.new_zeros(num_groups, pooled.shape[1]).index_copy(
                    0, neighborhoods.groups, pooled
                )
            # Folded anew at each call: it costs about a hundredth of one cloud, and no cache can go stale.
            folded = [fold_norm(norm) for norm in norms]
            scale, bias = folded[0]
            # The first bias is added once per point, where there is a table of points.
            table = (
                None if wide is None else F.linear(wide, (wide_weight * scale).to(dtype)).to(full).add_(bias)
            )
            inner = [
                (weight * scale, bias) for weight, (scale, bias) in zip(weights[1:], folded[1:], strict=True)
            ]
            first = (direct_weight * scale, bias)
            return _infer(direct, first, table, neighborhoods, inner, dtype, num_groups, self.last_activation)


def fold_norm(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """What ``norm`` in eval mode does to the linear layer before it: row scale (C, 1) and bias (C,)."""
    mean, variance = running_statistics(norm)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return scale[:, None], norm.bias - mean * scale


def _infer(
    direct: Tensor,
    first: tuple[Tensor, Tensor],
    table: Tensor | None,
    neighborhoods: Neighborhoods,
    inner: Sequence[tuple[Tensor, Tensor]],
    dtype: torch.dtype,
    num_groups: int,
    last_activation: bool,
) -> Tensor:
    """Everything behind the gather in chunks that stay in cache: neither a neighborhood nor a layer is held whole.

    Args:
        direct: (R, D) narrow inputs of every neighbor.
        first: weight (C1, D) for them, and bias (C1,), which a ``table`` holds already.
        table: (P, C1) first layer of the wide features of every point, or None.
        neighborhoods: the neighborhoods.
        inner: weights and biases of the other layers.
        dtype: of the operands of their products.
        num_groups, last_activation: as in `GroupedMLP`.
    """
    weight, bias = first
    layers = [(weight.to(dtype), bias.to(dtype)) for weight, bias in inner]
    width = max(len(bias) for _, bias in (first, *inner))
    last_bias = inner[-1][1] if inner else None
    # Half a float with its sign in front, read as an integer, is below 0 where it is negative and in order where it is not:
    # that is all that ReLU and the maximum after it need, and integers have instructions for it.
    halves = bool(layers) and dtype.itemsize == 2 and not torch.is_grad_enabled()
    make = direct.new_empty if neighborhoods.groups.shape[0] == num_groups else direct.new_zeros
    pooled = make(num_groups, len(bias if last_bias is None else last_bias))
    for chunk in neighborhoods.chunks(_CHUNK, width):
        if table is None:
            x = F.linear(direct[chunk.row_slice], weight, bias)
        else:
            x = table.index_select(0, neighborhoods.rows[chunk.row_slice])
            x.addmm_(direct[chunk.row_slice], weight.t())
        if layers:
            x = _relu_(x.to(dtype), halves)
            for inner_weight, inner_bias in layers[:-1]:
                x = _relu_(F.linear(x, inner_weight, inner_bias), halves)
        if halves and last_activation:
            x = F.linear(x, *layers[-1]).view(torch.int16)
            best = x.view(chunk.groups, chunk.size, -1).amax(1).clamp_min_(0).view(dtype)
        else:
            # The last bias and ReLU are monotone: they wait until one row per neighborhood is left.
            x = F.linear(x, layers[-1][0]) if layers else x
            best = x.view(chunk.groups, chunk.size, -1).amax(1).to(pooled.dtype)
            best = best if last_bias is None else best + last_bias
            best = best.relu() if last_activation else best
        if neighborhoods.in_order:
            return best.to(pooled.dtype)
        pooled.index_copy_(0, neighborhoods.groups[chunk.group_slice], best.to(pooled.dtype))
    return pooled


def _relu_(x: Tensor, halves: bool) -> Tensor:
    if halves:
        x.view(torch.int16).clamp_min_(0)
        return x
    return x.relu_()
