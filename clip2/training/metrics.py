"""Metrics of a run: mean losses between two log lines, and zero-shot accuracy on held-out objects."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluation import best_ranks
from clip2.model import Clip2Model
from clip2.objectives import Losses
from clip2.training.dataset import TrainingSet


class Meters:
    """Means over steps. Sums stay on the device, so that no step waits for a number."""

    def __init__(self) -> None:
        self.steps = 0
        self.data_seconds = self.seconds = 0.0
        self._sums: dict[str, tuple[torch.Tensor, int]] = {}

    def add(self, losses: Losses, data_seconds: float, seconds: float) -> None:
        """Add one step's losses, and its seconds for data and in total."""
        self.steps += 1
        self.data_seconds += data_seconds
        self.seconds += seconds
        names = ("loss", "text_loss", "image_loss", "points_loss")
        for name, value in zip(names, losses, strict=True):
            if value is not None:
                so_far, count = self._sums.get(name, (torch.zeros_like(value), 0))
                self._sums[name] = so_far + value, count + 1

    def compute(self, batch_size: int) -> dict[str, float]:
        """Mean losses, objects per second, and the share of the time spent on data."""
        means = {f"train/{name}": float(total) / count for name, (total, count) in self._sums.items()}
        return means | {
            "train/objects_per_second": batch_size * self.steps / self.seconds,
            "train/data_share": self.data_seconds / self.seconds,
        }


def zero_shot(
    model: Clip2Model, data: TrainingSet, objects: NDArray[np.int64], batch_size: int = 128
) -> dict[str, float]:
    """Zero-shot accuracy among all texts of a training set; any of an object's own texts counts as correct.

    Args:
        model: trained against the set's teacher.
        data: the set.
        objects: (m,) rows to name, m > 0, each with a text.
        batch_size: clouds per forward pass.

    Returns:
        ``top1`` and ``top5`` over objects; ``top1_class_mean``, the mean top-1 over first texts.
    """
    ranks = np.zeros(len(objects), np.int64)
    texts = np.arange(len(data.text_vectors))
    for start in range(0, len(objects), batch_size):
        part = objects[start : start + batch_size]
        clouds = [data.cloud(int(i)) for i in part]
        embeddings = model.encode([points for points, _ in clouds], [colors for _, colors in clouds])
        own = (data.own_texts[part][:, :, None] == texts).any(axis=1)
        ranks[start : start + len(part)] = best_ranks(embeddings.numpy() @ data.text_vectors.T, own)
    hits = ranks == 0
    first_text = data.own_texts[objects, 0]
    per_class = [hits[first_text == text].mean() for text in np.unique(first_text)]
    return {
        "top1": float(hits.mean()),
        "top5": float((ranks < 5).mean()),
        "top1_class_mean": float(np.mean(per_class)),
    }
