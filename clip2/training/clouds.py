"""Point clouds of many objects, in memory or memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.preprocessing import NotAnObject, local_coordinates
from clip2.sampling_order import sampling_order

Home = Literal["memory", "files", "shards"]


class StoredBlock(Protocol):
    """Points of several objects, wherever they are kept.

    Attributes:
        points, colors, digest: as of :class:`Block`; reading the first two may load them.
        has_colors: whether any object may have color.
        nbytes: bytes of points and colors once they are loaded.
        home: where they are kept: in memory, in mapped files, or in shards that are read anew when needed.
    """

    @property
    def points(self) -> NDArray[np.floating]: ...

    @property
    def colors(self) -> NDArray[np.uint8] | None: ...

    @property
    def digest(self) -> str | None: ...

    @property
    def has_colors(self) -> bool: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def home(self) -> Home: ...


@dataclass(frozen=True, eq=False)
class Block:
    """Points of several objects, one after another, in memory or mapped from a file.

    Attributes:
        points: (P, 3) float32, or float16 if mapped from a file; multiplied by an object's ``scale`` they are meters.
        colors: (P, 3) uint8, zeros for objects without color; None: no object has color.
        digest: content hash of a mapped file; None: arrays in memory.
    """

    points: NDArray[np.floating]
    colors: NDArray[np.uint8] | None
    digest: str | None = None

    @property
    def has_colors(self) -> bool:
        return self.colors is not None

    @property
    def nbytes(self) -> int:
        return self.points.nbytes + (0 if self.colors is None else self.colors.nbytes)

    @property
    def home(self) -> Home:
        return "memory" if self.digest is None else "files"


@dataclass(frozen=True, eq=False)
class Clouds:
    """n objects; object i is ``count[i]`` points of block ``block[i]`` from ``start[i]`` on, times ``scale[i]``.

    Attributes:
        blocks: at least one.
        block, start, count: (n,) int64.
        scale: (n,) float32 meters; powers of two, so that multiplying is exact.
    """

    blocks: tuple[StoredBlock, ...]
    block: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    scale: NDArray[np.float32]

    @classmethod
    def gather(
        cls, clouds: Sequence[NDArray[np.float32]], colors: Sequence[NDArray[np.uint8] | None]
    ) -> Clouds:
        """One block in memory from n arrays (k, 3) of points and of colors; an object may be empty."""
        count = np.array([len(cloud) for cloud in clouds], np.int64)
        stacked = None
        if any(color is not None for color in colors):
            filled = [
                np.zeros(cloud.shape, np.uint8) if color is None else color
                for cloud, color in zip(clouds, colors, strict=True)
            ]
            stacked = np.concatenate(filled)
        points = np.concatenate([np.zeros((0, 3), np.float32), *clouds]).astype(np.float32)
        return cls.of_block(Block(points, stacked), count)

    @classmethod
    def of_block(
        cls, block: StoredBlock, count: NDArray[np.int64], scale: NDArray[np.float32] | None = None
    ) -> Clouds:
        """Consecutive objects of one block, ``count`` (n,) points each."""
        n = len(count)
        start = (np.cumsum(count) - count).astype(np.int64)
        ones = np.ones(n, np.float32) if scale is None else scale
        return cls((block,), np.zeros(n, np.int64), start, count.astype(np.int64), ones)

    @classmethod
    def join(cls, several: Sequence[Clouds]) -> Clouds:
        """Concatenation of several, without copying points."""
        first = np.cumsum([0, *(len(one.blocks) for one in several)])
        return cls(
            tuple(block for one in several for block in one.blocks),
            np.concatenate([one.block + skip for one, skip in zip(several, first, strict=False)]),
            np.concatenate([one.start for one in several]),
            np.concatenate([one.count for one in several]),
            np.concatenate([one.scale for one in several]),
        )

    def __len__(self) -> int:
        return len(self.count)

    def select(self, rows: NDArray[np.int64]) -> Clouds:
        """The objects ``rows`` (m,), in that order, without copying points."""
        return replace(
            self,
            block=self.block[rows],
            start=self.start[rows],
            count=self.count[rows],
            scale=self.scale[rows],
        )

    def cloud(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Points (k, 3) float32 meters and colors of one object; without color, zeros or None."""
        block = self.blocks[self.block[i]]
        span = slice(self.start[i], self.start[i] + self.count[i])
        points = np.asarray(block.points[span], dtype=np.float32) * self.scale[i]
        return points, None if block.colors is None else np.asarray(block.colors[span])

    @property
    def has_colors(self) -> bool:
        """Whether any object may have color."""
        return any(block.has_colors for block in self.blocks)

    @property
    def nbytes(self) -> int:
        """Bytes of all points and colors, in memory, files or shards."""
        return sum(block.nbytes for block in self.blocks)

    @property
    def home(self) -> Home:
        """Where the points are kept."""
        homes = {block.home for block in self.blocks}
        return homes.pop() if len(homes) == 1 else "memory"

    def in_memory(self, rows: NDArray[np.int64]) -> Clouds:
        """The objects ``rows`` (m,), in that order, as one block in memory; those of one shard are read together."""
        clouds: list[tuple[NDArray[np.float32], NDArray[np.uint8] | None]] = [None] * len(rows)  # type: ignore[list-item]
        for position in np.argsort(self.block[rows], kind="stable"):
            clouds[position] = self.cloud(int(rows[position]))
        return Clouds.gather([points for points, _ in clouds], [colors for _, colors in clouds])

    def fingerprint(self) -> tuple[NDArray | None, ...]:
        """Arrays that identify the points; mapped files are identified by their digest."""
        if all(block.digest is None for block in self.blocks):
            clouds = [self.cloud(i) for i in range(len(self))]
            points = np.concatenate([np.zeros((0, 3), np.float32), *(cloud for cloud, _ in clouds)])
            colors = None
            if self.has_colors:
                colors = np.concatenate(
                    [np.zeros(cloud.shape, np.uint8) if color is None else color for cloud, color in clouds]
                )
            return points, colors, np.concatenate([[0], np.cumsum(self.count)]).astype(np.int64)
        digests = [block.digest or _digest(block) for block in self.blocks]
        return np.array(digests, dtype="S64"), self.block, self.start, self.count, self.scale


