"""Layout of point neighborhoods that spends no work on repeated neighbors.

A ball query fills short rows by repeating the first hit. Repeats cannot change a maximum, so they need not be
computed; for batch statistics they only count as a weight. Neighborhoods of similar size are laid side by side
("blocks"), which keeps every operation on them dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clip2.encoders.padding import shapes_follow_data

# Sizes that neighborhoods are rounded up to: fine enough to waste little, few enough to keep blocks large.
_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)


@dataclass(frozen=True)
class Chunk:
    """``groups`` neighborhoods of ``size`` members; the first row and the first group of them."""

    row: int
    group: int
    groups: int
    size: int

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.groups * self.size

    @property
    def row_slice(self) -> slice:
        """Into `Neighborhoods.rows`."""
        return slice(self.row, self.row + self.rows)

    @property
    def group_slice(self) -> slice:
        """Into `Neighborhoods.groups`."""
        return slice(self.group, self.group + self.groups)


@dataclass(frozen=True)
class Neighborhoods:
    """G neighborhoods with R rows in total, in blocks of equal size.

    Attributes:
        rows: (R,) int64, row of the flat (B * N, C) point table for each member.
        groups: (G,) int64, row of the flat (B * S, C) center table for each neighborhood.
        blocks: (neighborhoods, members each) per block, in the order of ``rows`` and ``groups``.
        weight: (R,) float32, how often each row counts in batch statistics: the first hit also for its repeats,
            rows that fill up a block 0. None: every row once.
        in_order: there is one block, and its neighborhoods are groups 0 to G - 1.
    """

    rows: Tensor
    groups: Tensor
    blocks: tuple[tuple[int, int], ...]
    weight: Tensor | None
    in_order: bool = False

    @property
    def total(self) -> int:
        """Sum of the weights; where there are some, a GPU is waited for."""
        return len(self.rows) if self.weight is None else int(self.weight.sum(dtype=torch.float64))

    def subtract_(self, members: Tensor, centers: Tensor) -> None:
        """Take (G, D) centers from the first D columns of all their members, (R, C) with C >= D, in place."""
        row = group = 0
        if self.in_order:  # nothing is cut out of a cut: that would be a scatter in an exported graph
            wide = F.pad(centers, (0, members.shape[1] - centers.shape[1]))
            members.view(centers.shape[0], -1, members.shape[1]).sub_(wide[:, None])
            return
        for count, size in self.blocks:
            block = members[row : row + count * size].view(count, size, -1)
            block[..., : centers.shape[1]] -= centers[group : group + count, None]
            row, group = row + count * size, group + count

    def chunks(self, elements: int, width: int) -> Iterator[Chunk]:
        """Cut the blocks so that the rows of a chunk times ``width`` channels are about ``elements``.

        Only on CPU, where chunks that stay in cache pay; elsewhere a chunk is a block.
        """
        row = group = 0
        for count, size in self.blocks:
            if not shapes_follow_data(self.rows.device):
                yield Chunk(row, group, count, size)
                row, group = row + count * size, group + count
                continue
            step = max(1, elements // (size * width))
            for first in range(0, count, step):
                chunk = Chunk(row, group, min(step, count - first), size)
                yield chunk
                row += chunk.rows
                group += chunk.groups

    @staticmethod
    def of_whole_clouds(
        batch: int, num_points: int, lengths: Tensor | None, device: torch.device
    ) -> Neighborhoods:
        """One neighborhood per cloud: its first ``lengths[b]`` of N points, all N where lengths is None."""
        column = torch.arange(num_points, device=device).expand(batch, num_points)
        if lengths is not None:
            column = torch.where(column < lengths[:, None], column, 0)
        # Only padding repeats. Where there is none, nothing needs to be counted, nor a GPU be asked.
        return Neighborhoods.of_ball_query(column[:, None], num_points, count_repeats=lengths is None)

    @staticmethod
    def of_ball_query(
        index: Tensor, num_points: int, real: Tensor | None = None, count_repeats: bool = True
    ) -> Neighborhoods:
        """Lay out the result of `ball_query`.

        Args:
            index: (B, S, k) int64 into the cloud's points; repeats of the first hit fill a row's end.
            num_points: N, points per cloud.
            real: (B,) number of true centers per cloud; the others get no neighborhood, for which a GPU is waited
                for. None: all S.
            count_repeats: let the first hit count in batch statistics for its repeats too, as PointNet++ does.
        """
        batch, num_centers, k = index.shape
        device = index.device
        offset = torch.arange(batch, device=device).mul_(num_points)[:, None, None]
        members = (index + offset).view(-1, k)
        groups = torch.arange(members.shape[0], device=device)
        if real is not None:
            groups = groups[(torch.arange(num_centers, device=device) < real[:, None]).flatten()]
            members = members[groups]
        hits = (members != members[:, :1]).sum(1).add_(1)
        if not shapes_follow_data(device):  # equal work suits a GPU better anyway
            once = (
                None if count_repeats else (torch.arange(k, device=device) < hits[:, None]).float().flatten()
            )
            return Neighborhoods(
                members.flatten(), groups, ((members.shape[0], k),), once, in_order=real is None
            )
        sizes = torch.tensor([size for size in _SIZES if size < k] + [k])
        block = torch.bucketize(hits, sizes)
        order = block.argsort(stable=True)
        counts = torch.bincount(block, minlength=len(sizes)).tolist()
        rows, weights, blocks = [], [], []
        members, hits = members[order], hits[order]
        start = 0
        for size, count in zip(sizes.tolist(), counts, strict=True):
            if count:
                here = slice(start, start + count)
                rows.append(members[here, :size].reshape(-1))
                weight = (torch.arange(size) < hits[here, None]).float()
                if count_repeats:
                    weight[:, 0] += (k - hits[here]).float()
                weights.append(weight.view(-1))
                blocks.append((count, size))
                start += count
        return Neighborhoods(torch.cat(rows), groups[order], tuple(blocks), torch.cat(weights))
