"""k nearest neighbors in plain torch: all distances, a block at a time, and the smallest of each row."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from clip2.ops import registry


@registry.implements("knn", "torch")
def knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """See `clip2.ops.knn`; returns indices and squared distances, k <= N, padding infinitely far."""
    batch, rows = centers.shape[:2]
    index = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    nearest: Tensor | None = None
    column = torch.arange(points.shape[1], device=points.device)
    for clouds, part, squared in _squared_distances(points, centers, lengths):
        if squared.dtype == torch.float32:
            # Non-negative floats order like their bits; the index below them settles ties without a stable sort.
            key = (squared.view(torch.int32).long() << 32) | column
            found = key.topk(k, largest=False).values & 0xFFFFFFFF
        else:
            found = squared.sort(stable=True).indices[..., :k]
        if nearest is None:
            nearest = torch.empty(index.shape, dtype=squared.dtype, device=points.device)
        index[clouds, part] = found
        nearest[clouds, part] = squared.gather(-1, found)
    if nearest is None:  # no centers
        nearest = torch.empty(index.shape, device=points.device)
    return index, nearest


def _squared_distances(
    points: Tensor, centers: Tensor, lengths: Tensor | None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Squared distances in blocks small enough to stay in cache: (slice of B, slice of S, (b, s, N) block).

    Differences are squared and summed, never expanded into dot products, so that a point exactly at the radius
    and clouds far from the origin come out right. Padding is infinitely far.
    """
    batch, count = points.shape[:2]
    dtype = torch.float64 if torch.float64 in (points.dtype, centers.dtype) else torch.float32
    axes = points.to(dtype).permute(2, 0, 1).contiguous().unsqueeze(2)  # (3, B, 1, N)
    queries = centers.to(dtype).permute(2, 0, 1).contiguous().unsqueeze(3)  # (3, B, S, 1)
    padding = None
    if lengths is not None:
        padding = (torch.arange(count, device=points.device) >= lengths[:, None]).unsqueeze(1)
    budget = 1 << 18 if points.device.type == "cpu" else 1 << 26  # elements: 1 MB of float32 in a CPU's cache
    step = max(1, min(centers.shape[1], budget // count))
    clouds_at_once = max(1, budget // max(1, count * centers.shape[1]))
    for first in range(0, batch, clouds_at_once):
        clouds = slice(first, first + clouds_at_once)
        for row in range(0, centers.shape[1], step):
            part = slice(row, row + step)
            difference = axes[0, clouds] - queries[0, clouds, part]
            squared = difference * difference
            for axis in (1, 2):
                torch.sub(axes[axis, clouds], queries[axis, clouds, part], out=difference)
                # Multiplied, then added: a fused operation rounds otherwise, and ties fall differently per backend.
                squared += difference.mul_(difference)
            if padding is not None:
                squared.masked_fill_(padding[clouds], torch.inf)
            yield clouds, part, squared
