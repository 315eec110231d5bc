"""Sizes of the training objects of each label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.size_prior import MOST_OBJECTS, SizeRange, fit_size_ranges, visible_sizes
from clip2.training.dataset import TrainingSet


def trained_sizes(data: TrainingSet, rows: NDArray[np.int64]) -> dict[str, SizeRange]:
    """Range of sizes of each label of a training set.

    Args:
        data: the objects; a cloud in meters each.
        rows: (m,) objects that are trained on; of each label the same 400 at most are measured in every run.

    Returns:
        Normalized label → range; labels of fewer than 8 objects are left out.
    """
    own = data.own_texts[rows, 0]
    random = np.random.default_rng(0)
    chosen = []
    for text in np.unique(own[own >= 0]):
        of_text = rows[own == text]
        few = len(of_text) <= MOST_OBJECTS
        chosen.append(of_text if few else random.choice(of_text, MOST_OBJECTS, replace=False))
    if not chosen:
        return {}
    measured = np.concatenate(chosen)
    sizes = visible_sizes([data.cloud(i)[0] for i in measured.tolist()])
    return fit_size_ranges(sizes, [data.texts[data.own_texts[i, 0]] for i in measured])
