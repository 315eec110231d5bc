"""Outlier-exposure head: a small classifier of training objects against outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

_HIDDEN, _DROPOUT = 256, 0.2
_EPOCHS, _BATCH, _RATE, _DECAY = 30, 256, 1e-3, 1e-2
# Directions of almost no variance are not scaled up to the size of the others.
_THINNEST = 1e-3


@dataclass(frozen=True, eq=False)
class OutlierExposureHead:
    """Two layers over an encoder's features, trained on examples of both sides (Hendrycks et al. 2019, "Deep anomaly
    detection with outlier exposure", arXiv 1812.04606).

    Attributes:
        center, scale: (W,) float32 mean and inverse standard deviation of the features.
        hidden_weight: (H, W) float16; hidden_bias: (H,) float32.
        out_weight: (H,) float32; out_bias: (1,) float32.
    """

    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden_weight: NDArray[np.float16]
    hidden_bias: NDArray[np.float32]
    out_weight: NDArray[np.float32]
    out_bias: NDArray[np.float32]

    @classmethod
    def fit(
        cls, features: NDArray[np.floating], outliers: Sequence[NDArray[np.floating]], seed: int = 0
    ) -> OutlierExposureHead:
        """Train the head on a CPU; takes seconds.

        Args:
            features: (n, W) finite, of training objects.
            outliers: (s, W) finite per source of outliers. Sources have equal weight, whatever their size.
            seed: seed of initialization and batch order.
        """
        rows = np.concatenate([features, *outliers]).astype(np.float32)
        target = np.zeros(len(rows), np.float32)
        target[: len(features)] = 1
        weight = np.concatenate(
            [
                np.full(len(features), 0.5 / len(features)),
                *(np.full(len(s), 0.5 / len(s) / len(outliers)) for s in outliers),
            ]
        )
        center, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = 1 / np.maximum(spread, max(_THINNEST * float(spread.mean()), np.finfo(np.float32).tiny))
        first, last = _train((rows - center) * scale, target, weight * len(rows), seed)
        return cls(
            center=center,
            scale=scale.astype(np.float32),
            hidden_weight=first.weight.detach().numpy().astype(np.float16),
            hidden_bias=first.bias.detach().numpy(),
            out_weight=last.weight.detach().numpy()[0],
            out_bias=last.bias.detach().numpy(),
        )

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B,) outlier logit of (B, W) features; larger means less like the training objects."""
        hidden = (features - self.center) * self.scale @ self.hidden_weight.astype(np.float32).T
        logit: NDArray[np.float32] = -(
            np.maximum(hidden + self.hidden_bias, 0) @ self.out_weight + self.out_bias
        )
        return logit

    def tensors(self) -> dict[str, NDArray]:
        """Name → array, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def shapes(width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Name → shape of :meth:`tensors` for W = ``width`` features and H = ``hidden`` units."""
        return {
            "center": (width,),
            "scale": (width,),
            "hidden_weight": (hidden, width),
            "hidden_bias": (hidden,),
            "out_weight": (hidden,),
            "out_bias": (1,),
        }


def _train(rows: NDArray, target: NDArray, weight: NDArray, seed: int) -> tuple[nn.Linear, nn.Linear]:
    import torch  # a robot only asks a head that was trained elsewhere
    from torch import nn

    inputs, targets, weights = (torch.from_numpy(np.asarray(a, np.float32)) for a in (rows, target, weight))
    # The caller's random state must not change.
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(rows.shape[1], _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1)
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        for _ in range(_EPOCHS):
            for batch in torch.randperm(len(inputs)).split(_BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    net(inputs[batch])[:, 0], targets[batch], weight=weights[batch]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    first, last = net[0], net[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last
