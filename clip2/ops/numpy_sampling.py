"""Farthest-point sampling on a CPU through numpy, whose small operations cost a third of torch's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clip2.ops import registry

# Points worked on at a time: the loop's arrays then fit a core's second-level cache.
_CHUNK = 1 << 16

registry.register_backend(
    "numpy", serves=("cpu",), problem=lambda: None, reason="cheaper steps than torch on a CPU, same result"
)


@registry.implements("farthest_point_sample", "numpy")
def farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    """See `clip2.ops.farthest_point_sample`, k <= N."""
    dtype = points.dtype if points.dtype == torch.float64 else torch.float32
    host = points.to("cpu", dtype).numpy()
    batch, count, _ = host.shape
    chosen = np.empty((batch, k), np.int64)
    clouds = max(1, _CHUNK // count)
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
