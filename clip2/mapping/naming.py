"""Names of the objects of a map: probabilities of labels from embeddings and from a detector's votes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import data_prep.native as native
from clip2.labels import UNKNOWN
from clip2.mapping.map_object import MapObject
from clip2.teacher.text_source import labels_and_vectors
from data_prep.labels import normalize_label
from data_prep.scale.blas import single_threaded_blas

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
        means = mean_embeddings(objects, self._width)
        scores = np.empty((len(objects), len(names)), np.float32)

        def normalize(part: slice, weights: NDArray[np.float32], _: NDArray[np.int64]) -> None:
            np.divide(weights, weights.sum(axis=1, keepdims=True), out=scores[part])

        self._each_block(means, vectors, normalize)
        column = {normalize_label(name): k for k, name in enumerate(names)}
        for i, one in enumerate(objects):
            votes = [(column[label], weight) for label, weight in one.votes.items() if label in column]
            if votes:
                total = sum(weight for _, weight in votes)
                scores[i] /= 1 + total
                for k, weight in votes:
                    scores[i, k] += weight / (1 + total)
        return scores

    def _each_block(
        self,
        means: NDArray[np.float32],
        vectors: NDArray[np.float32],
        use: Callable[[slice, NDArray[np.float32], NDArray[np.int64]], object],
    ) -> None:
        """Call ``use`` with every block of rows that stays in the processor's cache, on all cores.

        It gets the rows, the exponentials below their softmax, and the best column of each.
        """
        text = (vectors.astype(np.float32, copy=False) * np.float32(self._scale)).T

        def work(start: int) -> None:
            part = slice(start, min(start + _AT_ONCE, len(means)))
            logits = means[part] @ text
            best = logits.argmax(axis=1)
            logits -= logits[np.arange(len(logits)), best][:, None]
            use(part, np.exp(logits, out=logits), best)

        starts = range(0, len(means), _AT_ONCE)
        if len(starts) < 2:
            deque(map(work, starts), maxlen=0)
        else:  # numpy lets other threads run; each block is multiplied on one
            with ThreadPoolExecutor(native.threads()) as pool, single_threaded_blas():
                deque(pool.map(work, starts), maxlen=0)

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
        means: NDArray[np.float32] | None = None,
    ) -> tuple[list[str], NDArray[np.float32]]:
        """The most probable label of each object and its probability; ``unknown`` with 0 for strange ones.

        ``means`` are the :func:`mean_embeddings` of the objects, if they are known already.
        """
        if not objects:
            return [], np.zeros(0, np.float32)
        best, score = np.zeros(len(objects), np.int64), np.zeros(len(objects), np.float32)
        # The table of all probabilities is not needed: the best one is 1 over the sum.
        means = mean_embeddings(objects, self._width) if means is None else means

        def keep(part: slice, weights: NDArray[np.float32], columns: NDArray[np.int64]) -> None:
            best[part], score[part] = columns, 1 / weights.sum(axis=1)

        self._each_block(means, vectors, keep)
        if voted := [i for i, one in enumerate(objects) if one.votes]:
            table = self.probabilities([objects[i] for i in voted], names, vectors)
            best[voted], score[voted] = table.argmax(axis=1), table.max(axis=1)
        strange = self.unknown(objects, false_alarm)
        score[strange] = 0
        labels = [
            UNKNOWN if odd else names[k] for k, odd in zip(best.tolist(), strange.tolist(), strict=True)
        ]
        return labels, score


def mean_embeddings(objects: Sequence[MapObject], width: int) -> NDArray[np.float32]:
    """(N, D) unit rows; zeros for objects that were never encoded."""
    nothing = np.zeros(width, np.float32)
    sums = [nothing if one.embedding is None else one.embedding for one in objects]
    rows = np.concatenate([nothing[:0], *sums]).reshape(-1, width)
    rows *= (1 / np.maximum(np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1e-9))[:, None]
    return rows
