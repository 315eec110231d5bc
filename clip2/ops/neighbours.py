"""Finding points near centres: ball query, k nearest neighbours, three-point interpolation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from clip2.ops import ball_search as _ball_search  # noqa: F401  registers its kernel
from clip2.ops import registry
from clip2.ops.arguments import check_lengths, check_query, repeat_cyclically


def ball_query(
    points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None = None
) -> Tensor:
    """The first ``k`` points, in index order, within ``radius`` of each centre (PointNet++ grouping).

    A point at exactly ``radius`` is within. A row with fewer hits repeats its first one; a row with none holds
    the nearest point. (Qi et al., PointNet++, NeurIPS 2017, section 3.2.)

    Args:
        points: (B, N, 3) floating; bfloat16 and float16 are compared in float32. No gradient flows.
        centers: (B, S, 3).
        radius: in the unit of the points.
        k: neighbours per centre, at least 1.
        lengths: (B,) int64 number of real points per cloud; None: all N.

    Returns:
        (B, S, k) int64 indices into N; the hits of a row are strictly ascending.

    >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [10, 0, 0]]])
    >>> ball_query(line, line[:, 2:], 1.5, 3).tolist()
    [[[1, 2, 1], [3, 3, 3]]]
    """
    check_query(points, centers, k)
    lengths = check_lengths(lengths, points)
    find = registry.kernel("ball_query", points.device)
    return find(points.detach(), centers.detach(), float(radius), k, lengths)


def knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The ``k`` points nearest to each centre, nearest first, equal distances by index.

    Asked for more than a cloud has, the row repeats cyclically.

    Args:
        points: (B, N, 3) floating. bfloat16 and float16 are compared in float32.
        centers: (B, S, 3).
        k: neighbours per centre, at least 1.
        lengths: (B,) int64 number of real points per cloud; None: all N.

    Returns:
        Euclidean distances (B, S, k), differentiable in points and centres, and int64 indices (B, S, k).
    """
    check_query(points, centers, k)
    lengths = check_lengths(lengths, points)
    kernel = registry.kernel("knn", points.device)
    index = kernel(points.detach(), centers.detach(), min(k, points.shape[1]), lengths)
    batch, rows = index.shape[:2]
    repeated = None if lengths is None else lengths.repeat_interleave(rows)
    index = repeat_cyclically(index.flatten(0, 1), k, repeated).view(batch, rows, k)
    neighbours = points.gather(1, index.flatten(1)[..., None].expand(-1, -1, 3)).view(batch, rows, k, 3)
    return torch.linalg.vector_norm(neighbours - centers[:, :, None], dim=-1), index


def three_nn(points: Tensor, centers: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The three points nearest to each centre: distances (B, S, 3) and indices (B, S, 3); see `knn`."""
    return knn(points, centers, 3, lengths)


def three_interpolate(features: Tensor, index: Tensor, distance: Tensor) -> Tensor:
    """Inverse-distance weighted mean of three neighbours' features (PointNet++, section 3.4, with p = 1).

    Args:
        features: (B, N, C) floating.
        index: (B, S, 3) int64, from `three_nn`.
        distance: (B, S, 3) non-negative, from `three_nn`.

    Returns:
        (B, S, C), differentiable in features and distances; a centre on a point takes that point's features.
    """
    # Far above the rounding of coordinates, far below any real spacing: coincident points win, nothing divides by 0.
    weight = 1.0 / (distance + 1e-8)
    weight = weight / weight.sum(-1, keepdim=True)
    rows = index.flatten(1)[..., None].expand(-1, -1, features.shape[-1])
    neighbours = features.gather(1, rows).view(*index.shape, features.shape[-1])
    return (neighbours * weight[..., None].to(features.dtype)).sum(2)


@registry.implements("knn", "torch")
def _knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> Tensor:
    batch, rows = centers.shape[:2]
    index = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    column = torch.arange(points.shape[1], device=points.device)
    for clouds, part, squared in _squared_distances(points, centers, lengths):
        if squared.dtype == torch.float32:
            # Non-negative floats order like their bits; the index below them settles ties without a stable sort.
            key = (squared.view(torch.int32).long() << 32) | column
            index[clouds, part] = key.topk(k, largest=False).values & 0xFFFFFFFF
        else:
            index[clouds, part] = squared.sort(stable=True).indices[..., :k]
    return index


def _squared_distances(
    points: Tensor, centers: Tensor, lengths: Tensor | None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Squared distances in blocks small enough to stay in cache: (slice of B, slice of S, (b, s, N) block).

    Differences are squared and summed, never expanded into dot products, so that a point exactly at the radius
    and clouds far from the origin come out right. Padding is infinitely far.
    """
    batch, count = points.shape[:2]
    dtype = points.dtype if points.dtype == torch.float64 else torch.float32
    axes = points.to(dtype).permute(2, 0, 1).contiguous().unsqueeze(2)  # (3, B, 1, N)
    queries = centers.to(dtype).permute(2, 0, 1).contiguous().unsqueeze(3)  # (3, B, S, 1)
    padding = None
    if lengths is not None:
        padding = (torch.arange(count, device=points.device) >= lengths[:, None]).unsqueeze(1)
    budget = 1 << 18 if points.device.type == "cpu" else 1 << 26  # elements: 1 MB of float32 in a CPU's cache
    step = max(1, min(centers.shape[1], budget // count))
    clouds_at_once = max(1, budget // (count * centers.shape[1]))
    for first in range(0, batch, clouds_at_once):
        clouds = slice(first, first + clouds_at_once)
        for row in range(0, centers.shape[1], step):
            part = slice(row, row + step)
            difference = axes[0, clouds] - queries[0, clouds, part]
            squared = difference * difference
            for axis in (1, 2):
                torch.sub(axes[axis, clouds], queries[axis, clouds, part], out=difference)
                squared.addcmul_(difference, difference)
            if padding is not None:
                squared.masked_fill_(padding[clouds], torch.inf)
            yield clouds, part, squared
