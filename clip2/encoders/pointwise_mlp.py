"""Layers applied to every row of a table of points, BatchNorm folded into them in eval mode."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.grouped_mlp import fold_norm
from clip2.encoders.padding import leaves_out_padding


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


class RealRows:
    """The rows of a padded (B, S, C) table that are points, so that padding stays out of batch statistics.

    Args:
        batch, count: B and S.
        lengths: (B,) points per cloud, at most S; None: all S.
        training: of the module that asks; see `leaves_out_padding`.

    Attributes:
        mask: (B, S) bool, what is real; None: everything.
    """

    def __init__(self, batch: int, count: int, lengths: Tensor | None, training: bool) -> None:
        self.shape = (batch, count)
        self.mask: Tensor | None = None
        self._index: Tensor | None = None
        if lengths is not None:
            self.mask = torch.arange(count, device=lengths.device) < lengths[:, None]
            if leaves_out_padding(lengths.device, training):
                self._index = self.mask.flatten().nonzero()[:, 0]

    def take(self, table: Tensor) -> Tensor:
        """(B, S, ...) → (R, ...); R is B S where padding is worked on."""
        flat = table.flatten(0, 1)
        return flat if self._index is None else flat.index_select(0, self._index)

    def put(self, rows: Tensor) -> Tensor:
        """(R, ...) → (B, S, ...); what lies in the padding is finite and means nothing."""
        if self._index is not None:
            batch, count = self.shape
            rows = rows.new_zeros(batch * count, *rows.shape[1:]).index_copy(0, self._index, rows)
        return rows.unflatten(0, self.shape)
