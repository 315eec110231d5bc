"""The training step of a shared MLP over neighbourhoods, as one differentiable operation.

Same function and gradients as gather → [Linear → BatchNorm → ReLU]* → max written with ordinary layers. What differs
is memory: rows are worked through in chunks that stay in the processor's cache, the normalised activations are never
stored, and the widest layer is not stored at all. Derivation of the backward pass, per layer with rows r, weights
w_r of sum M, statistics μ and σ, and x̂ = (y - μ) / σ, given the gradient g after the affine part:

    dβ = Σ g_r,   dγ = Σ g_r x̂_r,   dy_r = γ/σ · (g_r - w_r / M · (dβ + x̂_r dγ))

After the maximum g has one entry per neighbourhood and channel, before it dy is g's scatter plus an affine map of y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.neighbourhoods import Neighbourhoods

_CHUNK = (
    1 << 19
)  # elements of the widest layer worked on at a time: 2 MB of float32, a core's second-level cache


def shared_mlp_max(
    table: Tensor,
    shift: Tensor | None,
    hoods: Neighbourhoods,
    norms: Sequence[nn.BatchNorm1d],
    weights: Sequence[Tensor],
) -> Tensor:
    """Maximum over each neighbourhood of the shared MLP, BatchNorm in training mode.

    Args:
        table: (P, C1) first linear layer applied to every point.
        shift: (G, C1) subtracted from the members of each neighbourhood, or None.
        hoods: G neighbourhoods over the rows of ``table``.
        norms: one per layer; their running statistics are updated.
        weights: (C_l, C_{l-1}) of layers 2, 3, …

    Returns:
        (G, C_L), differentiable once in ``table``, ``shift``, ``weights`` and the affine parameters of ``norms``.
    """
    affine = [parameter for norm in norms for parameter in (norm.weight, norm.bias)]
    return _SharedMLPMax.apply(table, shift, hoods, norms, *affine, *weights)


class _SharedMLPMax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        shift: Tensor | None,
        hoods: Neighbourhoods,
        norms: Sequence[nn.BatchNorm1d],
        *parameters: Tensor,
    ) -> Tensor:
        depth = len(norms)
        gammas, betas = parameters[0 : 2 * depth : 2], parameters[1 : 2 * depth : 2]
        weights = parameters[2 * depth :]
        widths = [len(gamma) for gamma in gammas]
        rows = len(hoods.rows)
        repeats = table.new_ones(rows) if hoods.weight is None else hoods.weight.to(table.dtype)
        chunks = list(_chunks(hoods, max(widths), table.device))
        longest = max(chunk.rows for chunk in chunks)
        buffers = [_SCRATCH.take(rows * width, table) for width in widths[:-1]]
        stored = [_shaped(buffer, rows, width) for buffer, width in zip(buffers, widths, strict=False)]
        normal = table.new_empty(longest * max(widths))
        scratch = table.new_empty(longest * max(widths))
        last = table.new_empty(longest * widths[-1])

        layers: list[_Layer] = []
        largest = table.new_empty(len(hoods.groups), widths[-1])
        smallest = torch.empty_like(largest) if bool((gammas[-1] < 0).any()) else None
        where = torch.empty(largest.shape, dtype=torch.int64, device=table.device)
        for level, norm in enumerate(norms):
            width = widths[level]
            sums = _Sums(width, repeats)
            for chunk in chunks:
                if level < depth - 1:
                    y = stored[level][chunk.row : chunk.row + chunk.rows]
                else:
                    y = _shaped(last, chunk.rows, width)
                if level == 0:
                    _gather(table, shift, hoods, chunk, out=y)
                else:
                    z = _shaped(normal, chunk.rows, widths[level - 1])
                    layers[-1].activate(stored[level - 1][chunk.row : chunk.row + chunk.rows], out=z)
                    torch.mm(z, weights[level - 1].t(), out=y)
                sums.add(y, chunk, scratch)
                if level == depth - 1:
                    _pool(y, chunk, gammas[-1], largest, smallest, where)
            layers.append(sums.layer(norm, gammas[level], betas[level], hoods.total))
        extreme = largest if smallest is None else torch.where(gammas[-1] < 0, smallest, largest)
        out = layers[-1].activate(extreme, out=torch.empty_like(extreme))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(table, shift, out, extreme, where, repeats, *parameters)
            ctx.hoods, ctx.layers, ctx.chunks = hoods, layers, chunks
            ctx.buffers, ctx.stored = buffers, stored
        else:
            _SCRATCH.give(*buffers)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.stored is None:
            raise RuntimeError("this operation's backward pass can run once per forward pass")
        table, shift, out, extreme, where, repeats, *parameters = ctx.saved_tensors
        hoods, layers, chunks, stored = ctx.hoods, ctx.layers, ctx.chunks, ctx.stored
        ctx.stored = None  # the buffers go back to the pool below
        depth = len(layers)
        weights = parameters[2 * depth :]
        widths = [len(layer.mean) for layer in layers]
        longest = max(chunk.rows for chunk in chunks)
        normal = table.new_empty(longest * max(widths))
        wide = table.new_empty(longest * max(widths))
        scratch = table.new_empty(longest * max(widths))
        d_affine: list[Tensor] = [table] * (2 * depth)
        d_weights = [torch.zeros_like(weight) for weight in weights]
        d_table = torch.zeros_like(table)
        d_shift = table.new_empty(len(hoods.groups), widths[0]) if shift is not None else None

        top = layers[-1]
        sparse = torch.where(out > 0, grad, 0.0)
        sums = (sparse.sum(0), (sparse * extreme).sum(0))
        sparse *= top.scale
        dense: Tensor | None = None  # gradient after the affine part of the level's BatchNorm, all rows
        buffer = None
        for level in reversed(range(depth)):
            layer, width = layers[level], widths[level]
            d_beta, d_gamma, constant, slope = layer.backward(*sums, hoods.total)
            d_affine[2 * level], d_affine[2 * level + 1] = d_gamma, d_beta
            below_buffer = below = None
            if level:
                below_buffer = _SCRATCH.take(len(hoods.rows) * widths[level - 1], table)
                below = _shaped(below_buffer, len(hoods.rows), widths[level - 1])
            total, product = table.new_zeros(2, widths[level - 1])
            for chunk in chunks:
                part = slice(chunk.row, chunk.row + chunk.rows)
                groups = slice(chunk.group, chunk.group + chunk.groups)
                dy = _shaped(wide, chunk.rows, width)
                if level:
                    z = _shaped(normal, chunk.rows, widths[level - 1])
                    layers[level - 1].activate(stored[level - 1][part], out=z)
                if level == depth - 1 and level:  # the widest layer was not stored
                    y = torch.mm(z, weights[level - 1].t(), out=_shaped(scratch, chunk.rows, width))
                    torch.addcmul(constant - slope * layer.pivot, y, slope, out=dy)
                elif level == depth - 1:
                    y = _gather(table, shift, hoods, chunk, out=_shaped(scratch, chunk.rows, width))
                    torch.addcmul(constant - slope * layer.pivot, y, slope, out=dy)
                else:
                    torch.addcmul(constant, stored[level][part], slope, out=dy)
                dy *= repeats[part, None]
                if dense is None:
                    dy.scatter_add_(0, where[groups], sparse[groups])
                else:
                    dy.addcmul_(dense[part], layer.scale)
                if level and below is not None:
                    d_weights[level - 1].addmm_(dy.t(), z)
                    dz = torch.mm(dy, weights[level - 1], out=_shaped(scratch, chunk.rows, widths[level - 1]))
                    g = below[part]
                    torch.ops.aten.threshold_backward.grad_input(dz, z, 0, grad_input=g)
                    total += g.sum(0)
                    product += torch.mul(g, stored[level - 1][part], out=dz).sum(0)
                else:
                    d_table.index_add_(0, hoods.rows[part], dy)
                    if d_shift is not None:
                        torch.sum(dy.view(chunk.groups, chunk.size, width), 1, out=d_shift[groups])
            if buffer is not None:
                _SCRATCH.give(buffer)
            buffer, dense, sums = below_buffer, below, (total, product)
        _SCRATCH.give(*ctx.buffers)
        return d_table, None if d_shift is None else d_shift.neg_(), None, None, *d_affine, *d_weights


@dataclass(frozen=True)
class _Chunk:
    """Neighbourhoods of one size: where their rows and groups start and how many there are."""

    row: int
    rows: int
    group: int
    groups: int
    size: int


def _chunks(hoods: Neighbourhoods, width: int, device: torch.device) -> Iterator[_Chunk]:
    row = group = 0
    for count, size in hoods.blocks:
        step = max(1, _CHUNK // (size * width)) if device.type == "cpu" else count
        for first in range(0, count, step):
            groups = min(step, count - first)
            yield _Chunk(row, groups * size, group, groups, size)
            row += groups * size
            group += groups


def _gather(table: Tensor, shift: Tensor | None, hoods: Neighbourhoods, chunk: _Chunk, out: Tensor) -> Tensor:
    """First layer of the chunk's rows: the point's row of ``table`` minus its centre's row of ``shift``."""
    torch.index_select(table, 0, hoods.rows[chunk.row : chunk.row + chunk.rows], out=out)
    if shift is not None:
        by_group = out.view(chunk.groups, chunk.size, -1)
        by_group -= shift[chunk.group : chunk.group + chunk.groups, None]
    return out


