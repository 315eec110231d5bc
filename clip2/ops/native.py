"""Compiled CPU backend of the point operations: the kernels of the native library, called with tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import clip2.ops.registry as registry
from clip2.ops.sampling import numpy_farthest_point_sample
from data_prep.native import call, instruction_set, limit_instruction_set, problem

__all__ = ["instruction_set", "limit_instruction_set", "problem"]


def _reason() -> str:
    return f"compiled C++, {instruction_set()}"


registry.register_backend("native", serves=("cpu",), problem=problem, reason=_reason)


@registry.implements("farthest_point_sample", "native")
def _farthest_point_sample(points: Tensor, k: int, lengths: Tensor | None, first: Tensor) -> Tensor:
    if not _takes(points):
        return numpy_farthest_point_sample(points, k, lengths, first)
    points, first = _coordinates(points), first.contiguous()
    chosen = torch.empty(len(points), k, dtype=torch.int64)
    call(
        "farthest_point_sample", points, *points.shape[:2], lengths, first, k, torch.get_num_threads(), chosen
    )
    return chosen


@registry.implements("ball_query", "native")
def _ball_query(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
    if not _takes(points, centers):
        return registry.plain("ball_query")(points, centers, radius, k, lengths)
    points, centers = _coordinates(points), _coordinates(centers)
    index = torch.empty(*centers.shape[:2], k, dtype=torch.int64)
    cloud = (points, *points.shape[:2], lengths)
    call("ball_query", *cloud, centers, centers.shape[1], radius, k, torch.get_num_threads(), index)
    return index


@registry.implements("knn", "native")
def _knn(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    if not _takes(points, centers):
        return registry.plain("knn")(points, centers, k, lengths)
    points, centers = _coordinates(points), _coordinates(centers)
    index = torch.empty(*centers.shape[:2], k, dtype=torch.int64)
    squared = torch.empty(index.shape, dtype=torch.float32)
    cloud = (points, *points.shape[:2], lengths)
    call("knn", *cloud, centers, centers.shape[1], k, torch.get_num_threads(), index, squared)
    return index, squared


@registry.implements("radius_components", "native")
def _radius_components(points: Tensor, radii: Tensor) -> Tensor:
    if points.device.type != "cpu":
        return registry.plain("radius_components")(points, radii)
    labels = torch.empty(radii.shape, dtype=torch.int64)
    call("radius_components", points, len(points), radii.contiguous(), len(radii), labels)
    return labels


class _SegmentSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, num_segments: int) -> Tensor:
        ctx.save_for_backward(index)
        return _reduce("segment_sum", values, index, num_segments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grad.index_select(0, index), None, None


class _SegmentMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, num_segments: int) -> Tensor:
        ctx.save_for_backward(index)
        return _reduce("segment_mean", values, index, num_segments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        size = torch.bincount(index, minlength=len(grad)).clamp_(min=1)
        return (grad / size.view(-1, *[1] * (grad.ndim - 1))).index_select(0, index), None, None


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, num_segments: int) -> Tensor:
        largest = _reduce("segment_max", values, index, num_segments)
        ctx.save_for_backward(values, index, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        values, index, largest = ctx.saved_tensors
        best = (values == largest.index_select(0, index)).to(grad.dtype)
        share = grad / _reduce("segment_sum", best, index, len(largest)).clamp_(min=1)
        return best * share.index_select(0, index), None, None


class _SegmentSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, num_segments: int) -> Tensor:
        share = _reduce("segment_softmax", values, index, num_segments, rows=len(values))
        ctx.save_for_backward(share, index)
        ctx.num_segments = num_segments
        return share

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        share, index = ctx.saved_tensors
        weighted = share * grad
        mean = _reduce("segment_sum", weighted, index, ctx.num_segments)
        return weighted - share * mean.index_select(0, index), None, None


_SEGMENT_FUNCTIONS = {
    "segment_sum": _SegmentSum,
    "segment_mean": _SegmentMean,
    "segment_max": _SegmentMax,
    "segment_softmax": _SegmentSoftmax,
}


def _register_segment_operation(op: str, function: type[torch.autograd.Function]) -> None:
    @registry.implements(op, "native")
    def reduce(values: Tensor, index: Tensor, num_segments: int) -> Tensor:
        if values.dtype != torch.float32 or not _takes(values, index):
            return registry.plain(op)(values, index, num_segments)
        return function.apply(values, index, num_segments)


for _op, _function in _SEGMENT_FUNCTIONS.items():
    _register_segment_operation(_op, _function)


def _takes(*tensors: Tensor) -> bool:
    """Whether the kernels can read these: an address on another device means nothing here, doubles would be rounded."""
    return all(tensor.device.type == "cpu" and tensor.dtype != torch.float64 for tensor in tensors)


def _reduce(op: str, values: Tensor, index: Tensor, num_segments: int, rows: int | None = None) -> Tensor:
    values, index = values.detach().contiguous(), index.contiguous()
    out = torch.empty(num_segments if rows is None else rows, *values.shape[1:])
    channels = values.shape[1:].numel()
    call(op, values, index, len(values), channels, num_segments, torch.get_num_threads(), out)
    return out


def _coordinates(points: Tensor) -> Tensor:
    return points.to(torch.float32).contiguous()
