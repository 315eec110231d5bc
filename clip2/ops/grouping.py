"""Collecting the features of neighbors."""

from __future__ import annotations

import torch
from torch import Tensor


def group(features: Tensor, index: Tensor) -> Tensor:
    """Features of the indexed points of each cloud.

    Args:
        features: (B, N, C), any dtype.
        index: (B, S, k) or (B, S) int64 into N.

    Returns:
        (B, S, k, C) or (B, S, C), differentiable in features.

    Raises:
        ValueError: the batch sizes differ or the shapes are wrong.
    """
    if features.ndim != 3 or index.ndim not in (2, 3) or len(features) != len(index):
        raise ValueError(
            "group takes (B, N, C) features and (B, S[, k]) indices, "
            f"not {tuple(features.shape)} and {tuple(index.shape)}"
        )
    batch, count, channels = features.shape
    if batch == 1:
        return features[0].index_select(0, index.flatten()).view(*index.shape, channels)
    # Rows of one flat table: `gather` would read an index per channel.
    offset = torch.arange(batch, device=index.device).mul_(count).view(-1, *[1] * (index.ndim - 1))
    rows = features.reshape(-1, channels).index_select(0, (index + offset).flatten())
    return rows.view(*index.shape, channels)
