"""Clouds of different sizes, one after the other in one table, to and from padded batches."""

from __future__ import annotations

import torch
from torch import Tensor


def pad_ragged(values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Clouds that follow each other in one table, as a padded batch with lengths.

    Args:
        values: (R, ...) rows of all clouds, any dtype.
        offsets: (B + 1,) int64, cloud b is rows ``offsets[b]`` to ``offsets[b + 1]``; from 0 to R, no cloud empty.

    Returns:
        (B, N, ...) with N the largest cloud, zeros behind each cloud, differentiable in values; lengths (B,) int64: what
        operations take.

    Raises:
        ValueError: offsets that are not ascending from 0 to R, or an empty cloud.

    >>> padded, lengths = pad_ragged(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 3]))
    >>> padded.tolist(), lengths.tolist()
    ([[1.0, 0.0], [2.0, 3.0]], [1, 2])
    """
    offsets = offsets.to(values.device, torch.int64)
    lengths = offsets.diff()
    if (
        offsets.ndim != 1
        or len(offsets) < 2
        or offsets[0] != 0
        or offsets[-1] != len(values)
        or (lengths < 1).any()
    ):
        raise ValueError(
            f"offsets must ascend from 0 to {len(values)}, one more than there are clouds, none of them empty"
        )
    real = _real(lengths, int(lengths.max()))
    padded = values.new_zeros(*real.shape, *values.shape[1:])
    return padded.masked_scatter(real.view(*real.shape, *[1] * (values.ndim - 1)), values), lengths


def unpad(padded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `pad_ragged`: rows of all clouds (R, ...) and offsets (B + 1,) int64.

    Args:
        padded: (B, N, ...).
        lengths: (B,) int64 number of real rows of each cloud, 0 to N.
    """
    lengths = lengths.to(padded.device, torch.int64)
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return padded[_real(lengths, padded.shape[1])], offsets


def _real(lengths: Tensor, count: int) -> Tensor:
    return torch.arange(count, device=lengths.device) < lengths[:, None]
