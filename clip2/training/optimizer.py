"""AdamW's groups, the learning rate of each step, and the running average of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from clip2.model import Clip2Model
from clip2.training.config import OptimizerConfig


def create_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only: norms, biases, temperatures and the color-absent state are left alone."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)


def learning_rate(step: int, total: int, config: OptimizerConfig) -> float:
    """Rate of a step, counted from 0: linear warm-up, then half a cosine to ``final_lr``.

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

    Normalization statistics are not averaged: :mod:`clip2.training.normalization` makes those that belong to the
    averaged weights. The decay grows as (1 + t) / (10 + t) up to its final value, so that short runs are not held back by
    their first steps.
    """

    def __init__(self, model: Clip2Model, decay: float) -> None:
        self.decay = decay
        self.model: Clip2Model = copy.deepcopy(model)
        self.model.eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards ``model`` after the optimizer's step number ``step``, counted from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0
        for average, current in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(current, weight)
