"""Names for objects whose embeddings are known: probabilities, similarities, and objects alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D
from clip2.score_calibration import ScoreCalibration, object_scores
from clip2.size_prior import SizeRange
from clip2.teacher.text_source import TextSource

# Percentiles of the similarities of all objects to all labels, between which a similarity is shown.
_DARK, _BRIGHT = 50.0, 99.5


@dataclass(frozen=True)
class Vocabulary:
    """What a model names objects with.

    Attributes:
        text: source of label vectors.
        scale: inverse temperature that the model learned.
        sizes: label → sizes of its training objects.
        calibration: of the model's scores, if it has one.
    """

    text: TextSource
    scale: float
    sizes: Mapping[str, SizeRange] = field(default_factory=dict)
    calibration: ScoreCalibration | None = None


@dataclass(frozen=True)
class Naming:
    """Names of N objects among K labels and B background labels.

    Attributes:
        vocabulary: the K labels.
        background: the B labels that compete but are not wanted.
        probabilities: (N, K + B) float32: of the labels, times how plausible the object's size is for each.
        cosines: (N, K + B) float32.
        labels: N; ``unknown`` for objects unlike the training set.
        likely: (N,) float32, probability of the label, 0 for ``unknown``.
        scores: (N,) float32, of :func:`~clip2.score_calibration.object_scores`.
        wanted: (N,) bool: named, not below the threshold, and not background.
        numbers: (N,) position of each object's label in ``vocabulary``, -1 for objects that are not wanted.
    """

    vocabulary: tuple[str, ...]
    background: tuple[str, ...]
    probabilities: NDArray[np.float32]
    cosines: NDArray[np.float32]
    labels: tuple[str, ...]
    likely: NDArray[np.float32]
    scores: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    numbers: NDArray[np.int64]

    def with_given(self, given: Mapping[int, str], removed: Collection[int]) -> Naming:
        """The same with labels that a person gave, score 1, and without the objects that a person removed."""
        vocabulary = tuple(dict.fromkeys([*self.vocabulary, *given.values()]))
        labels, scores = list(self.labels), self.scores.copy()
        wanted, numbers = self.wanted.copy(), self.numbers.copy()
        for i, label in given.items():
            labels[i], scores[i], wanted[i], numbers[i] = label, 1.0, True, vocabulary.index(label)
        for i in removed:
            wanted[i], numbers[i] = False, -1
        return replace(
            self, vocabulary=vocabulary, labels=tuple(labels), scores=scores, wanted=wanted, numbers=numbers
        )

    def top(self, number: int, count: int = 5) -> list[tuple[str, float]]:
        """The most probable labels of one object, background included, with their probabilities."""
        row = self.probabilities[number]
        names = (*self.vocabulary[: len(row) - len(self.background)], *self.background)
        return [(names[i], float(row[i])) for i in np.argsort(-row, kind="stable")[:count]]


def name_objects(
    embeddings: NDArray[np.float32],
    vectors: NDArray[np.float32],
    vocabulary: Sequence[str],
    background: Sequence[str],
    scale: float,
    resembles: NDArray[np.bool_],
    objectness: NDArray[np.float32],
    plausible: NDArray[np.float32],
    threshold: float = 0.0,
    calibration: ScoreCalibration | None = None,
) -> Naming:
    """Name objects as :meth:`~clip2.Recognizer.query` does.

    Args:
        embeddings: (N, D) float32 unit rows.
        vectors: (K + B, D) of ``vocabulary`` and ``background``.
        vocabulary: K labels.
        background: B labels that compete but are not wanted.
        scale: inverse temperature that the model learned.
        resembles: (N,) bool, whether objects resemble the training set; the others become ``unknown``.
        objectness: (N,) 0..1, how likely each is one whole object.
        plausible: (N, K + B) 0..1, of the object's size for each label.
        threshold: score below which objects are not wanted.
        calibration: of the model's scores, if it has one.

    >>> same, sure = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    >>> named = name_objects(same, same, ["mug", "box"], [], 10.0, sure > 0, sure, np.ones((2, 2), np.float32))
    >>> named.labels, named.scores.round(2).tolist()
    (('mug', 'box'), [1.0, 1.0])
    """
    cosines = embeddings @ vectors.T if len(embeddings) else np.zeros((0, len(vectors)), np.float32)
    probabilities = softmax(scale * cosines, axis=1) * plausible if len(cosines) else cosines
    best = probabilities.argmax(axis=1) if len(vectors) else np.zeros(0, np.int64)
    likely = np.where(resembles, probabilities[np.arange(len(best)), best], 0).astype(np.float32)
    scores = object_scores(likely, objectness, calibration)
    names = (*vocabulary, *background)
    labels = tuple(names[b] if known else UNKNOWN for b, known in zip(best, resembles, strict=True))
    wanted = resembles & (best < len(vocabulary)) & (scores >= threshold)
    numbers = np.where(wanted, best, -1)
    return Naming(
        tuple(vocabulary), tuple(background), probabilities, cosines, labels, likely, scores, wanted, numbers
    )


def similarity_range(embeddings: NDArray[np.float32], references: NDArray[np.float32]) -> tuple[float, float]:
    """Cosines that are shown as "nothing alike" and "alike": percentiles 50 and 99.5 over all objects and references.

    One label alone would have probability 1 everywhere, so similarity is measured against what is usual.

    Args:
        embeddings: (N, D) unit rows.
        references: (M, D) unit rows, such as all labels of a bank.
    """
    if len(embeddings) == 0 or len(references) == 0:
        return 0.0, 1.0
    low, high = np.percentile(embeddings @ references.T, [_DARK, _BRIGHT])
    return float(low), float(max(high, low + 1e-3))


def stretch(cosines: NDArray, limits: tuple[float, float]) -> NDArray[np.float32]:
    """Cosines to 0..1 between two limits."""
    return np.clip((cosines - limits[0]) / (limits[1] - limits[0]), 0, 1).astype(np.float32)


def most_alike(embeddings: NDArray[np.float32], number: int, count: int = 8) -> list[tuple[int, float]]:
    """Other objects by falling cosine with one object."""
    cosines = embeddings @ embeddings[number]
    order = [int(i) for i in np.argsort(-cosines, kind="stable") if i != number]
    return [(i, float(cosines[i])) for i in order[:count]]


def as_written(objects: Instances3D, threshold: float) -> Naming:
    """Names of a result as they were written; only the threshold applies."""
    vocabulary = tuple(dict.fromkeys(label for label in objects.labels if label not in (UNKNOWN, "")))
    numbers = np.array([vocabulary.index(x) if x in vocabulary else -1 for x in objects.labels], np.int64)
    numbers[objects.scores < threshold] = -1
    nothing = np.zeros((len(objects), 0), np.float32)
    return Naming(
        vocabulary,
        (),
        nothing,
        nothing,
        objects.labels,
        objects.scores,
        objects.scores.copy(),
        numbers >= 0,
        numbers,
    )
