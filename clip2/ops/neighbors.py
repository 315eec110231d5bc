"""Finding points near centers: ball query, k nearest neighbors, three-point interpolation."""

from __future__ import annotations

import torch
from torch import Tensor

from clip2.ops import ball_search as _ball_search  # noqa: F401  registers its kernel
from clip2.ops import nearest_search as _nearest_search  # noqa: F401  registers its kernel
from clip2.ops import registry
from clip2.ops.arguments import check_lengths, check_query, repeat_cyclically
from clip2.ops.grouping import group


def ball_query(
    points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None = None
) -> Tensor:
    """The first ``k`` points, in index order, within ``radius`` of each center (PointNet++ grouping).

    A point at exactly ``radius`` is within. A row with fewer hits repeats its first one; a row with none holds
    the nearest point. (Qi et al., PointNet++, NeurIPS 2017, section 3.2.)

    Args:
        points: (B, N, 3) floating; bfloat16 and float16 are compared in float32. No gradient flows.
        centers: (B, S, 3).
        radius: in the unit of the points.
        k: neighbors per center, at least 1.
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
    """The ``k`` points nearest to each center, nearest first, equal distances by index.

    Asked for more than a cloud has, the row repeats cyclically.

    Args:
        points: (B, N, 3) floating. bfloat16 and float16 are compared in float32.
        centers: (B, S, 3).
        k: neighbors per center, at least 1.
        lengths: (B,) int64 number of real points per cloud; None: all N.

    Returns:
        Euclidean distances (B, S, k), differentiable in points and centers, and int64 indices (B, S, k).
    """
    check_query(points, centers, k)
    lengths = check_lengths(lengths, points)
    find = registry.kernel("knn", points.device)
    index, squared = find(points.detach(), centers.detach(), min(k, points.shape[1]), lengths)
    if index.shape[2] < k or lengths is not None:
        repeated = None if lengths is None else lengths.repeat_interleave(index.shape[1])
        column = torch.arange(index.shape[2], device=index.device).expand(index.shape[:2].numel(), -1)
        column = repeat_cyclically(column, k, repeated).view(*index.shape[:2], k)
        index, squared = index.gather(2, column), squared.gather(2, column)
    if torch.is_grad_enabled() and (points.requires_grad or centers.requires_grad):
        return torch.linalg.vector_norm(group(points, index) - centers[:, :, None], dim=-1), index
    return squared.sqrt_().to(torch.promote_types(points.dtype, centers.dtype)), index


def three_nn(points: Tensor, centers: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The three points nearest to each center: distances (B, S, 3) and indices (B, S, 3); see `knn`."""
    return knn(points, centers, 3, lengths)


def three_interpolate(features: Tensor, index: Tensor, distance: Tensor) -> Tensor:
    """Inverse-distance weighted mean of three neighbors' features (PointNet++, section 3.4, with p = 1).

    Args:
        features: (B, N, C) floating.
        index: (B, S, 3) int64, from `three_nn`.
        distance: (B, S, 3) non-negative, from `three_nn`.

    Returns:
        (B, S, C), differentiable in features and distances; a center on a point takes that point's features.
    """
    # Far above the rounding of coordinates, far below any real spacing: coincident points win, nothing divides by 0.
    weight = 1.0 / (distance + 1e-8)
    weight = weight / weight.sum(-1, keepdim=True)
    rows = index.flatten(1)[..., None].expand(-1, -1, features.shape[-1])
    neighbors = features.gather(1, rows).view(*index.shape, features.shape[-1])
    return (neighbors * weight[..., None].to(features.dtype)).sum(2)
