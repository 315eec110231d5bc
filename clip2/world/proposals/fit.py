"""Fit of a :class:`~clip2.recognition.proposals.scorer.Scorer` to examples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit
from torch import nn

from clip2.recognition.proposals.scorer import Scorer

_BATCH, _RATE, _DECAY = 512, 3e-3, 1e-3


def fit_scorer(
    features: Sequence[str],
    rows: NDArray,
    targets: NDArray,
    weights: NDArray | None = None,
    hidden: Sequence[int] = (32, 32),
    epochs: int = 30,
    seed: int = 0,
) -> Scorer:
    """Train on a CPU; binary cross-entropy, so that outputs are calibrated probabilities.

    Args:
        features: F names.
        rows: (n, F) finite.
        targets: (n,) or (n, outputs) in 0..1; soft targets are allowed.
        weights: (n,) of the rows, or None.
        hidden: widths of the hidden layers.
        epochs: passes over the rows; the learning rate falls to 0 along a cosine.
        seed: of initialization and order.
    """
    center, spread = np.median(rows, axis=0), rows.std(axis=0)
    scale = 1 / np.where(spread > 1e-6, spread, 1.0)
    x = torch.from_numpy(np.clip((rows - center) * scale, -5, 5).astype(np.float32))
    y = torch.from_numpy(np.asarray(targets, np.float32).reshape(len(rows), -1))
    w = torch.ones(len(x), 1) if weights is None else torch.from_numpy(np.float32(weights)).reshape(-1, 1)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        sizes = [x.shape[1], *hidden, y.shape[1]]
        linear = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        parts: list[nn.Module] = []
        for layer in linear:
            parts += [layer, nn.ReLU()]
        net = nn.Sequential(*parts[:-1])
        optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        steps = epochs * -(-len(x) // _BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(_BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(net(x[batch]), y[batch], w[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    layers = tuple((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in linear)
    return Scorer(tuple(features), np.float32(center), np.float32(scale), layers)


def calibrated(scorer: Scorer, said: NDArray, true: NDArray[np.bool_]) -> Scorer:
    """The scorer with its first output fitted to what turned out to be true (Platt scaling, folded into the last layer).

    The best of many candidates is right less often than it looks, so the fit needs chosen candidates of scans that the
    scorer was not trained on. The order of the outputs stays the same.

    Args:
        scorer: to correct.
        said: (n,) its first output for the chosen candidates.
        true: (n,) whether each was an object.
    """
    score = logit(np.clip(np.asarray(said, np.float64), 1e-4, 1 - 1e-4))
    sign = np.where(true, -1.0, 1.0)
    slope, shift = minimize(
        lambda fit: np.logaddexp(0, sign * (fit[0] * score + fit[1])).mean(), (1.0, 0.0), method="Nelder-Mead"
    ).x
    weight, bias = (array.copy() for array in scorer.layers[-1])
    weight[0], bias[0] = weight[0] * slope, bias[0] * slope + shift
    return replace(scorer, layers=(*scorer.layers[:-1], (weight, bias)))
