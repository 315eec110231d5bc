"""Metrics of label scores: top-k accuracy, class mean, confusion matrix, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.classification import finite_array
from data_prep.errors import InputError

_CELLS_AT_ONCE = 1 << 24  # scores of a search in memory


@dataclass(frozen=True, eq=False)
class ZeroShotReport:
    """Scores of B objects over K labels.

    Attributes:
        labels: the K labels.
        top1, top3, top5: instance accuracy: share of objects whose true label is among the first k.
        class_mean: mean top-1 accuracy over the labels that occur; rare labels count as much as common ones.
        per_class: label → top-1 accuracy, for labels that occur.
        confusion: (K, K) int64, rows are true labels, columns predicted labels.
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
    """Score predictions of objects that have one true label each.

    Args:
        scores: (B, K) probabilities or similarities, larger is better.
        targets: (B,) index of the true label.
        labels: the K labels.

    Raises:
        InputError: shapes that do not fit, a target outside 0..K-1, no objects, scores that are not finite.
    """
    given, true = _scores_and_targets(scores, targets)
    if given.shape[1] != len(labels):
        raise InputError(f"holds {len(labels)} labels for {given.shape[1]} columns", field="labels")
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
    """Share of objects whose true label is among the k best; of equal scores the earlier label ranks higher."""
    given, true = _scores_and_targets(scores, targets)
    return hit_at_k(given, np.arange(given.shape[1]) == true[:, None], k)


def hit_at_k(scores: Any, relevant: ArrayLike, k: int = 1) -> float:
    """Share of objects with a correct label among the k best; several labels may be correct.

    Args:
        scores: (B, K), larger is better.
        relevant: (B, K) bool, at least one True per row.
        k: number of labels to consider, at least 1.
    """
    if k < 1:
        raise InputError(f"is {k}", field="k", fix="give at least 1")
    return float((best_ranks(scores, relevant) < k).mean())


def best_ranks(scores: Any, relevant: ArrayLike) -> NDArray[np.int64]:
    """Rank of the best correct label of each object: 0 if the top label is correct.

    Args:
        scores: (B, K), larger is better; of equal scores the earlier label ranks higher.
        relevant: (B, K) bool, at least one True per row.

    Returns:
        (B,) int64.
    """
    given, right = finite_array(scores, "scores"), np.asarray(relevant, dtype=bool)
    if given.shape != right.shape or len(given) == 0 or not right.any(axis=1).all():
        raise InputError(
            f"is {right.shape} for scores {given.shape}",
            field="relevant",
            fix="mark at least one correct label for each of at least one object",
        )
    found = np.where(right, given, -np.inf)
    first = found.argmax(axis=1)[:, None]
    best = np.take_along_axis(given, first, axis=1)
    # Ties count against the object, so that a constant score is not a perfect score.
    earlier = (given == best) & (np.arange(given.shape[1]) < first)
    ranks: NDArray[np.int64] = ((given > best) | earlier).sum(axis=1)
    return ranks


