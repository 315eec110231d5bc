"""Triton kernels of the point operations: no nvcc, nothing compiled at installation.

They round as pure torch does and give the same answers. One program serves one cloud (sampling) or one center (search), so
that no distance matrix is ever written to memory. No call waits for the GPU, so all can be part of a CUDA graph.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

import clip2.ops.registry as registry

_BLOCK = 1024  # points looked at together by a search
_RESIDENT = 16_384  # points of a cloud that sampling keeps in the registers of one program: 16 per thread
_MOST_NEIGHBORS = 64  # that a search keeps in registers
# A fused multiply-add rounds once where torch rounds twice; ties would fall differently.
_STRICT = {"enable_fp_fusion": False}


def farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    """See `clip2.ops.farthest_point_sample`, k <= N."""
    if points.dtype == torch.float64:
        return registry.plain("farthest_point_sample")(points, k, lengths, first)
    batch, count, _ = points.shape
    axes = points.float().transpose(1, 2).contiguous()
    chosen = torch.empty(batch, k, dtype=torch.int64, device=points.device)
    chosen[:, 0] = first
    sizes = _sizes(points, lengths)
    if not batch:
        return chosen
    if count <= _RESIDENT:
        block = triton.next_power_of_2(count)
        warps = min(32, max(1, block // 256))
        _farthest_resident[(batch,)](axes, sizes, chosen, count, k, BLOCK=block, num_warps=warps, **_STRICT)
    else:
        nearest = torch.full((batch, count), torch.inf, device=points.device)
        _farthest[(batch,)](axes, nearest, sizes, chosen, count, k, BLOCK=8192, num_warps=16, **_STRICT)
    return chosen


def ball_query(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
    """See `clip2.ops.ball_query`."""
    if torch.float64 in (points.dtype, centers.dtype):
        return registry.plain("ball_query")(points, centers, radius, k, lengths)
    batch, count, _ = points.shape
    rows = centers.shape[1]
    axes = points.float().transpose(1, 2).contiguous()
    at = centers.float().contiguous()
    index = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    block = min(_BLOCK, triton.next_power_of_2(count))
    # Rounded to float32 as torch rounds a number that it compares with float32.
    squared = torch.full((1,), radius**2, dtype=torch.float64, device=points.device).float()
    if batch and rows:
        sizes = _sizes(points, lengths)
        _ball[(batch * rows,)](
            axes, at, sizes, index, squared, count, rows, k, BLOCK=block, num_warps=4, **_STRICT
        )
    return index


def knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """See `clip2.ops.knn`; indices and squared distances, k <= N, padding infinitely far."""
    if torch.float64 in (points.dtype, centers.dtype) or k > _MOST_NEIGHBORS:
        return registry.plain("knn")(points, centers, k, lengths)
    batch, count, _ = points.shape
    rows = centers.shape[1]
    axes = points.float().transpose(1, 2).contiguous()
    at = centers.float().contiguous()
    index = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    squared = torch.empty(batch, rows, k, device=points.device)
    block, slots = min(_BLOCK, triton.next_power_of_2(count)), triton.next_power_of_2(k)
    if batch and rows:
        sizes = _sizes(points, lengths)
        _nearest[(batch * rows,)](
            axes, at, sizes, index, squared, count, rows, k, BLOCK=block, SLOTS=slots, num_warps=4, **_STRICT
        )
    return index, squared


def _sizes(points: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is not None:
        return lengths.contiguous()
    return torch.full((len(points),), points.shape[1], dtype=torch.int64, device=points.device)


@triton.jit
def _square(x, y, z, px, py, pz):  # type: ignore[no-untyped-def]
    dx, dy, dz = x - px, y - py, z - pz
    return dx * dx + dy * dy + dz * dz


@triton.jit
def _farthest_resident(axes, sizes, chosen, count, k, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A whole cloud and its distances in registers: a step reads three numbers from memory."""
    cloud = tl.program_id(0).to(tl.int64)
    size = tl.load(sizes + cloud)
    x_axis = axes + cloud * 3 * count
    chosen += cloud * k
    place = tl.arange(0, BLOCK)
    real = place < size
    x = tl.load(x_axis + place, mask=real, other=0.0)
    y = tl.load(x_axis + count + place, mask=real, other=0.0)
    z = tl.load(x_axis + 2 * count + place, mask=real, other=0.0)
    nearest = tl.where(real, float("inf"), -1.0)
    latest = tl.load(chosen)
    for step in range(1, k):
        px = tl.load(x_axis + latest)
        py = tl.load(x_axis + count + latest)
        pz = tl.load(x_axis + 2 * count + latest)
        nearest = tl.where(real, tl.minimum(nearest, _square(x, y, z, px, py, pz)), -1.0)
        most = tl.max(nearest, 0)
        latest = tl.min(tl.where(nearest == most, place, count - 1), 0).to(tl.int64)
        tl.store(chosen + step, latest)


