"""Farthest-point sampling: the public function, and its kernels in torch and numpy."""

from __future__ import annotations

import torch
from torch import Tensor

import clip2.ops.registry as registry
from clip2.ops.batches import check_count, check_lengths, check_points, repeat_cyclically
from clip2.point_queries import sample_in_numpy


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
    first = torch.zeros(points.shape[0], dtype=torch.int64, device=points.device)
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
    host, ends = points.to("cpu", dtype).numpy(), None if lengths is None else lengths.cpu().numpy()
    chosen = sample_in_numpy(host, k, ends, first.cpu().numpy())
    return torch.from_numpy(chosen).to(points.device)
