"""Padding of ragged batches: real rows are taken out and put back."""

from __future__ import annotations

import torch
from torch import Tensor

from clip2.ops.batches import is_exporting


def shapes_follow_data(device: torch.device) -> bool:
    """Whether shapes may depend on values: only on a CPU, and never in a graph that is being exported.

    On a GPU a shape that depends on values would stall the queue; an exported graph must hold for every input.
    """
    return device.type == "cpu" and not is_exporting()


def leaves_out_padding(device: torch.device, training: bool) -> bool:
    """Whether padding is skipped in the computation, or computed and only left out of the result.

    In training it would distort batch statistics, and on a CPU it would cost time. In inference on a GPU, counting the
    real rows would stall the queue, and a CUDA graph needs shapes that do not depend on that count.
    """
    return training or shapes_follow_data(device)


class RealRows:
    """The rows of a padded (B, S, C) table that are points, so that padding stays out of batch statistics.

    Args:
        batch, count: B and S.
        lengths: (B,) points per cloud, at most S; None: all S.
        training: mode of the calling module; see `leaves_out_padding`.

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
        """(B, S, ...) → (R, ...); R is B S where padding is computed too."""
        flat = table.flatten(0, 1)
        return flat if self._index is None else flat.index_select(0, self._index)

    def put(self, rows: Tensor) -> Tensor:
        """(R, ...) → (B, S, ...); padding holds finite numbers without meaning."""
        if self._index is not None:
            batch, count = self.shape
            rows = rows.new_zeros(batch * count, *rows.shape[1:]).index_copy(0, self._index, rows)
        return rows.unflatten(0, self.shape)