@triton.jit
def _farthest(axes, nearest, sizes, chosen, count, k, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    cloud = tl.program_id(0).to(tl.int64)
    size = tl.load(sizes + cloud)
    x_axis = axes + cloud * 3 * count
    nearest += cloud * count
    chosen += cloud * k
    latest = tl.load(chosen)
    for step in range(1, k):
        px = tl.load(x_axis + latest)
        py = tl.load(x_axis + count + latest)
        pz = tl.load(x_axis + 2 * count + latest)
        top = tl.full((), -1.0, tl.float32)
        winner = tl.full((), 0, tl.int64)
        for start in range(0, count, BLOCK):
            place = start + tl.arange(0, BLOCK)
            real = place < size
            x = tl.load(x_axis + place, mask=real, other=0.0)
            y = tl.load(x_axis + count + place, mask=real, other=0.0)
            z = tl.load(x_axis + 2 * count + place, mask=real, other=0.0)
            before = tl.load(nearest + place, mask=real, other=-1.0)
            now = tl.minimum(before, _square(x, y, z, px, py, pz))
            now = tl.where(real, now, -1.0)
            tl.store(nearest + place, now, mask=real)
            most = tl.max(now, 0)
            # Of equally far points the lowest index; the blocks come in order.
            here = tl.min(tl.where(now == most, place, count), 0).to(tl.int64)
            winner = tl.where(most > top, here, winner)
            top = tl.maximum(top, most)
        latest = winner
        tl.store(chosen + step, latest)


@triton.jit
def _ball(axes, centers, sizes, index, squared, count, rows, k, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    cloud = row // rows
    size = tl.load(sizes + cloud)
    limit = tl.load(squared)
    x_axis = axes + cloud * 3 * count
    centers += row * 3
    index += row * k
    px = tl.load(centers)
    py = tl.load(centers + 1)
    pz = tl.load(centers + 2)
    found = tl.full((), 0, tl.int32)
    least = tl.full((), float("inf"), tl.float32)
    closest = tl.full((), 0, tl.int64)
    first = tl.full((), 0, tl.int64)
    start = 0
    while (start < size) & (found < k):
        place = start + tl.arange(0, BLOCK)
        real = place < size
        x = tl.load(x_axis + place, mask=real, other=0.0)
        y = tl.load(x_axis + count + place, mask=real, other=0.0)
        z = tl.load(x_axis + 2 * count + place, mask=real, other=0.0)
        distance = _square(x, y, z, px, py, pz)
        hit = real & (distance <= limit)
        rank = found + tl.cumsum(hit.to(tl.int32), 0) - 1
        tl.store(index + rank, place.to(tl.int64), mask=hit & (rank < k))
        here = tl.min(tl.where(hit, place, count), 0).to(tl.int64)
        hits = tl.sum(hit.to(tl.int32), 0)
        first = tl.where((found == 0) & (hits > 0), here, first)
        found += hits
        distance = tl.where(real, distance, float("inf"))
        nearer = tl.min(distance, 0)
        lowest = tl.min(tl.where(distance == nearer, place, count), 0).to(tl.int64)
        closest = tl.where(nearer < least, lowest, closest)
        least = tl.minimum(least, nearer)
        start += BLOCK
    fill = tl.where(found > 0, first, closest)
    for place in range(tl.minimum(found, k), k):
        tl.store(index + place, fill)


@triton.jit
def _nearest(axes, centers, sizes, index, squared, count, rows, k, BLOCK: tl.constexpr, SLOTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The k smallest keys (distance, index) so far sit in slots; a smaller one takes the place of the largest."""
    row = tl.program_id(0).to(tl.int64)
    cloud = row // rows
    size = tl.load(sizes + cloud)
    x_axis = axes + cloud * 3 * count
    px = tl.load(centers + row * 3)
    py = tl.load(centers + row * 3 + 1)
    pz = tl.load(centers + row * 3 + 2)
    slot = tl.arange(0, SLOTS)
    taken = slot < k
    # Not negative floats order like their bits; the index below them settles ties and makes keys unique.
    nobody = tl.full((), 0x7FFFFFFFFFFFFFFF, tl.int64)
    best = tl.where(taken, nobody - slot, -1)
    worst = tl.max(best, 0)
    start = 0
    while start < count:
        place = start + tl.arange(0, BLOCK)
        real = place < size
        x = tl.load(x_axis + place, mask=real, other=0.0)
        y = tl.load(x_axis + count + place, mask=real, other=0.0)
        z = tl.load(x_axis + 2 * count + place, mask=real, other=0.0)
        distance = tl.where(real, _square(x, y, z, px, py, pz), float("inf"))
        bits = distance.to(tl.int32, bitcast=True).to(tl.int64)
        key = tl.where(place < count, (bits << 32) | place.to(tl.int64), nobody)
        least = tl.min(key, 0)
        while least < worst:
            best = tl.where(best == worst, least, best)
            worst = tl.max(best, 0)
            key = tl.where(key == least, nobody, key)
            least = tl.min(key, 0)
        start += BLOCK
    smaller = (best[None, :] < best[:, None]) & taken[None, :]
    rank = row * k + tl.sum(smaller.to(tl.int32), 1)
    tl.store(index + rank, best & 0xFFFFFFFF, mask=taken)
    tl.store(squared + rank, (best >> 32).to(tl.int32).to(tl.float32, bitcast=True), mask=taken)
