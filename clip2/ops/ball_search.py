"""Ball query in plain torch, without sorting and without looking at more points than it must.

Three ideas. One matrix product gives all squared distances to within rounding, cheap enough to find candidates whose
distances are then computed exactly. The hits of a mask, listed row by row, are already in index order. And since only
the first k hits count, centers that have found theirs drop out after a look at part of the cloud.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clip2.ops import registry

_BLOCK = 1 << 19  # distances held at a time on a CPU: 2 MB of float32, a core's second-level cache
_FIRST_LOOK = (
    2048  # points of a large cloud searched before finished centers drop out; each next look is twice as long
)


@registry.implements("ball_query", "torch")
def ball_query(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
    """See `clip2.ops.ball_query`."""
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
            # The hits come row by row: a hit's rank is its distance from the row's first, after earlier looks.
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
        # Several clouds at once are small; all of their centers look again.
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
