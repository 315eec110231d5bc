"""Ball query and k nearest neighbors: the public functions, and their kernels in torch.

The ball query does not sort. One matrix product gives all squared distances up to rounding, a cheap way to find
candidates, whose distances are then computed exactly. The hits of a mask, listed row by row, are already in index order.
Only the first k hits count, so large clouds are searched in pieces and finished centers drop out between pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

import clip2.ops.registry as registry
from clip2.ops.batches import check_lengths, check_query, group, repeat_cyclically

_BLOCK = 1 << 19  # distances held at a time on a CPU: 2 MB of float32, a core's second-level cache
# Points of a large cloud searched before finished centers drop out; each next piece is twice as long.
_FIRST_LOOK = 2048


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
        batch, rows, found = index.shape
        repeated = None if lengths is None else lengths[:, None].expand(batch, rows).flatten()
        column = torch.arange(found, device=index.device).expand(batch * rows, found)
        column = repeat_cyclically(column, k, repeated).view(batch, rows, k)
        index, squared = index.gather(2, column), squared.gather(2, column)
    if torch.is_grad_enabled() and (points.requires_grad or centers.requires_grad):
        return torch.linalg.vector_norm(group(points, index) - centers[:, :, None], dim=-1), index
    return squared.sqrt_().to(torch.promote_types(points.dtype, centers.dtype)), index


@registry.implements("knn", "torch")
def _knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Indices and squared distances, k <= N, padding infinitely far."""
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


