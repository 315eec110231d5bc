"""Connected components of radius graphs, at one radius or at several nested ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import clip2.ops.registry as registry
from data_prep.geometry.cluster import connected_components

_BLOCK = 1 << 22  # pairs of points compared at a time


def radius_components(points: Tensor, radii: Tensor) -> Tensor:
    """Label the connected components of the graphs that join points no further apart than a radius.

    Two points are joined when balls of half their radius, drawn around them, touch: ``|a - b| <= (r_a + r_b) / 2``; with
    one radius for all this is DBSCAN with ``min_points=1``. Compared in float64, exact. Given several levels of radii,
    components of a larger radius hold those of a smaller one, and all together cost little more than the largest.

    Args:
        points: (N, 3) floating, finite, in any unit. No gradient flows.
        radii: (L,) or (L, N) in the unit of the points, positive; no level below the one before it.

    Returns:
        (L, N) int64 labels 0..K-1 on the points' device, numbered at every level by the first point of each component.

    Raises:
        ValueError: shapes do not agree, a value is not finite, or radii are not positive and ascending.

    >>> radius_components(torch.tensor([[0.0, 0, 0], [9, 0, 0], [0.5, 0, 0]]), torch.tensor([1.0, 10.0])).tolist()
    [[0, 1, 0], [0, 0, 0]]
    """
    points = points.detach().double().contiguous()
    radii = radii.detach().to(points)
    if points.ndim != 2 or points.shape[1] != 3 or not points.isfinite().all():
        raise ValueError(f"points must be finite and (N, 3), not {tuple(points.shape)}")
    if radii.ndim == 1:
        radii = radii[:, None].expand(-1, len(points))
    if radii.ndim != 2 or radii.shape[1] != len(points):
        raise ValueError(f"radii must be (L,) or (L, {len(points)}), not {tuple(radii.shape)}")
    if not radii.isfinite().all() or (radii <= 0).any() or (radii[1:] < radii[:-1]).any():
        raise ValueError("radii must be finite, positive, and no level may be below the one before it")
    if radii.numel() == 0:
        return torch.empty(radii.shape, dtype=torch.int64, device=points.device)
    return registry.kernel("radius_components", points.device)(points, radii)


@registry.implements("radius_components", "torch")
def _spread_labels(points: Tensor, radii: Tensor) -> Tensor:
    """Oracle, simple and quadratic: every point takes the lowest label within reach until nothing changes."""
    label = torch.arange(len(points), device=points.device)
    rows = max(1, _BLOCK // len(points))
    levels = []
    for radius in radii:
        while True:
            lowest = torch.cat(
                [
                    _lowest_met(points, radius, label, slice(start, start + rows))
                    for start in range(0, len(points), rows)
                ]
            )
            lowest = lowest[lowest]  # and the label that one has
            if torch.equal(lowest, label):
                break
            label = lowest
        levels.append(torch.unique(label, return_inverse=True)[1])
    return torch.stack(levels)


def _lowest_met(points: Tensor, radius: Tensor, label: Tensor, part: slice) -> Tensor:
    difference = points[part, None] - points
    squared = difference[..., 0] ** 2 + difference[..., 1] ** 2 + difference[..., 2] ** 2
    reach = (radius[part, None] + radius) / 2
    return torch.where(squared <= reach * reach, label, len(points)).amin(1)


@registry.implements("radius_components", "numpy")
def _grid(points: Tensor, radii: Tensor) -> Tensor:
    """Grid and k-d trees, see :func:`data_prep.geometry.cluster.connected_components`."""
    host, levels = points.cpu().numpy(), np.empty(radii.shape, np.int64)
    for level, radius in enumerate(radii.cpu().numpy()):
        levels[level] = connected_components(host, radius, levels[level - 1] if level else None)
    return torch.from_numpy(levels).to(points.device)