def _shaped(buffer: Tensor, rows: int, width: int) -> Tensor:
    return buffer[: rows * width].view(rows, width)


def _pool(
    y: Tensor,
    chunk: _Chunk,
    gamma: Tensor,
    largest: Tensor,
    smallest: Tensor | None,
    where: Tensor,
) -> None:
    """Maximum of each neighbourhood and the row of the chunk that holds it; minimum where gamma is negative."""
    groups = slice(chunk.group, chunk.group + chunk.groups)
    # A channels-last image of height `groups` and width `size`: pooling vectorises where max(dim) does not.
    image = y.view(1, chunk.groups, chunk.size, -1).permute(0, 3, 1, 2)
    values, rows = F.max_pool2d(image, (1, chunk.size), return_indices=True)
    largest[groups] = values[0, :, :, 0].t()
    where[groups] = rows[0, :, :, 0].t()
    if smallest is not None:
        values, rows = F.max_pool2d(-image, (1, chunk.size), return_indices=True)
        smallest[groups] = -values[0, :, :, 0].t()
        where[groups] = torch.where(gamma < 0, rows[0, :, :, 0].t(), where[groups])


class _Sums:
    """Weighted mean and variance of rows that come in chunks."""

    def __init__(self, width: int, repeats: Tensor) -> None:
        self.repeats = repeats
        self.pivot: Tensor | None = None
        self.first, self.second = repeats.new_zeros(2, width, dtype=torch.float64)

    def add(self, y: Tensor, chunk: _Chunk, scratch: Tensor) -> None:
        """Shift ``y`` in place by a pivot near its mean, so that squares lose no digits, and add it up."""
        if self.pivot is None:
            self.pivot = y.mean(0)
        y -= self.pivot
        repeats = self.repeats[chunk.row : chunk.row + chunk.rows]
        self.first += repeats @ y
        self.second += repeats @ torch.mul(y, y, out=_shaped(scratch, *y.shape))

    def layer(self, norm: nn.BatchNorm1d, gamma: Tensor, beta: Tensor, total: int) -> _Layer:
        """The affine map that normalises these rows; also moves the running statistics of ``norm``."""
        assert self.pivot is not None
        mean = self.first / total
        variance = (self.second / total - mean.square()).clamp_(min=0)
        mean, variance = mean.to(gamma.dtype), variance.to(gamma.dtype)
        if norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None:
            norm.running_mean.lerp_(mean + self.pivot, norm.momentum)
            norm.running_var.lerp_(variance * (total / max(total - 1, 1)), norm.momentum)
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked += 1
        inverse = torch.rsqrt(variance + norm.eps)
        scale = gamma * inverse
        return _Layer(self.pivot, mean, inverse, scale, beta - mean * scale)


