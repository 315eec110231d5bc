"""Statistics of batch normalization that fit averaged weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from clip2.preprocessing import PreparedClouds


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer keeps running statistics."""
    return any(True for _ in _norms(model))


@torch.no_grad()
def settle_statistics(model: nn.Module, batches: Iterable[PreparedClouds]) -> None:
    """Replace running statistics by the plain mean over some batches.

    The average of the weights is a network of its own: statistics gathered while the weights were moving are not
    its statistics, least of all early on (Izmailov et al., Averaging Weights Leads to Wider Optima, UAI 2018).

    Args:
        model: left in eval mode.
        batches: inputs as in training, the more the closer to the statistics of the whole set.
    """
    norms = list(_norms(model))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    model.train()
    try:
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # makes the running mean the mean of all so far
            model(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


def _norms(model: nn.Module) -> Iterable[nn.modules.batchnorm._BatchNorm]:
    return (layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
