"""Open-set scores: rejection of what no label names, calibration of probabilities, and scores standardized per label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from scipy.stats import rankdata

from clip2.classification import finite_array
from clip2.evaluation.result import Curve, Metric
from data_prep.errors import InputError

BINS = 15  # of a reliability diagram, as Guo et al. (2017) take
NONE_OF_THESE = -1  # target of an object that no label names


def auroc(known: ArrayLike, others: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a known object scores higher than another one; a tie counts half.

    Args:
        known: (n,) scores of objects that a label names; larger means "one of these".
        others: (m,) scores of objects that no label names.

    Raises:
        InputError: one of the two is empty, or a score is not finite.

    >>> auroc([0.9, 0.8], [0.8, 0.1])
    0.875
    """
    a, b = _two(known, others)
    ranks = rankdata(np.concatenate([a, b]))[: len(a)]
    return float((ranks.sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))


def fpr_at_tpr(known: ArrayLike, others: ArrayLike, tpr: float = 0.95) -> float:
    """Share of the other objects that are accepted where at least ``tpr`` of the known ones are (FPR95).

    Args:
        known, others: as of :func:`auroc`.
        tpr: share of known objects to accept.

    Raises:
        InputError: as of :func:`auroc`, or a share outside 0..1.

    >>> fpr_at_tpr([0.9, 0.8, 0.7, 0.6], [0.75, 0.1], tpr=0.75)
    0.5
    """
    if not 0 < tpr <= 1:
        raise InputError(f"is {tpr}", field="tpr", fix="give a share above 0, up to 1")
    a, b = _two(known, others)
    least = np.sort(a)[::-1][int(np.ceil(tpr * len(a) - 1e-9)) - 1]
    return float((b >= least).mean())


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability diagram: confidence against the share that is right, in bins of equal width.

    Attributes:
        ece: expected calibration error: mean gap between the two, weighted by the bins' counts.
        confidence, accuracy: mean of each bin; NaN where it is empty.
        counts: of each bin.
    """

    ece: float
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; empty bins hold None."""
        columns = {"confidence": self.confidence, "accuracy": self.accuracy}
        return {
            "ece": self.ece,
            **{k: [None if np.isnan(v) else v for v in column.tolist()] for k, column in columns.items()},
            "counts": self.counts.tolist(),
        }

    def curve(self, name: str) -> Curve:
        """The diagram without its empty bins."""
        full = self.counts > 0
        return Curve(
            "reliability (below the diagonal: too sure)",
            name,
            "confidence",
            "share that is right",
            tuple(self.confidence[full].tolist()),
            tuple(self.accuracy[full].tolist()),
            unit_square=True,
            diagonal=True,
        )


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> Reliability:
    """Compare confidences with what came true (ECE, Guo et al. 2017).

    Args:
        confidence: (n,) probabilities, 0..1.
        right: (n,) whether each came true.
        bins: number of bins of equal width; the upper edge belongs to a bin.

    Raises:
        InputError: no values, shapes that differ, or a confidence outside 0..1.

    >>> reliability([0.95, 0.95, 0.45, 0.45], [True, True, True, False], bins=10).ece  # gaps of 0.05
    0.05
    """
    given, came = finite_array(confidence, "confidence"), np.asarray(right, bool)
    if given.ndim != 1 or given.shape != came.shape or len(given) == 0:
        raise InputError(
            f"is {given.shape}, right {came.shape}", field="confidence", fix="give two lists (n,), n > 0"
        )
    if given.min() < 0 or given.max() > 1:
        raise InputError(
            f"reaches from {given.min():g} to {given.max():g}", field="confidence", fix="give probabilities"
        )
    place = np.clip(np.ceil(given * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, value, bins) / counts for value in (given, came.astype(np.float64))]
    ece = float(np.nansum(counts * np.abs(means[0] - means[1])) / len(given))
    return Reliability(round(ece, 12), means[0], means[1], counts)