@dataclass(frozen=True)
class _Layer:
    """BatchNorm of rows that are stored minus ``pivot``; ``mean`` is that of the stored rows. All (C,)."""

    pivot: Tensor
    mean: Tensor
    inverse: Tensor
    scale: Tensor
    offset: Tensor

    def activate(self, y: Tensor, out: Tensor) -> Tensor:
        """ReLU(BatchNorm(y)) for stored rows y."""
        return torch.addcmul(self.offset, y, self.scale, out=out).relu_()

    def backward(self, total: Tensor, product: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From Σ g and Σ g y: dβ, dγ, and constant, slope such that dy_r = scale g_r + w_r (constant + slope y_r)."""
        d_gamma = (product - self.mean * total) * self.inverse
        slope = -self.scale * self.inverse * d_gamma / rows
        constant = -self.scale * total / rows - slope * self.mean
        return total, d_gamma, constant, slope


class _Scratch:
    """Large CPU buffers kept between steps: fresh ones cost a page fault per 4 KB, more than the arithmetic."""

    _KEPT = 8

    def __init__(self) -> None:
        self._free: list[Tensor] = []
        self._lock = Lock()

    def take(self, elements: int, like: Tensor) -> Tensor:
        """A flat buffer of at least so many elements, of the type and device of ``like``; contents arbitrary."""
        if like.device.type != "cpu":
            return like.new_empty(elements)
        with self._lock:
            for place, buffer in enumerate(self._free):
                if buffer.dtype == like.dtype and buffer.numel() >= elements:
                    return self._free.pop(place)
        # Batches differ a little in size; a quarter to spare lets one buffer serve them all.
        return like.new_empty(elements + elements // 4)

    def give(self, *buffers: Tensor) -> None:
        """Hand buffers back; nobody may use them any more."""
        with self._lock:
            self._free.extend(buffer for buffer in buffers if buffer.device.type == "cpu")
            self._free.sort(key=Tensor.numel)  # so that `take` finds the smallest that fits
            del self._free[: -self._KEPT]


_SCRATCH = _Scratch()
