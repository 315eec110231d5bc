"""Cached-gradient accumulation: the exact contrastive gradient of a batch that does not fit in memory at once.

A contrastive loss couples all objects of a batch, so that the gradients of smaller batches do not add up to its own.
The embeddings of all parts are computed first, without a graph; the loss is differentiated with respect to them; then
each part is computed again and its share of the gradient is sent through the network (Gao et al., "Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021). Memory is that of one part, time is that
of one more forward pass. BatchNorm normalizes each part by its own statistics, as on several devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from clip2.objectives import ContrastiveObjective, Embeddings, Losses, Targets
from clip2.preprocessing import PreparedClouds

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricModule


def backward_in_parts(
    fabric: Fabric,
    network: _FabricModule,
    objective: ContrastiveObjective,
    clouds: PreparedClouds,
    targets: Targets,
    size: int,
    seed: int,
) -> Losses:
    """Add the gradient of the loss of a batch to the parameters, holding the graph of ``size`` objects at a time.

    Args:
        fabric: that set up ``network``.
        network: the model; its output is :class:`~clip2.objectives.Embeddings`.
        objective: of the whole batch.
        clouds: B objects of this rank.
        targets: of the same B objects.
        size: objects at once, at least 1.
        seed: makes both passes draw the same random numbers (dropout).

    Returns:
        The losses of the whole batch, without their graph.
    """
    parts = list(_parts(clouds, size))
    with torch.no_grad():
        embedded = [_forward(network, part, seed + i) for i, part in enumerate(parts)]
    points = torch.cat([part.points for part in embedded]).requires_grad_()
    scales = [scale.detach().requires_grad_() for scale in embedded[-1][1:]]
    losses = objective(Embeddings(points, *scales), targets)
    fabric.backward(losses.total)
    assert points.grad is not None
    place = 0
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        # The ranks exchange gradients once, with the last part.
        with fabric.no_backward_sync(network, enabled=not last and fabric.world_size > 1):
            again = _forward(network, part, seed + i)
            share = (again.points * points.grad[place : place + len(again.points)]).sum()
            for scale, known in zip(again[1:], scales, strict=True):
                share = share + (scale * known.grad if last and known.grad is not None else 0 * scale)
            fabric.backward(share)
        place += len(again.points)
    return losses.detach()


def _forward(network: _FabricModule, part: PreparedClouds, seed: int) -> Embeddings:
    torch.manual_seed(seed)
    embedded: Embeddings = network(part)
    return embedded


def _parts(clouds: PreparedClouds, size: int) -> Iterator[PreparedClouds]:
    for start in range(0, len(clouds.points), size):
        rows = slice(start, start + size)
        points, lengths, *others = clouds
        yield PreparedClouds(
            points[rows], lengths[rows], *(None if field is None else field[rows] for field in others)
        )
