"""Names of the objects of a map: probabilities of labels from embeddings and from a detector's votes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.mapping.map_object import MapObject
from clip2.teacher.text_source import labels_and_vectors
from data_prep.labels import normalize_label

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.teacher.text_source import TextSource

_AT_ONCE = 1024  # objects whose scores stay in cache
Vectors = tuple[tuple[str, ...], NDArray[np.float32]]


class Naming:
    """Probabilities of labels.

    Args:
        model: whose temperature and out-of-distribution detector are used.
        text: source of the label vectors; None: the model's own.

    Raises:
        InputError: no source, or one of another CLIP model.
    """

    def __init__(self, model: ObjectModel, text: TextSource | None) -> None:
        self._text = model.text_source(text)
        self._listed = frozenset(map(normalize_label, getattr(self._text, "names", ())))
        self._scale = model.logit_scale
        self._detector = model.ood_detector
        self._width = model.teacher.width

    def listed(self) -> frozenset[str]:
        """Labels that the source lists, normalized; empty for a text tower, which knows any text."""
        return self._listed

    def vectors(self, labels: str | Iterable[str] | None) -> Vectors:
        """Labels and their vectors (K, D); None: all labels of the source.

        Raises:
            InputError: no labels, a repeated label, or one without a vector.
        """
        return labels_and_vectors(self._text, labels)

    def probabilities(
        self, objects: Sequence[MapObject], names: Sequence[str], vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, K) probability of each label for each object.

        The softmax of the mean embedding's scaled cosines. A detector's votes for these labels enter by their summed
        score v: the result is 1 / (1 + v) of the softmax and v / (1 + v) of the votes.
        """
        scores = np.full((len(objects), len(names)), 1 / len(names), np.float32)
        rows = [i for i, one in enumerate(objects) if one.embedding is not None]
        if rows:
            sums = np.stack([objects[i].embedding for i in rows])  # type: ignore[misc]
            lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            text = np.ascontiguousarray(vectors.T, np.float32) * np.float32(self._scale)
            means = (sums / lengths).astype(np.float32, copy=False)
            out = np.empty((len(rows), len(names)), np.float32)
            for start in range(0, len(rows), _AT_ONCE):  # a block stays in the processor's cache
                part = slice(start, start + _AT_ONCE)
                logits = np.matmul(means[part], text, out=out[part])
                logits -= logits.max(axis=1, keepdims=True)
                np.exp(logits, out=logits)
                logits /= logits.sum(axis=1, keepdims=True)
            scores = out if len(rows) == len(objects) else _filled(scores, rows, out)
        column = {normalize_label(name): k for k, name in enumerate(names)}
        for i, one in enumerate(objects):
            votes = [(column[label], weight) for label, weight in one.votes.items() if label in column]
            if votes:
                total = sum(weight for _, weight in votes)
                scores[i] /= 1 + total
                for k, weight in votes:
                    scores[i, k] += weight / (1 + total)
        return scores

    def unknown(self, objects: Sequence[MapObject], false_alarm: float | None) -> NDArray[np.bool_]:
        """(N,) objects unlike the training objects, on average over their looks, that no detector has named."""
        if self._detector is None or false_alarm == 0 or not objects:
            return np.zeros(len(objects), bool)
        detector = self._detector
        if false_alarm is not None:
            detector = detector.with_quantile(min(max(1 - false_alarm, 1e-6), 1 - 1e-6))
        mean = np.array([one.strangeness / max(one.looks, 1) for one in objects])
        named = np.array([bool(one.votes) or one.looks == 0 for one in objects])
        return np.asarray((mean > detector.limit) & ~named)

    def best(
        self,
        objects: Sequence[MapObject],
        names: Sequence[str],
        vectors: NDArray[np.float32],
        false_alarm: float | None,
    ) -> tuple[list[str], NDArray[np.float32]]:
        """The most probable label of each object and its probability; ``unknown`` with 0 for strange ones."""
        if not objects:
            return [], np.zeros(0, np.float32)
        scores = self.probabilities(objects, names, vectors)
        best = scores.argmax(axis=1)
        strange = self.unknown(objects, false_alarm)
        score = np.where(strange, 0, scores[np.arange(len(best)), best]).astype(np.float32)
        labels = [
            UNKNOWN if odd else names[k] for k, odd in zip(best.tolist(), strange.tolist(), strict=True)
        ]
        return labels, score


def _filled(table: NDArray[np.float32], rows: Sequence[int], values: NDArray) -> NDArray[np.float32]:
    table[list(rows)] = values
    return table
