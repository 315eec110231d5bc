"""Farthest-point sampling: the public function, and its kernels in torch and numpy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import clip2.ops.registry as registry
from clip2.ops.batches import check_count, check_lengths, check_points, repeat_cyclically

# Points that the numpy kernel works on at a time: the loop's arrays then fit a core's second-level cache.
_NUMPY_POINTS = 1 << 16


def farthest_point_sample(
    points: Tensor,
    k: int,
    lengths: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose ``k`` points per cloud, each the farthest from all chosen before it (exact, greedy).

    The first is point 0, so that the result is a function of the points alone; the first ``m`` of ``k`` are the
    sample of size ``m``. Ties go to the lowest index; once every remaining point coincides with a chosen one
    that is index 0 again and again. Asked for more than a cloud has, the sample repeats cyclically.

    Args:
        points: (B, N, 3) floating; bfloat16 and float16 are compared in float32. No gradient flows.
        k: how many, at least 1.
        lengths: (B,) int64, the first ``lengths[b] >= 1`` points of cloud b are real, the rest padding. None: all.
        generator: draw the first point at random from it instead of taking point 0.

    Returns:
        (B, k) int64 indices into N.

    Raises:
        ValueError: wrong shape or dtype, or an empty cloud.

    >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [10, 0, 0]]])
    >>> farthest_point_sample(line, 3).tolist()
    [[0, 3, 2]]
    """
    check_points(points, "points")
    check_count(k)
    lengths = check_lengths(lengths, points)
    steps = min(k, points.shape[1])
    first = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    if generator is not None:
        real = lengths if lengths is not None else torch.full_like(first, points.shape[1])
        draw = torch.rand(len(points), generator=generator, device=generator.device).to(points.device)
        first = (draw * real).long().clamp_(max=real - 1)
    chosen = registry.kernel("farthest_point_sample", points.device)(points.detach(), steps, lengths, first)
    return repeat_cyclically(chosen, k, lengths)


@registry.implements("farthest_point_sample", "torch")
def _farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    """The greedy loop with every buffer allocated before it."""
    batch, count, _ = points.shape
    dtype = points.dtype if points.dtype == torch.float64 else torch.float32
    axes = points.to(dtype).permute(2, 0, 1).contiguous()  # (3, B, N): each coordinate is one plain array
    nearest = torch.full((batch, count), torch.inf, dtype=dtype, device=points.device)
    if lengths is not None:  # below every distance: padding is never the farthest
        nearest.masked_fill_(torch.arange(count, device=points.device) >= lengths[:, None], -1.0)
    square, latest = torch.empty_like(axes), axes.new_empty(3, batch, 1)
    distance, y, z = square.unbind(0)
    farthest = axes.new_empty(batch, 1)
    chosen = torch.empty(k, batch, 1, dtype=torch.int64, device=points.device)
    chosen[0] = first[:, None]
    for step in range(1, k):
        torch.gather(axes, 2, chosen[step - 1].expand(3, -1, -1), out=latest)
        torch.sub(axes, latest, out=square)
        # Multiplied, then added: a fused operation rounds otherwise, and then ties fall differently per device.
        torch.mul(square, square, out=square)
        distance += y
        distance += z
        torch.minimum(nearest, distance, out=nearest)
        torch.max(nearest, 1, keepdim=True, out=(farthest, chosen[step]))
    return chosen.squeeze(2).t().contiguous()


registry.register_backend(
    "numpy", serves=("cpu",), problem=lambda: None, reason="cheaper steps than torch on a CPU, same result"
)


@registry.implements("farthest_point_sample", "numpy")
def numpy_farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    """Kernel in numpy, whose small operations cost a third of torch's on a CPU; k <= N."""
    dtype = points.dtype if points.dtype == torch.float64 else torch.float32
    host = points.to("cpu", dtype).numpy()
    batch, count, _ = host.shape
    chosen = np.empty((batch, k), np.int64)
    clouds = max(1, _NUMPY_POINTS // count)
    for start in range(0, batch, clouds):
        part = slice(start, start + clouds)
        nearest = np.full(host[part].shape[:2], np.inf, host.dtype)
        if lengths is not None:  # below every distance: padding is never the farthest
            nearest[np.arange(count) >= lengths[part, None].cpu().numpy()] = -1
        with np.errstate(over="ignore"):  # infinitely far is far enough
            chosen[part] = _greedy(host[part], k, nearest, first[part].cpu().numpy()).T
    return torch.from_numpy(chosen).to(points.device)


def _greedy(points: np.ndarray, k: int, nearest: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(b, N, 3) → (k, b), every array allocated before the loop."""
    batch, count, _ = points.shape
    axes = np.ascontiguousarray(points.transpose(2, 0, 1))
    flat = axes.reshape(3, -1)
    square = np.empty_like(axes)
    distance = square[0]
    latest = np.empty((3, batch, 1), axes.dtype)
    columns, row_start = latest[:, :, 0], np.arange(batch) * count
    place = np.empty(batch, np.int64)
    chosen = np.empty((k, batch), np.int64)
    chosen[0] = first
    for step in range(1, k):
        np.add(chosen[step - 1], row_start, out=place)
        np.take(
            flat, place, axis=1, out=columns, mode="clip"
        )  # the mode that needs no buffer; all are in range
        np.subtract(axes, latest, out=square)
        np.multiply(square, square, out=square)
        np.add(distance, square[1], out=distance)
        np.add(distance, square[2], out=distance)
        np.minimum(nearest, distance, out=nearest)
        nearest.argmax(1, out=chosen[step])
    return chosen
