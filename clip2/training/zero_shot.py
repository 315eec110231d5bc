"""How well held-out objects are named, among all words of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation import best_ranks
from clip2.model import Clip2Model
from clip2.training.dataset import TrainingSet


def zero_shot(
    model: Clip2Model, data: TrainingSet, objects: NDArray[np.int64], batch_size: int = 128
) -> dict[str, float]:
    """Accuracy over the whole vocabulary; any of an object's own words counts as right.

    Args:
        model: in the data's CLIP space.
        data: where the objects are.
        objects: (m,) rows to name, m > 0, each with a word: what has none cannot be named right.
        batch_size: clouds per forward pass.

    Returns:
        ``top1`` and ``top5`` over objects, ``top1_per_word``: the mean over first words of their top1.
    """
    ranks = np.zeros(len(objects), np.int64)
    texts = data.text_vectors
    words = np.arange(len(texts))
    for start in range(0, len(objects), batch_size):
        part = objects[start : start + batch_size]
        clouds = [data.cloud(int(i)) for i in part]
        embeddings = model.encode([points for points, _ in clouds], [colors for _, colors in clouds])
        own = (data.own_texts[part][:, :, None] == words).any(axis=1)
        ranks[start : start + len(part)] = best_ranks(embeddings.numpy() @ texts.T, own)
    hits = ranks == 0
    first_word = data.own_texts[objects, 0]
    per_word = [hits[first_word == word].mean() for word in np.unique(first_word)]
    return {
        "top1": float(hits.mean()),
        "top5": float((ranks < 5).mean()),
        "top1_per_word": float(np.mean(per_word)),
    }
