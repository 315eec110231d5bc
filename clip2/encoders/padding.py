"""Rows that only fill a ragged batch, and the rows that do not."""

from __future__ import annotations

import torch
from torch import Tensor


def leaves_out_padding(device: torch.device, training: bool) -> bool:
    """Whether padding is left out of the work, or worked on and left out of the result.

    In training it would count in batch statistics, and on a CPU it would cost time. In inference on a GPU, finding out
    how many rows are real would stall the queue, and work whose shape depends on it fits into no CUDA graph.
    """
    return training or device.type == "cpu"


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