def standardize(scores: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Scores less their label's mean over reference objects, over their label's deviation there.

    Some labels score high whatever the object is. The idea is that of standardized max logits (Jung et al. 2021), with
    statistics of unlabeled objects instead of training objects by class.

    Args:
        scores: (B, K) similarities.
        reference: (R, K) similarities of other objects; their labels need not be known.

    Raises:
        InputError: shapes that do not fit, or fewer than two reference objects.

    >>> standardize([[0.8, 0.5]], [[0.7, 0.1], [0.9, 0.3]]).round(6).tolist()
    [[0.0, 3.0]]
    """
    given, others = finite_array(scores, "scores"), finite_array(reference, "reference")
    if given.ndim != 2 or others.ndim != 2 or given.shape[1] != others.shape[1] or len(others) < 2:
        raise InputError(
            f"is {others.shape} for scores {given.shape}", field="reference", fix="give (R, K), R > 1"
        )
    return (given - others.mean(axis=0)) / np.maximum(others.std(axis=0), 1e-9)


def answer_shares(answered: ArrayLike, right: ArrayLike) -> dict[str, float]:
    """Shares of objects that get a label at all, the right one, and a wrong one (``nonsense``).

    Args:
        answered: (n,) bool; False for objects that are called unknown.
        right: (n,) bool; whether the label would be right.

    >>> answer_shares([True, True, False], [True, False, False])["nonsense"].__round__(3)
    0.333
    """
    named, true = np.asarray(answered, bool), np.asarray(right, bool)
    return {
        "clouds": len(named),
        "answered": float(named.mean()),
        "right": float((named & true).mean()),
        "nonsense": float((named & ~true).mean()),
    }


@dataclass(frozen=True, eq=False)
class OpenSetReport:
    """Scores of objects of which some are named by no label.

    Attributes:
        known, others: number of objects that a label names, and of the others.
        rejection: name of the score → ``auroc`` and ``fpr95``; empty without others.
        roc: name of the score → (2, n) share of others and of known objects accepted, the strictest threshold first.
        accuracy: top-1 of the known objects by cosine, and by the standardized cosine.
        calibration: of the probabilities of the known objects; None: the scores are no probabilities.
    """

    known: int
    others: int
    rejection: dict[str, dict[str, float]]
    roc: dict[str, NDArray[np.float64]]
    accuracy: dict[str, float]
    calibration: Reliability | None

    def metrics(self) -> dict[str, Metric]:
        """All numbers; the headline is how well the first score tells known objects from others."""
        found = {
            f"{shown}, {name}": Metric(values[key])
            for key, shown in (("auroc", "AUROC"), ("fpr95", "FPR95"))
            for name, values in self.rejection.items()
        }
        found |= {f"top-1 of known objects, {name}": Metric(value) for name, value in self.accuracy.items()}
        if "standardized cosine" in self.accuracy:
            gain = self.accuracy["standardized cosine"] - self.accuracy["cosine"]
            found["gain in top-1 by standardizing per label"] = Metric(gain)
        if self.calibration is not None:
            found["ECE of known objects"] = Metric(self.calibration.ece)
        counts = {"known objects": self.known, "others": self.others}
        return found | {name: Metric(float(count), unit="count") for name, count in counts.items()}

    def curves(self) -> tuple[Curve, ...]:
        """ROC of each score, and the reliability of the probabilities."""
        axes = "share of others accepted", "share of known objects accepted"
        thin = {name: _thinned(rows).tolist() for name, rows in self.roc.items()}
        found = [
            Curve(
                "known or none of these (upper left is better)",
                name,
                *axes,
                tuple(x),
                tuple(y),
                unit_square=True,
                diagonal=True,
            )
            for name, (x, y) in thin.items()
        ]
        return (*found, *(() if self.calibration is None else (self.calibration.curve("known objects"),)))


def score_open_set(
    cosines: ArrayLike,
    targets: ArrayLike,
    scale: float,
    distances: ArrayLike | None = None,
    seed: int = 0,
) -> OpenSetReport:
    """Score the rejection of objects that no label names, beside the accuracy and calibration on the others.

    Standardized cosines of one half of the objects rest on the other half, drawn by ``seed``; no target is used.

    Args:
        cosines: (B, K) of object and label.
        targets: (B,) index of the true label; -1 (``NONE_OF_THESE``) for objects that no label names.
        scale: logit scale of the probabilities, as the model learned it.
        distances: (B,) out-of-distribution distance of each object, larger means stranger; None: no detector.
        seed: of the halves.

    Raises:
        InputError: shapes that do not fit, values that are not finite, targets outside -1..K-1, or no known objects.

    >>> report = score_open_set([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]], [0, 1, -1], scale=10.0)
    >>> report.rejection["cosine"]
    {'auroc': 1.0, 'fpr95': 0.0}
    """
    given, true = finite_array(cosines, "cosines").astype(np.float64), np.asarray(targets)
    if given.ndim != 2 or true.shape != given.shape[:1] or not (true >= 0).any():
        raise InputError(
            f"is {true.shape} for cosines {given.shape}",
            field="targets",
            fix="give (B,) for (B, K), with known objects",
        )
    if true.dtype.kind not in "iu" or true.min() < NONE_OF_THESE or true.max() >= given.shape[1]:
        raise InputError(f"must be whole numbers from -1 to {given.shape[1] - 1}", field="targets")
    is_known = true >= 0
    probabilities = softmax(scale * given, axis=1)
    scores = {"cosine": given.max(axis=1), "probability": probabilities.max(axis=1)}
    chosen = {"cosine": given.argmax(axis=1)}
    if len(given) >= 4:
        standard = _by_halves(given, seed)
        scores["standardized cosine"], chosen["standardized cosine"] = (
            standard.max(axis=1),
            standard.argmax(axis=1),
        )
    if distances is not None:
        scores["out-of-distribution detector"] = -finite_array(distances, "distances")
    right = {name: best == true for name, best in chosen.items()}
    return _report(scores, right, is_known, scores["probability"])


def score_rejection(scores: ArrayLike, known: ArrayLike, right: ArrayLike) -> OpenSetReport:
    """:func:`score_open_set` for a tool that gives one label and one score to each object.

    Args:
        scores: (B,), larger means surer.
        known: (B,) bool, objects that a label names.
        right: (B,) bool, whether the label given is the true one.

    Raises:
        InputError: no known objects, or scores that are not finite.

    >>> score_rejection([0.9, 0.6, 0.2], [True, True, False], [True, False, False]).accuracy
    {'score': 0.5}
    """
    given, named = finite_array(scores, "scores").astype(np.float64), np.asarray(known, bool)
    if not named.any():
        raise InputError("is true of no object", field="known", fix="ask for labels of the scan")
    probability = given if given.min() >= 0 and given.max() <= 1 else None
    return _report({"score": given}, {"score": np.asarray(right, bool)}, named, probability)


def _report(
    scores: dict[str, NDArray], right: dict[str, NDArray], known: NDArray, probability: NDArray | None
) -> OpenSetReport:
    first = next(iter(right.values()))
    pairs = {} if known.all() else {name: (score[known], score[~known]) for name, score in scores.items()}
    return OpenSetReport(
        known=int(known.sum()),
        others=int((~known).sum()),
        rejection={name: {"auroc": auroc(a, b), "fpr95": fpr_at_tpr(a, b)} for name, (a, b) in pairs.items()},
        roc={name: _roc(a, b) for name, (a, b) in pairs.items()},
        accuracy={name: float(found[known].mean()) for name, found in right.items()},
        calibration=None if probability is None else reliability(probability[known], first[known]),
    )


def _roc(known: NDArray, others: NDArray) -> NDArray[np.float64]:
    """(2, n) shares of others and of known objects at or above each threshold."""
    levels = np.unique(np.concatenate([known, others]))[::-1]
    shares = [1 - np.searchsorted(np.sort(some), levels) / len(some) for some in (others, known)]
    return np.concatenate([np.zeros((2, 1)), shares], axis=1)


def _thinned(rows: NDArray, most: int = 200) -> NDArray:
    """Columns of a curve, at most that many."""
    return rows[:, np.unique(np.linspace(0, rows.shape[1] - 1, most).round().astype(np.int64))]


def _by_halves(cosines: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    half = np.random.default_rng(seed).permutation(len(cosines)) % 2 == 0
    result = np.empty_like(cosines)
    for one in (half, ~half):
        result[one] = standardize(cosines[one], cosines[~one])
    return result


def _two(known: ArrayLike, others: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = finite_array(known, "known").ravel(), finite_array(others, "others").ravel()
    if len(a) == 0 or len(b) == 0:
        raise InputError("is empty", field="others" if len(a) else "known", fix="give scores of both kinds")
    return a, b
