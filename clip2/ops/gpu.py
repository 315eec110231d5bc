"""Registers the Triton kernels for CUDA devices; Triton is imported when the first of them is called."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from clip2.ops import registry


@cache
def _problem() -> str | None:
    if not torch.cuda.is_available():
        return "no CUDA device"
    return None if find_spec("triton") else "not installed (comes with torch for CUDA on Linux)"


registry.register_backend(
    "triton", serves=("cuda",), problem=_problem, reason="compiled for this GPU at first use"
)


@registry.implements("farthest_point_sample", "triton")
def _farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    if points.device.type != "cuda":
        return registry.plain("farthest_point_sample")(points, k, lengths, first)
    from clip2.ops import triton_kernels

    with torch.cuda.device(points.device):  # Triton launches on the current one
        return triton_kernels.farthest_point_sample(points, k, lengths, first)


@registry.implements("ball_query", "triton")
def _ball_query(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
    if points.device.type != "cuda":
        return registry.plain("ball_query")(points, centers, radius, k, lengths)
    from clip2.ops import triton_kernels

    with torch.cuda.device(points.device):
        return triton_kernels.ball_query(points, centers, radius, k, lengths)


@registry.implements("knn", "triton")
def _knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    if points.device.type != "cuda":
        return registry.plain("knn")(points, centers, k, lengths)
    from clip2.ops import triton_kernels

    with torch.cuda.device(points.device):
        return triton_kernels.knn(points, centers, k, lengths)