@registry.implements("ball_query", "torch")
def _ball_query(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
    batch, count, _ = points.shape
    rows = centers.shape[1]
    if points.dtype != torch.float64:
        points, centers = points.float(), centers.float()
    block = _BLOCK if points.device.type == "cpu" else _BLOCK << 8
    looks = _looks(count) if points.device.type == "cpu" else [slice(0, count)]
    clouds_at_once = max(1, block // (min(count, _FIRST_LOOK) * rows))
    rows_at_once = max(1, block // min(count, _FIRST_LOOK))
    index = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    # Autocast would round coordinates to eight bits.
    with torch.autocast(points.device.type, enabled=False):
        for b in range(0, batch, clouds_at_once):
            clouds = slice(b, b + clouds_at_once)
            ends = None if lengths is None else lengths[clouds]
            search = _Search(points[clouds], radius, k, ends)
            for s in range(0, rows, rows_at_once):
                part = slice(s, s + rows_at_once)
                index[clouds, part] = search.run(centers[clouds, part], looks)
    return index


def _looks(count: int) -> list[slice]:
    """The cloud in pieces: all at once when it is small, otherwise pieces of growing size."""
    if count <= _FIRST_LOOK * 3 // 2:
        return [slice(0, count)]
    looks, start, size = [], 0, _FIRST_LOOK
    while start < count:
        looks.append(slice(start, min(start + size, count)))
        start, size = start + size, 2 * size
    return looks


class _Search:
    """Searches some clouds, (b, N, 3) with ``ends`` (b,) real points each."""

    def __init__(self, points: Tensor, radius: float, k: int, ends: Tensor | None) -> None:
        self.points, self.radius, self.k, self.ends = points, radius, k, ends

    def run(self, centers: Tensor, looks: list[slice]) -> Tensor:
        """(b, s, 3) → (b, s, k)."""
        clouds, rows, _ = centers.shape
        k, device = self.k, centers.device
        index = torch.zeros(clouds * rows * k, dtype=torch.int64, device=device)
        found = torch.zeros(clouds * rows, dtype=torch.int64, device=device)
        seeking: Tensor | None = None  # rows of this block that still want neighbors; None: all
        for look in looks:
            if look.start:
                seeking = (found < k).nonzero()[:, 0]
                if not len(seeking):
                    break
            row, column = self._hits(centers, look, seeking)
            hits = torch.bincount(row, minlength=clouds * rows)
            # The hits come row by row: a hit's rank is its offset from the row's first, plus the hits of earlier pieces.
            rank = torch.arange(len(row), device=device) - (hits.cumsum(0) - hits - found).index_select(
                0, row
            )
            wanted = _where_not_negative(k - 1 - rank)
            place = row.mul_(k).add_(rank)
            index[place.index_select(0, wanted)] = column.index_select(0, wanted)
            found += hits
        index = index.view(clouds * rows, k)
        spare = torch.arange(k, device=device) >= found[:, None]
        index = torch.where(spare, index[:, :1], index).view(clouds, rows, k)
        lonely = (found == 0).view(clouds, rows)
        if bool(lonely.any()):
            index[lonely] = self._nearest(centers, lonely)[:, None]
        return index

    def _hits(self, centers: Tensor, look: slice, seeking: Tensor | None) -> tuple[Tensor, Tensor]:
        """Flat row of the block and index of the point, for all pairs within the radius, sorted."""
        # Several clouds at once are small; all of their centers search again.
        some = seeking if len(centers) == 1 else None
        chosen = centers if some is None else centers[:, some]
        margin = _margin(self.points[:, look], chosen, self.radius)
        candidate = _where_not_negative(margin)
        row = candidate // margin.shape[2]
        column = candidate - row * margin.shape[2] + look.start
        cloud = row // margin.shape[1]
        point = self.points.flatten(0, 1).index_select(0, cloud * self.points.shape[1] + column)
        inside = _exact(point, chosen.flatten(0, 1).index_select(0, row)) <= self.radius**2
        if self.ends is not None:
            inside &= column < self.ends.index_select(0, cloud)
        if not bool(inside.all()):
            row, column = row[inside], column[inside]
        return row if some is None else some.index_select(0, row), column

    def _nearest(self, centers: Tensor, lonely: Tensor) -> Tensor:
        """(m,) nearest real point of each of the m centers marked in ``lonely`` (b, s)."""
        nearest = []
        for cloud, row in zip(*(part.split(256) for part in lonely.nonzero().unbind(1)), strict=True):
            squared = _exact(self.points[cloud], centers[cloud, row][:, None])
            if self.ends is not None:
                padding = torch.arange(squared.shape[1], device=squared.device) >= self.ends[cloud, None]
                squared.masked_fill_(padding, torch.inf)
            nearest.append(squared.argmin(1))
        return torch.cat(nearest)


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (...) of coordinates (..., 3), rounded as a plain sum of three squares is."""
    square = (a - b).square_()
    return square[..., 0] + square[..., 1] + square[..., 2]


def _margin(points: Tensor, centers: Tensor, radius: float) -> Tensor:
    """(b, N, 3), (b, s, 3) → (b, s, N): not negative wherever a point may be within the radius of a center."""
    if points.device.type != "cpu" or torch.get_float32_matmul_precision() != "highest":
        return radius**2 - _exact(centers[:, :, None], points[:, None])
    # r² - |c|² + 2 c·p - |p|² as one product. Around the centers' own middle its terms are as small as they can be.
    middle = centers.mean(1, keepdim=True)
    points, centers = points - middle, centers - middle
    size = centers.square().sum(-1, keepdim=True)
    # Five products and their sum, each rounded to eps / 2 of at most (|c| + |p|)², where |p| <= |c| + radius for a hit.
    slack = 8 * torch.finfo(points.dtype).eps * (2 * size.max().sqrt() + radius) ** 2
    minus = centers.new_full((1, 1, 1), -1.0).expand(*centers.shape[:2], 1)
    left = torch.cat([2 * centers, radius**2 + slack - size, minus], -1)
    right = torch.cat([points, torch.ones_like(points[..., :1]), points.square().sum(-1, keepdim=True)], -1)
    return torch.bmm(left, right.transpose(1, 2))


def _where_not_negative(margin: Tensor) -> Tensor:
    """Flat int64 indices of all entries that are not below 0, ascending; NaN, the margin of a square too large, is not."""
    if margin.device.type == "cpu":  # numpy takes a third of torch's time
        return torch.from_numpy(np.flatnonzero(~(margin.numpy() < 0)))
    return (~(margin.flatten() < 0)).nonzero()[:, 0]
