"""Random augmentation of a batch of clouds."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.model_config import ColorsSeen
from clip2.training.config import AugmentationConfig, TrainConfig


def draw_points(
    counts: torch.Tensor, num_points: int, dropout: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw points of each object, spread over its list, which must be in random order.

    Of an object's n points, ``m = (1 - r) * min(n, num_points)`` are drawn, one from each of m equal stretches of
    the list, and repeated cyclically up to ``num_points``; r is uniform in 0..``dropout``.

    Args:
        counts: (B,) int64, points per object, at least 1.
        num_points: points to draw.
        dropout: largest share of points to leave out.
        generator: on the device of ``counts``.

    Returns:
        (B, num_points) int64, each below its object's count, and m as (B,) int64.
    """
    device, batch = counts.device, len(counts)
    kept = 1 - dropout * torch.rand(batch, generator=generator, device=device)
    distinct = (counts.clamp_max(num_points) * kept).ceil().long().clamp_min(1)[:, None]
    stretch = torch.arange(num_points, device=device)[None] % distinct
    place = torch.rand(batch, num_points, generator=generator, device=device).gather(1, stretch)
    # In float64: float32 could round up to the next stretch of a long list.
    index = ((stretch + place.double()) * (counts[:, None] / distinct.double())).long()
    start = (torch.rand(batch, 1, generator=generator, device=device).double() * counts[:, None]).long()
    return (index.clamp(max=counts[:, None] - 1) + start) % counts[:, None], distinct[:, 0]


_LEAST_LEFT = 0.25  # of a cloud's points, after a cut


def cut(
    points: torch.Tensor, lengths: torch.Tensor, share: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose what a random plane leaves of some clouds: between a quarter of the points and all.

    Args:
        points: (B, N, 3), of which the first ``lengths`` are distinct.
        lengths: (B,) int64.
        share: of the clouds to cut.
        generator: on the device of ``points``.

    Returns:
        (B, N) int64 rows of the points that stay, in their order and repeated cyclically, and their number (B,).
    """
    batch, count, _ = points.shape
    device = points.device
    normal = torch.randn(batch, 1, 3, generator=generator, device=device)
    chosen = torch.rand(batch, generator=generator, device=device) < share
    left = _LEAST_LEFT + (1 - _LEAST_LEFT) * torch.rand(batch, generator=generator, device=device)
    kept = torch.where(chosen, (lengths * left).ceil().long(), lengths)
    row = torch.arange(count, device=device)
    height = (points * normal).sum(2).masked_fill(row >= lengths[:, None], torch.inf)
    rank = height.argsort(dim=1, stable=True).argsort(dim=1)
    order = (rank >= kept[:, None]).to(torch.uint8).argsort(dim=1, stable=True)
    return order.gather(1, row % kept[:, None]), kept


def rotate(points: torch.Tensor, config: AugmentationConfig, generator: torch.Generator) -> torch.Tensor:
    """Rotate each cloud of (B, N, 3) about the vertical and tilt it."""
    batch, device = len(points), points.device
    identity = torch.eye(3, device=device).expand(batch, 3, 3)
    turn = identity
    if config.rotate_z:
        angle = 2 * math.pi * torch.rand(batch, generator=generator, device=device)
        turn = _about(torch.tensor([0.0, 0.0, 1.0], device=device).expand(batch, 3), angle)
    if config.tilt_degrees:
        heading = 2 * math.pi * torch.rand(batch, generator=generator, device=device)
        lean = math.radians(config.tilt_degrees) * torch.rand(batch, generator=generator, device=device)
        axis = torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], dim=1)
        turn = _about(axis, lean) @ turn
    return points if turn is identity else points @ turn.transpose(1, 2)


def disturb(points: torch.Tensor, config: AugmentationConfig, generator: torch.Generator) -> torch.Tensor:
    """Scale, shift and jitter each normalized cloud of (B, N, 3)."""
    batch, device = len(points), points.device
    low, high = config.scale
    if low != 1 or high != 1:
        factor = low + (high - low) * torch.rand(batch, 1, 1, generator=generator, device=device)
        points = points * factor
    if config.shift:
        points = points + config.shift * (2 * torch.rand(batch, 1, 3, generator=generator, device=device) - 1)
    if config.jitter:
        noise = torch.randn(points.shape, generator=generator, device=device)
        points = points + config.jitter * noise.clamp_(-3, 3)
    return points


def rescale(radii: torch.Tensor, config: AugmentationConfig, generator: torch.Generator) -> torch.Tensor:
    """Scale the sizes (B,) in meters that the model is given, by factors from the same range as the clouds."""
    low, high = config.scale
    return radii * (low + (high - low) * torch.rand(len(radii), generator=generator, device=radii.device))


def drop_color(present: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Choose the colored samples (B,) bool that keep their color; each loses it with probability ``share``."""
    return present & (torch.rand(len(present), generator=generator, device=present.device) >= share)


# Rec. 601 luma.
_LUMA = (0.299, 0.587, 0.114)


def recolor(
    colors: torch.Tensor, share: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change the colors of some clouds: half of these get one random paint with their shading, half rotated hues.

    Args:
        colors: (B, N, 3) RGB in 0..1.
        share: of the clouds to change.
        generator: on the device of ``colors``.

    Returns:
        (B, N, 3) colors, and a (B,) bool mask of the changed clouds.
    """
    batch, device = len(colors), colors.device
    draws = torch.rand(batch, 6, generator=generator, device=device)
    changed, painted = draws[:, 0] < share, draws[:, 1] < 0.5
    luma = (colors * torch.tensor(_LUMA, device=device)).sum(dim=2, keepdim=True)
    coat = luma / luma.mean(dim=1, keepdim=True).clamp_min(0.05) * draws[:, None, 2:5]
    chroma = colors - luma
    angle = 2 * math.pi * draws[:, None, 5:]
    # Rodrigues' formula about the gray axis: hues rotate, grays stay.
    cross = (chroma.roll(-1, dims=2) - chroma.roll(1, dims=2)) / math.sqrt(3)
    turned = luma + chroma * angle.cos() + cross * angle.sin()
    turned = turned + chroma.mean(dim=2, keepdim=True) * (1 - angle.cos())
    other = torch.where(painted[:, None, None], coat, turned).clamp(0, 1)
    return torch.where(changed[:, None, None], other, colors), changed


def colors_seen(has_color: NDArray[np.bool_], config: TrainConfig) -> ColorsSeen:
    """States of color that a run shows to the network; it cannot be used with a state that it never saw.

    Args:
        has_color: (n,) of the training objects.
        config: ``color_drop`` shows colored objects without their color too; at 1, all of them.
    """
    drop = config.augmentation.color_drop
    if not config.model.preprocessing.color or drop == 1 or not has_color.any():
        return "absent"
    return "both" if drop > 0 or not has_color.all() else "present"


def _about(axis: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) rotations by ``angle`` (B,) about unit ``axis`` (B, 3): Rodrigues' formula."""
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, device=axis.device) + sine * cross + (1 - cosine) * (cross @ cross)
