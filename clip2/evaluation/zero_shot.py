"""Naming by similarity to words, and how often the name is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError


def zero_shot_classify(embeddings: Any, text: Any, logit_scale: float = 100.0) -> NDArray[np.float32]:
    """Probabilities of K words for B objects: softmax of scaled cosines.

    Args:
        embeddings: (B, D) vectors of objects, array or tensor, of any length; rows are normalized here.
        text: (K, D) vectors of words.
        logit_scale: what cosines are multiplied with; CLIP's learned value is 100.

    Returns:
        (B, K) float32, rows sum to 1.

    Raises:
        InputError: shapes that do not fit, no words, values that are not finite, a vector of length zero.

    >>> zero_shot_classify([[2.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], logit_scale=0.0).tolist()
    [[0.5, 0.5]]
    """
    objects, words = _unit(embeddings, "embeddings"), _unit(text, "text")
    if len(words) == 0 or objects.shape[1] != words.shape[1]:
        raise InputError(
            f"is {words.shape}, the embeddings are {objects.shape}",
            field="text",
            fix="give at least one word vector, as wide as the embeddings",
        )
    # The factor in numpy's own float64 would make everything after it float64 too.
    logits = (float(logit_scale) * objects) @ words.T
    logits -= logits.max(axis=1, keepdims=True)
    likelihood = np.exp(logits, out=logits)
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    return likelihood.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class ZeroShotReport:
    """Scores of B objects over K words.

    Attributes:
        labels: the K words.
        top1, top3, top5: instance accuracy: share of objects whose true word is among the first k.
        class_mean: mean over the words that occur of their own top-1 accuracy; rare words count as much as common ones.
        per_class: word → top-1 accuracy, for words that occur.
        confusion: (K, K) int64, rows are true words, columns the words given.
    """

    labels: tuple[str, ...]
    top1: float
    top3: float
    top5: float
    class_mean: float
    per_class: dict[str, float]
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "objects": int(self.confusion.sum()),
            "top1": self.top1,
            "top3": self.top3,
            "top5": self.top5,
            "class_mean": self.class_mean,
            "per_class": self.per_class,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }


def score_zero_shot(scores: Any, targets: ArrayLike, labels: Sequence[str]) -> ZeroShotReport:
    """Score single-word predictions.

    Args:
        scores: (B, K) probabilities or similarities, larger is better.
        targets: (B,) index of the true word.
        labels: the K words.

    Raises:
        InputError: shapes that do not fit, a target that is no index of a word, no objects, scores that are not finite.
    """
    given, true = _scores_and_targets(scores, targets)
    if given.shape[1] != len(labels):
        raise InputError(f"holds {len(labels)} words for {given.shape[1]} columns", field="labels")
    confusion = confusion_matrix(given.argmax(axis=1), true, len(labels))
    occurs = confusion.sum(axis=1) > 0
    recalls = np.diag(confusion)[occurs] / confusion.sum(axis=1)[occurs]
    return ZeroShotReport(
        labels=tuple(labels),
        top1=top_k_accuracy(given, true, 1),
        top3=top_k_accuracy(given, true, 3),
        top5=top_k_accuracy(given, true, 5),
        class_mean=float(recalls.mean()),
        per_class=dict(zip(np.array(labels)[occurs].tolist(), recalls.tolist(), strict=True)),
        confusion=confusion,
    )


def top_k_accuracy(scores: Any, targets: ArrayLike, k: int = 1) -> float:
    """Share of objects whose true word is among the k best; among equal scores the earlier word is better."""
    given, true = _scores_and_targets(scores, targets)
    return hit_at_k(given, np.arange(given.shape[1]) == true[:, None], k)


def hit_at_k(scores: Any, relevant: ArrayLike, k: int = 1) -> float:
    """Share of objects with a right word among the k best, where several words may be right.

    Args:
        scores: (B, K), larger is better.
        relevant: (B, K) bool, at least one True per row.
        k: how many words are looked at.
    """
    if k < 1:
        raise InputError(f"is {k}", field="k", fix="give at least 1")
    return float((best_ranks(scores, relevant) < k).mean())


def best_ranks(scores: Any, relevant: ArrayLike) -> NDArray[np.int64]:
    """How many words come before the best right word of each object: 0 where the best word is right.

    Args:
        scores: (B, K), larger is better; among equal scores the earlier word is better.
        relevant: (B, K) bool, at least one True per row.

    Returns:
        (B,) int64.
    """
    given, right = _finite(scores), np.asarray(relevant, dtype=bool)
    if given.shape != right.shape or len(given) == 0 or not right.any(axis=1).all():
        raise InputError(
            f"is {right.shape} for scores {given.shape}",
            field="relevant",
            fix="mark at least one right word for each of at least one object",
        )
    found = np.where(right, given, -np.inf)
    first = found.argmax(axis=1)[:, None]
    best = np.take_along_axis(given, first, axis=1)
    # Equal scores count as well, so that a constant score is not a perfect score.
    earlier = (given == best) & (np.arange(given.shape[1]) < first)
    ranks: NDArray[np.int64] = ((given > best) | earlier).sum(axis=1)
    return ranks


def confusion_matrix(predicted: ArrayLike, targets: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """(K, K) int64 counts, rows true, columns predicted."""
    pairs = np.asarray(targets, np.int64) * num_classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _scores_and_targets(scores: Any, targets: ArrayLike) -> tuple[NDArray, NDArray[np.int64]]:
    given, true = _finite(scores), np.asarray(targets)
    if given.ndim != 2 or true.shape != given.shape[:1] or len(true) == 0:
        raise InputError(
            f"is {true.shape} for scores {given.shape}", field="targets", fix="give (B,) for (B, K), B > 0"
        )
    if true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= given.shape[1]:
        raise InputError(f"must be whole numbers from 0 to {given.shape[1] - 1}", field="targets")
    return given, true.astype(np.int64)


def _unit(vectors: Any, name: str) -> NDArray[np.floating]:
    """Unit rows; float32 stays float32, as copying large vocabularies to float64 would take most of the time."""
    rows = _finite(vectors, name)
    rows = rows.astype(np.float32 if rows.dtype in (np.float32, np.float16) else np.float64, copy=False)
    if rows.ndim != 2:
        raise InputError(f"is {rows.shape}", field=name, fix="give (count, width)")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError("holds a vector of length zero", field=name, fix="leave such rows out")
    unit: NDArray[np.floating] = rows / lengths
    return unit


def _finite(values: Any, name: str = "scores") -> NDArray:
    """As a numpy array, from the CPU or a device, checked for NaN and inf."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    array = np.asarray(values)
    if not np.isfinite(array).all():
        raise InputError(
            "NaN or inf", field=name, fix="find where they come from; no accuracy is meant by them"
        )
    return array
