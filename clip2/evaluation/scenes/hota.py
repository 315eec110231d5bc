"""HOTA: one tracking score for detection and association (Luiten et al., IJCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from data_prep.errors import InputError

_ALPHAS = np.arange(1, 20) / 20  # of the paper: 0.05, 0.10 … 0.95
_ROUNDING = 1e-9


def hota(frames: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]]) -> dict[str, float]:
    """Score tracks by HOTA.

    In each frame, labeled objects and tracked ones are matched one to one. Pairs of an object and a track that agree over
    the whole sequence go first. At each of 19 least similarities, detection is scored by the Jaccard index of the
    matches (DetA), and each match by the Jaccard index of all frames of its object and its track (AssA, the mean).

    Args:
        frames: of each frame the ids of the G labeled objects, those of the T tracked ones, and their similarity
            (G, T) in 0..1, such as an IoU. No id twice in one frame.

    Returns:
        ``hota``, ``det_a`` and ``ass_a``: means over the 19 similarities; ``hota`` is the mean of sqrt(DetA · AssA).

    Raises:
        InputError: a similarity whose shape does not fit the ids, or no object in any frame.

    >>> switched = [([7], [0], [[1.0]]), ([7], [0], [[1.0]]), ([7], [1], [[1.0]]), ([7], [1], [[1.0]])]
    >>> {name: round(value, 3) for name, value in hota(switched).items()}
    {'hota': 0.707, 'det_a': 1.0, 'ass_a': 0.5}
    """
    taken = [
        _checked(np.asarray(true), np.asarray(tracks), np.asarray(similarity, np.float64), number)
        for number, (true, tracks, similarity) in enumerate(frames)
    ]
    nothing = np.zeros(0, np.int64)
    objects, true = np.unique(np.concatenate([nothing, *(f[0] for f in taken)]), return_inverse=True)
    ids, tracks = np.unique(np.concatenate([nothing, *(f[1] for f in taken)]), return_inverse=True)
    if len(objects) == 0:
        raise InputError("hold no labeled object", field="frames")
    rows = np.split(true, np.cumsum([len(f[0]) for f in taken])[:-1])
    columns = np.split(tracks, np.cumsum([len(f[1]) for f in taken])[:-1])
    either = (
        np.bincount(true, minlength=len(objects))[:, None] + np.bincount(tracks, minlength=len(ids))[None]
    )
    agreed = np.zeros((len(objects), len(ids)))
    for row, column, (_, _, similarity) in zip(rows, columns, taken, strict=True):
        union = similarity.sum(axis=1, keepdims=True) + similarity.sum(axis=0, keepdims=True) - similarity
        agreed[np.ix_(row, column)] += similarity / np.maximum(union, _ROUNDING)
    alignment = agreed / np.maximum(either - agreed, _ROUNDING)
    matches = np.zeros((len(_ALPHAS), len(objects), len(ids)))
    for row, column, (_, _, similarity) in zip(rows, columns, taken, strict=True):
        a, b = linear_sum_assignment(-alignment[np.ix_(row, column)] * similarity)
        good = similarity[a, b] >= _ALPHAS[:, None] - _ROUNDING
        matches[:, row[a], column[b]] += good
    right = matches.sum(axis=(1, 2))
    detection = right / (len(true) + len(tracks) - right)
    jaccard = matches / np.maximum(either - matches, 1)
    association = (matches * jaccard).sum(axis=(1, 2)) / np.maximum(right, 1)
    score = np.sqrt(detection * association)
    return {"hota": float(score.mean()), "det_a": float(detection.mean()), "ass_a": float(association.mean())}


def _checked(
    true: NDArray, tracks: NDArray, similarity: NDArray[np.float64], number: int
) -> tuple[NDArray, NDArray, NDArray[np.float64]]:
    if similarity.size == 0:
        similarity = similarity.reshape(len(true), len(tracks))
    if similarity.shape != (len(true), len(tracks)):
        raise InputError(
            f"has shape {similarity.shape} for {len(true)} objects and {len(tracks)} tracks",
            field=f"frames[{number}].similarity",
        )
    return true, tracks, similarity
