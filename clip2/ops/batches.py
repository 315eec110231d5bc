"""Padded batches of clouds (B, N, 3): argument checks, and rows taken by index."""

from __future__ import annotations

import torch
from torch import Tensor


def is_exporting() -> bool:
    """Whether a graph is being made that must hold for every input."""
    # torch 2.6 tells exporting and compiling not apart.
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def group(features: Tensor, index: Tensor) -> Tensor:
    """Gather the features of the indexed points of each cloud.

    Args:
        features: (B, N, C), any dtype.
        index: (B, S, k) or (B, S) int64 into N.

    Returns:
        (B, S, k, C) or (B, S, C), differentiable in features.

    Raises:
        ValueError: the batch sizes differ or the shapes are wrong.
    """
    if features.ndim != 3 or index.ndim not in (2, 3) or features.shape[0] != index.shape[0]:
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


def check_points(points: Tensor, name: str) -> None:
    """Raise ValueError unless ``points`` is a floating (B, N >= 1, 3) tensor."""
    if points.ndim != 3 or points.shape[2] != 3:
        raise ValueError(f"{name} must be (B, N, 3), not {tuple(points.shape)}")
    if not points.is_floating_point():
        raise ValueError(f"{name} must be floating point, not {points.dtype}")
    if points.shape[1] == 0:
        raise ValueError(f"{name} holds empty clouds {tuple(points.shape)}; leave them out of the batch")


def check_query(points: Tensor, centers: Tensor, k: int) -> None:
    """Raise ValueError unless ``points`` (B, N, 3) can be searched for ``k`` neighbors of ``centers`` (B, S, 3)."""
    check_points(points, "points")
    check_points(centers, "centers")
    if points.shape[0] != centers.shape[0]:
        raise ValueError(f"points hold {len(points)} clouds but centers for {len(centers)}")
    check_count(k)


def check_count(k: int) -> None:
    """Raise ValueError unless ``k`` is at least 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")


def check_lengths(lengths: Tensor | None, points: Tensor) -> Tensor | None:
    """``lengths`` as (B,) int64 on the device of ``points``; ValueError unless each is in 1..N."""
    if lengths is None:
        return None
    if lengths.shape != points.shape[:1] or lengths.is_floating_point():
        raise ValueError(
            f"lengths must be ({len(points)},) integers, not {tuple(lengths.shape)} {lengths.dtype}"
        )
    # On a GPU the check would stall the queue at every call, and an exported graph has no values to check.
    if lengths.device.type == "cpu" and not is_exporting() and len(lengths):
        low, high = int(lengths.min()), int(lengths.max())
        if low < 1 or high > points.shape[1]:
            raise ValueError(f"lengths must lie in 1..{points.shape[1]}, found {low if low < 1 else high}")
    return lengths.to(points.device, torch.int64)


def repeat_cyclically(index: Tensor, k: int, lengths: Tensor | None) -> Tensor:
    """Stretch (B, n) rows to (B, k): column j is column j modulo the row's number of real entries.

    Args:
        index: (B, n) with n = min(k, N); row b has ``min(n, lengths[b])`` real entries.
        k: columns wanted, at least 1.
        lengths: (B,) real points per cloud, None when all are real.
    """
    if lengths is None and index.shape[1] == k:
        return index
    column = torch.arange(k, device=index.device).expand(index.shape[0], k)
    real = index.shape[1] if lengths is None else lengths.clamp(max=index.shape[1])[:, None]
    return index.gather(1, column % real)
