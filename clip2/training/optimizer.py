"""AdamW parameter groups, learning rate schedule and weight average."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import update_bn

from clip2.model import Clip2Model
from clip2.preprocessing import PreparedClouds
from clip2.training.config import OptimizerConfig
from clip2.training.sharding import copy_whole, whole


def create_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with weight decay for matrices only: not norms, biases, temperatures or the color-absent state."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    # Sharded and whole tensors cannot be updated in one call.
    sharded = any(isinstance(parameter, DTensor) for parameter in parameters)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, foreach=False if sharded else None)


def learning_rate(step: int, total: int, config: OptimizerConfig) -> float:
    """Learning rate of a step, counted from 0: linear warm-up, then half a cosine to ``final_lr``.

    >>> config = OptimizerConfig(lr=1.0, warmup=0.5, final_lr=0.0)
    >>> [round(learning_rate(step, 8, config), 3) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    warmup = round(config.warmup * total)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    low = config.lr * config.final_lr
    return low + (config.lr - low) * (1 + math.cos(math.pi * progress)) / 2


class WeightAverage:
    """Exponential moving average of the weights.

    The decay grows as (1 + t) / (10 + t) up to its final value, so that the first steps do not dominate short runs.

    ``torch.optim.swa_utils.AveragedModel`` is not used: it overwrites the average with the weights of the first step,
    and copies BatchNorm statistics at every step, which would change the weights and states of existing runs.

    Args:
        model: initial weights.
        decay: final decay per step; 0: the average is the latest weights.
    """

    def __init__(self, model: Clip2Model, decay: float) -> None:
        self.decay = decay
        self.model: Clip2Model = copy.deepcopy(model)
        self.model.eval().requires_grad_(False)
        self._parts: list[torch.Tensor] | None = None

    def follow(self, model: nn.Module) -> None:
        """Keep the average of a model that was sharded since, with the same initial weights, sharded alike."""
        if any(isinstance(parameter, DTensor) for parameter in model.parameters()):
            self._parts = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def collect(self) -> None:
        """Bring ``model`` up to date if the average is sharded; all ranks must call it."""
        for average, part in zip(self.model.parameters(), self._parts or (), strict=False):
            average.copy_(whole(part))

    def distribute(self) -> None:
        """Take the average from ``model``, which was loaded on all ranks."""
        for average, part in zip(self.model.parameters(), self._parts or (), strict=False):
            copy_whole(part, average)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards ``model`` after the optimizer's step number ``step``, counted from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0
        for average, current in zip(self._parts or self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(current, weight)

    def update_statistics(self, batches: Iterable[PreparedClouds]) -> None:
        """Set the BatchNorm statistics to their mean over some batches.

        Statistics gathered while the weights moved do not fit the averaged weights, least of all early on (Izmailov
        et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018).

        Args:
            batches: training inputs; not read if no layer keeps statistics.
        """
        update_bn(([batch] for batch in batches), self.model)
