"""Fused training step of a shared MLP over neighborhoods, as one differentiable operation.

Same function and gradients as gather → [Linear → BatchNorm → ReLU]* → max written with ordinary layers. What differs
is memory: rows are worked through in chunks that stay in the processor's cache, normalized activations are never
stored, and the widest layer is not stored at all. The backward pass of a layer with rows r that count w_r, sum M,
statistics μ and σ, x̂ = (y - μ) / σ, from the gradient g after the affine part:

    dβ = Σ g_r,   dγ = Σ g_r x̂_r,   dy_r = γ/σ · (g_r - w_r / M · (dβ + x̂_r dγ))

Behind the maximum, g has one entry per neighborhood and channel; dy is that entry plus an affine map of y.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.batch_statistics import BatchAffine, RowSums
from clip2.encoders.neighborhoods import Chunk, Neighborhoods

# Elements of the widest layer worked on at a time: 2 MB of float32, a core's second-level cache. Measured best.
CHUNK_ELEMENTS = 1 << 19


def shared_mlp_max(
    direct: Tensor,
    direct_weight: Tensor,
    table: Tensor | None,
    neighborhoods: Neighborhoods,
    norms: Sequence[nn.BatchNorm1d],
    weights: Sequence[Tensor],
    dtype: torch.dtype,
    last_activation: bool = True,
) -> Tensor:
    """Maximum over each neighborhood of the shared MLP, BatchNorm in training mode.

    Args:
        direct: (R, D) narrow inputs of every neighbor, relative coordinates first.
        direct_weight: (C1, D) of the first layer for them.
        table: (P, C1) first layer applied to the wide features of every point, to be added; None when there are none.
        neighborhoods: G neighborhoods with R rows in total, over the rows of ``table``.
        norms: one per layer; their running statistics are updated.
        weights: (C_l, C_{l-1}) of layers 2, 3, …
        dtype: of the operands of inner matrix products; everything else keeps the dtype of ``direct``.
        last_activation: False: the last layer is Linear → BatchNorm, for a sum to come before its ReLU.

    Returns:
        (G, C_L), differentiable once in all tensors and in the affine parameters of ``norms``.
    """
    affine = [parameter for norm in norms for parameter in (norm.weight, norm.bias)]
    return _SharedMLPMax.apply(
        direct, direct_weight, table, neighborhoods, norms, dtype, last_activation, *affine, *weights
    )


class _ScratchPool:
    """Flat buffers kept between training steps on a CPU.

    The C library returns large blocks to the system at once, and fresh ones cost a page fault per 4 KB: for
    activations used once per step that is more time than the arithmetic on them. On other devices torch's own
    allocator already keeps memory, and the pool only allocates.
    """

    def __init__(self, kept: int = 8) -> None:
        self._kept = kept
        self._free: list[Tensor] = []
        self._lock = Lock()

    def take(self, elements: int, like: Tensor) -> Tensor:
        """A flat buffer of at least so many elements, with the dtype and device of ``like``; contents arbitrary."""
        if like.device.type != "cpu":
            return like.new_empty(elements)
        with self._lock:
            for place, buffer in enumerate(self._free):
                if buffer.dtype == like.dtype and buffer.numel() >= elements:
                    return self._free.pop(place)
        # Batches differ a little in size; a quarter to spare lets one buffer serve them all.
        return like.new_empty(elements + elements // 4)

    def give(self, *buffers: Tensor) -> None:
        """Return buffers; the caller must not use them afterwards."""
        with self._lock:
            self._free.extend(buffer for buffer in buffers if buffer.device.type == "cpu")
            self._free.sort(key=lambda buffer: buffer.numel())  # so that `take` finds the smallest that fits
            del self._free[: -self._kept]


_SCRATCH = _ScratchPool()


class _SharedMLPMax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        direct: Tensor,
        direct_weight: Tensor,
        table: Tensor | None,
        neighborhoods: Neighborhoods,
        norms: Sequence[nn.BatchNorm1d],
        dtype: torch.dtype,
        last_activation: bool,
        *parameters: Tensor,
    ) -> Tensor:
        depth, rows = len(norms), len(neighborhoods.rows)
        weights = [weight.to(dtype) for weight in parameters[2 * depth :]]
        widths = [norm.num_features for norm in norms]
        repeats = (
            direct.new_ones(rows) if neighborhoods.weight is None else neighborhoods.weight.to(direct.dtype)
        )
        chunks = list(neighborhoods.chunks(CHUNK_ELEMENTS, max(widths)))
        buffers = [_SCRATCH.take(rows * width, direct) for width in widths[:-1]]
        stored = [_shaped(buffer, rows, width) for buffer, width in zip(buffers, widths, strict=False)]
        spare = [direct.new_empty(max(chunk.rows for chunk in chunks) * max(widths)) for _ in range(3)]

        layers: list[BatchAffine] = []
        total = neighborhoods.total
        maxima = _Maxima(direct, len(neighborhoods.groups), norms[-1])
        for level, norm in enumerate(norms):
            width = widths[level]
            sums = RowSums(width, repeats)
            for chunk in chunks:
                last = level == depth - 1
                y = _shaped(spare[0], chunk.rows, width) if last else stored[level][chunk.row_slice]
                if level == 0:
                    _first_layer(direct, direct_weight, table, neighborhoods, chunk, out=y)
                else:
                    z = _shaped(spare[1], chunk.rows, widths[level - 1])
                    layers[-1].activate(stored[level - 1][chunk.row_slice], out=z)
                    _multiply(z.to(dtype), weights[level - 1].t(), out=y)
                sums.add(y, chunk, spare[2])
                if last:
                    maxima.add(y, chunk)
            layers.append(sums.normalize(norm, total))
        out = layers[-1].normalize(maxima.values, out=torch.empty_like(maxima.values))
        if last_activation:
            out.relu_()
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(
                direct, direct_weight, table, out, maxima.values, maxima.where, repeats, *weights
            )
            ctx.last_activation = last_activation
            ctx.neighborhoods, ctx.layers, ctx.chunks, ctx.stored, ctx.buffers = (
                neighborhoods,
                layers,
                chunks,
                stored,
                buffers,
            )
        else:
            _SCRATCH.give(*buffers)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.stored is None:
            raise RuntimeError("the backward pass of a set abstraction can run only once per forward pass")
        direct, direct_weight, table, out, extreme, where, repeats, *weights = ctx.saved_tensors
        neighborhoods, layers, chunks, stored = ctx.neighborhoods, ctx.layers, ctx.chunks, ctx.stored
        ctx.stored = None
        depth, rows = len(layers), len(neighborhoods.rows)
        widths = [len(layer.mean) for layer in layers]
        spare = [direct.new_empty(max(chunk.rows for chunk in chunks) * max(widths)) for _ in range(3)]
        d_affine: list[Tensor] = [direct] * (2 * depth)
        d_weights = [torch.zeros_like(weight, dtype=direct.dtype) for weight in weights]
        d_direct = torch.empty_like(direct) if ctx.needs_input_grad[0] else None
        d_direct_weight = torch.zeros_like(direct_weight)
        d_table = None if table is None else torch.zeros_like(table)

        # g behind the affine part of a level's BatchNorm: sparse behind the maximum, else one row per row.
        sparse = torch.where(out > 0, grad, 0.0) if ctx.last_activation else grad.clone()
        sum_g, sum_gy = sparse.sum(0), (sparse * extreme).sum(0)
        sparse *= layers[-1].scale
        dense = dense_buffer = direct
        for level in reversed(range(depth)):
            layer, width, last = layers[level], widths[level], level == depth - 1
            d_gamma, constant, slope = layer.backward(sum_g, sum_gy)
            d_affine[2 * level : 2 * level + 2] = d_gamma, sum_g
            if last:  # its rows were not stored; computed again they lack the pivot
                constant = constant - slope * layer.pivot
            if level:
                below_width = widths[level - 1]
                below_buffer = _SCRATCH.take(rows * below_width, direct)
                below = _shaped(below_buffer, rows, below_width)
                sum_g, sum_gy = direct.new_zeros(2, below_width)
            for chunk in chunks:
                dy = _shaped(spare[0], chunk.rows, width)
                y = _shaped(spare[1], chunk.rows, width) if last else stored[level][chunk.row_slice]
                if level:
                    y_below = stored[level - 1][chunk.row_slice]
                    z = layers[level - 1].activate(y_below, out=_shaped(spare[2], chunk.rows, below_width))
                    operand = z.to(weights[level - 1].dtype)
                    if last:
                        _multiply(operand, weights[level - 1].t(), out=y)
                elif last:
                    _first_layer(direct, direct_weight, table, neighborhoods, chunk, out=y)
                torch.addcmul(constant, y, slope, out=dy)
                dy *= repeats[chunk.row_slice, None]
                if last:
                    dy.scatter_add_(0, where[chunk.group_slice], sparse[chunk.group_slice])
                else:
                    dy.addcmul_(dense[chunk.row_slice], layer.scale)
                if level:
                    low = dy.to(operand.dtype)
                    d_weights[level - 1] += low.t() @ operand
                    dz = _multiply(low, weights[level - 1], out=_shaped(spare[1], chunk.rows, below_width))
                    g = below[chunk.row_slice]
                    torch.ops.aten.threshold_backward.grad_input(dz, z, 0, grad_input=g)
                    sum_g += g.sum(0)
                    sum_gy += torch.mul(g, y_below, out=dz).sum(0)
                else:
                    d_direct_weight.addmm_(dy.t(), direct[chunk.row_slice])
                    if d_direct is not None:
                        torch.mm(dy, direct_weight, out=d_direct[chunk.row_slice])
                    if d_table is not None:
                        d_table.index_add_(0, neighborhoods.rows[chunk.row_slice], dy)
            if not last:
                _SCRATCH.give(dense_buffer)
            if level:
                dense, dense_buffer = below, below_buffer
        _SCRATCH.give(*ctx.buffers)
        return d_direct, d_direct_weight, d_table, None, None, None, None, *d_affine, *d_weights


class _Maxima:
    """Largest entry of each neighborhood and channel after BatchNorm, and where it came from.

    BatchNorm is monotone per channel, so the extreme can be taken before its statistics are known: the largest
    entry where gamma is positive, the smallest where it is negative.
    """

    def __init__(self, like: Tensor, groups: int, norm: nn.BatchNorm1d) -> None:
        self.values = like.new_empty(groups, norm.num_features)
        self.where = torch.empty(self.values.shape, dtype=torch.int64, device=like.device)
        falling = norm.weight.detach() < 0
        self.falling = falling if bool(falling.any()) else None

    def add(self, y: Tensor, chunk: Chunk) -> None:
        """Fill in the groups of a chunk; ``where`` counts rows from the chunk's first."""
        values, where = _pool(y, chunk)
        if self.falling is not None:
            least, where_least = _pool(-y, chunk)
            values = torch.where(self.falling, -least, values)
            where = torch.where(self.falling, where_least, where)
        self.values[chunk.group_slice] = values
        self.where[chunk.group_slice] = where


def _pool(y: Tensor, chunk: Chunk) -> tuple[Tensor, Tensor]:
    # A channels-last image of height `groups` and width `size`: pooling vectorizes where max(dim) does not.
    image = y.view(1, chunk.groups, chunk.size, -1).permute(0, 3, 1, 2)
    values, where = F.max_pool2d(image, (1, chunk.size), return_indices=True)
    return values[0, :, :, 0].t(), where[0, :, :, 0].t()


def _first_layer(
    direct: Tensor,
    weight: Tensor,
    table: Tensor | None,
    neighborhoods: Neighborhoods,
    chunk: Chunk,
    out: Tensor,
) -> None:
    """The first linear layer of the chunk's rows into ``out``."""
    torch.mm(direct[chunk.row_slice], weight.t(), out=out)
    if table is not None:
        out += table.index_select(0, neighborhoods.rows[chunk.row_slice])


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """a @ b into ``out``, whose dtype may be wider."""
    return torch.mm(a, b, out=out) if a.dtype == out.dtype else out.copy_(a @ b)


def _shaped(buffer: Tensor, rows: int, width: int) -> Tensor:
    return buffer[: rows * width].view(rows, width)
