"""BatchNorm in training mode over weighted rows, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clip2.encoders.neighborhoods import Chunk


class RowSums:
    """Adds up weighted first and second moments, chunk by chunk.

    Args:
        width: channels.
        repeats: (R,) how often each row counts.
    """

    def __init__(self, width: int, repeats: Tensor) -> None:
        self.repeats = repeats
        self.pivot: Tensor | None = None
        self.first, self.second = repeats.new_zeros(2, width, dtype=torch.float64)

    def add(self, y: Tensor, chunk: Chunk, scratch: Tensor) -> None:
        """Shift ``y`` (rows, C) in place by a pivot near its mean, so that squares lose no digits, and add it up."""
        if self.pivot is None:
            self.pivot = y.mean(0)
        y -= self.pivot
        repeats = self.repeats[chunk.row_slice]
        self.first += repeats @ y
        self.second += repeats @ torch.mul(y, y, out=scratch[: y.numel()].view(y.shape))

    def normalize(self, norm: nn.BatchNorm1d, total: int) -> BatchAffine:
        """The map that ``norm`` applies to these rows in training; moves its running statistics."""
        assert self.pivot is not None
        gamma, beta = norm.weight.detach(), norm.bias.detach()
        mean = self.first / total
        variance = (self.second / total - mean.square()).clamp_(min=0)
        mean, variance = mean.to(gamma.dtype), variance.to(gamma.dtype)
        _track(norm, mean + self.pivot, variance * (total / max(total - 1, 1)))
        inverse = torch.rsqrt(variance + norm.eps)
        scale = gamma * inverse
        return BatchAffine(self.pivot, mean, inverse, scale, beta - mean * scale, total)


@dataclass(frozen=True)
class BatchAffine:
    """BatchNorm of rows that are stored minus ``pivot``; all tensors (C,).

    Attributes:
        pivot: subtracted from the rows before they were stored.
        mean: of the stored rows.
        inverse: 1 / standard deviation.
        scale: gamma * inverse.
        offset: so that the normalized row is ``scale * y + offset``.
        total: sum of the rows' weights.
    """

    pivot: Tensor
    mean: Tensor
    inverse: Tensor
    scale: Tensor
    offset: Tensor
    total: int

    def normalize(self, y: Tensor, out: Tensor) -> Tensor:
        """BatchNorm(y) for stored rows y, written to ``out``."""
        return torch.addcmul(self.offset, y, self.scale, out=out)

    def activate(self, y: Tensor, out: Tensor) -> Tensor:
        """ReLU(BatchNorm(y)) for stored rows y, written to ``out``."""
        return self.normalize(y, out).relu_()

    def backward(self, sum_g: Tensor, sum_gy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From Σ g and Σ g y over all rows: dγ, and (constant, slope) with dy = scale g + weight (constant + slope y)."""
        d_gamma = (sum_gy - self.mean * sum_g) * self.inverse
        slope = -self.scale * self.inverse * d_gamma / self.total
        constant = -self.scale * sum_g / self.total - slope * self.mean
        return d_gamma, constant, slope


def _track(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    running_mean, running_var = running_statistics(norm)
    tracked = norm.get_buffer("num_batches_tracked").add_(1)
    momentum = (
        1 / float(tracked) if norm.momentum is None else norm.momentum
    )  # None: the mean over all batches
    running_mean.lerp_(mean, momentum)
    running_var.lerp_(variance, momentum)


def running_statistics(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """The running mean and variance (C,) of ``norm``."""
    return norm.get_buffer("running_mean"), norm.get_buffer("running_var")