def confusion_matrix(predicted: ArrayLike, targets: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """(K, K) int64 counts, rows true, columns predicted."""
    pairs = np.asarray(targets, np.int64) * num_classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _scores_and_targets(scores: Any, targets: ArrayLike) -> tuple[NDArray, NDArray[np.int64]]:
    given, true = finite_array(scores, "scores"), np.asarray(targets)
    if given.ndim != 2 or true.shape != given.shape[:1] or len(true) == 0:
        raise InputError(
            f"is {true.shape} for scores {given.shape}", field="targets", fix="give (B,) for (B, K), B > 0"
        )
    if true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= given.shape[1]:
        raise InputError(f"must be whole numbers from 0 to {given.shape[1] - 1}", field="targets")
    return given, true.astype(np.int64)


def bootstrap_interval(
    correct: ArrayLike, groups: ArrayLike | None = None, *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a mean over objects, by drawing the objects again (Efron 1979).

    Args:
        correct: (B,) numbers, one per object: 1 for right and 0 for wrong, or any other.
        groups: (B,) int class of each object: the interval is then of the mean over classes, and objects are drawn
            within each class; None: of the mean over objects.
        draws: number of samples.
        seed: of the draws.

    >>> low, high = bootstrap_interval([1, 1, 1, 0] * 25)
    >>> low < 0.75 < high
    True
    """
    values = np.asarray(correct, np.float64)
    random = np.random.default_rng(seed)
    if groups is None:
        means = _drawn_means(values, draws, random)
    else:
        classes = np.asarray(groups)
        means = np.mean(
            [_drawn_means(values[classes == each], draws, random) for each in np.unique(classes)], axis=0
        )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _drawn_means(values: NDArray[np.float64], draws: int, random: np.random.Generator) -> NDArray[np.float64]:
    """(draws,) means of samples with replacement, a few draws at a time: 46,000 objects would fill memory."""
    step = max(1, (1 << 22) // len(values))
    parts = [
        values[random.integers(len(values), size=(min(step, draws - start), len(values)))].mean(axis=1)
        for start in range(0, draws, step)
    ]
    return np.concatenate(parts)


def retrieval_metrics(scores: ArrayLike, relevant: ArrayLike) -> dict[str, float]:
    """Recall at 1, 5 and 10 (a relevant item among the first k), median rank from 1, and NDCG@5, averaged over queries.

    Args:
        scores: (Q, M), larger is better.
        relevant: (Q, M) bool, at least one True per row.

    >>> retrieval_metrics([[0.1, 0.9, 0.5]], [[False, False, True]])["R@1"]
    0.0
    """
    return _retrieval_means(*_ranks_and_ndcg(np.asarray(scores), np.asarray(relevant, bool)))


def search_by_class(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    wanted: NDArray[np.int64],
    classes: NDArray[np.int64],
    itself: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """:func:`retrieval_metrics` of an exact search by cosine, a few queries at a time.

    Beside the vectors it needs half a gigabyte at most, whatever the size of the gallery.

    Args:
        queries, gallery: (Q, D) and (M, D) unit rows.
        wanted: (Q,) class of each query; every one occurs in the gallery, besides the query itself.
        classes: (M,) class of each item.
        itself: (Q,) position of each query in the gallery, which it does not find; None: queries are no items.

    >>> search_by_class(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), np.array([0, 1]), np.array([0, 1]))["R@1"]
    1.0
    """
    step, parts = max(1, _CELLS_AT_ONCE // len(gallery)), []
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        scores = queries[rows] @ gallery.T
        relevant = wanted[rows, None] == classes[None]
        if itself is not None:
            own = (np.arange(len(scores)), itself[rows])
            scores[own], relevant[own] = -2, False  # below every cosine
        parts.append(_ranks_and_ndcg(scores, relevant))
    return _retrieval_means(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _ranks_and_ndcg(
    given: NDArray, right: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(Q,) rank of the best relevant item, and NDCG@5."""
    ranks = best_ranks(given, right)
    first = min(5, given.shape[1])
    # Sorted by position first, so that of equal scores the earlier item ranks higher.
    near = np.sort(np.argpartition(-given, first - 1, axis=1)[:, :first], axis=1)
    inner = np.argsort(-np.take_along_axis(given, near, axis=1), axis=1, kind="stable")
    order = np.take_along_axis(near, inner, axis=1)
    discount = np.log2(np.arange(2, first + 2))
    gains = np.take_along_axis(right, order, axis=1) / discount
    ideal = ((np.arange(first) < right.sum(axis=1)[:, None]) / discount).sum(axis=1)
    return ranks, gains.sum(axis=1) / ideal


def _retrieval_means(ranks: NDArray[np.int64], ndcg: NDArray[np.float64]) -> dict[str, float]:
    return {
        **{f"R@{k}": float((ranks < k).mean()) for k in (1, 5, 10)},
        "median rank": float(np.median(ranks + 1)),
        "NDCG@5": float(ndcg.mean()),
    }