def _digest(block: StoredBlock) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(block.points).data)
    digest.update(b"-" if block.colors is None else np.ascontiguousarray(block.colors).data)
    return digest.hexdigest()


class CloudTensors:
    """The same objects as tensors, for drawing whole batches.

    Args:
        clouds: the objects.
        device: of the batches; a GPU receives a copy of all points.
    """

    def __init__(self, clouds: Clouds, device: torch.device) -> None:
        self.device = device
        self._blocks = [
            (
                torch.from_numpy(block.points).to(device),
                None if block.colors is None else torch.from_numpy(block.colors).to(device),
            )
            for block in clouds.blocks
        ]
        self._block, self._start, self.count, self._scale = (
            torch.from_numpy(array).to(device)
            for array in (clouds.block, clouds.start, clouds.count, clouds.scale)
        )

    def draw(
        self, chosen: torch.Tensor, place: torch.Tensor, colors: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Selected points of selected objects.

        Args:
            chosen: (B,) int64 objects.
            place: (B, N) int64 point indices within each object.
            colors: whether to return colors too.

        Returns:
            (B, N, 3) float32 meters, and (B, N, 3) float32 RGB in 0..1 or None; zeros for objects without color.
        """
        index, scale = place + self._start[chosen][:, None], self._scale[chosen][:, None, None]
        if len(self._blocks) == 1:
            return _take(*self._blocks[0], index, scale, colors)
        points = torch.empty(*place.shape, 3, device=self.device)
        paint = torch.zeros(*place.shape, 3, device=self.device) if colors else None
        whose = self._block[chosen]
        for number, (stored, stored_colors) in enumerate(self._blocks):
            rows = torch.nonzero(whose == number)[:, 0]
            points[rows], some = _take(stored, stored_colors, index[rows], scale[rows], colors)
            if paint is not None and some is not None:
                paint[rows] = some
        return points, paint


def _take(
    points: torch.Tensor, colors: torch.Tensor | None, index: torch.Tensor, scale: torch.Tensor, wanted: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    # Faster than points[index] on a CPU, several times so for float16.
    flat = index.reshape(-1)
    found = points.index_select(0, flat).float().view(*index.shape, 3).mul_(scale)
    if not wanted or colors is None:
        return found, None
    return found, colors.index_select(0, flat).float().view(*index.shape, 3).div_(255)


def sample_object(
    points: NDArray[np.float32], colors: NDArray[np.uint8] | None, max_points: int, name: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None, str]:
    """Sample of one object for training: points and colors in random order, or the reason why it is unusable.

    The first m points are the sample for ``max_points=m``.

    Args:
        points: (k, 3) meters.
        colors: (k, 3) RGB or None.
        max_points: points to keep.
        name: of the object, for the reason.

    Returns:
        Points (m, 3), colors (m, 3) or None, and "" or the reason; unusable objects have no points.
    """
    try:
        local = local_coordinates(points, colors, name=name)
    except NotAnObject as error:
        return np.zeros((0, 3), np.float32), None, error.reason
    order = sampling_order(local, colors, max_points)
    return points[order], None if colors is None else colors[order], ""
