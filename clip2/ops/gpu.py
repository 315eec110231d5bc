"""Registration of the Triton kernels for CUDA devices; Triton is imported when the first of them is called."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

import clip2.ops.registry as registry


@cache
def _problem() -> str | None:
    if not torch.cuda.is_available():
        return "no CUDA device"
    return None if find_spec("triton") else "not installed (comes with torch for CUDA on Linux)"


def _register(op: str) -> None:
    @registry.implements(op, "triton")
    def run(points: Tensor, *arguments: Any) -> Any:
        if points.device.type != "cuda":
            return registry.plain(op)(points, *arguments)
        import clip2.ops.triton_kernels as triton_kernels

        with torch.cuda.device(points.device):  # Triton launches on the current one
            return getattr(triton_kernels, op)(points, *arguments)


registry.register_backend(
    "triton", serves=("cuda",), problem=_problem, reason="compiled for this GPU at first use"
)
for _op in ("farthest_point_sample", "ball_query", "knn"):
    _register(_op)
