"""Zero-shot classification: softmax over label vectors, and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.labels import UNKNOWN
from data_prep.errors import InputError


@dataclass(frozen=True)
class Classification:
    """Labels of B objects, chosen among K.

    Attributes:
        labels: the K labels asked for.
        scores: (B, K) float32 probabilities; rows sum to 1 over the labels asked for.
        embeddings: (B, D) float32 unit rows.
        in_distribution: (B,) bool, False for objects unlike anything in the training set; all True if the model has
            no out-of-distribution detector.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    >>> found = Classification(("chair", "table"), scores, np.eye(2, dtype=np.float32), np.array([True, False]))
    >>> found.best
    ('chair', 'unknown')
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    in_distribution: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def best(self) -> tuple[str, ...]:
        """The most probable label of each object; ``unknown`` for objects out of distribution."""
        chosen = self.scores.argmax(axis=1)
        return tuple(
            self.labels[i] if known else UNKNOWN
            for i, known in zip(chosen, self.in_distribution, strict=True)
        )

    def to_json(self, files: Sequence[str], top: int = 3, unknown: str = "keep") -> dict[str, Any]:
        """A dict for ``json``, as ``clip2 classify --json`` prints it.

        Args:
            files: B names of the objects.
            top: number of labels per object.
            unknown: ``keep`` calls objects out of distribution ``unknown``, ``name`` gives them their best label.
        """
        named = [bool(known) or unknown == "name" for known in self.in_distribution]
        return {
            "labels": list(self.labels),
            "objects": [
                {
                    "file": file,
                    "label": best[0][0] if known else UNKNOWN,
                    "score": best[0][1] if known else 0.0,
                    "top": [{"label": label, "score": score} for label, score in best],
                }
                for file, best, known in zip(files, self.top(top), named, strict=True)
            ],
        }

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """The ``k`` most probable labels of each object with their probabilities, best first, ``unknown`` or not."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :k]
        return [
            [(self.labels[j], float(row[j])) for j in best]
            for row, best in zip(self.scores, order, strict=True)
        ]


def zero_shot_classify(embeddings: Any, text: Any, logit_scale: float = 100.0) -> NDArray[np.float32]:
    """Probabilities of K labels for B objects: softmax of scaled cosines (CLIP, arXiv 2103.00020).

    Args:
        embeddings: (B, D) object vectors, array or tensor, of any length; rows are normalized here.
        text: (K, D) label vectors.
        logit_scale: factor of the cosines; CLIP's learned value is 100.

    Returns:
        (B, K) float32, rows sum to 1.

    Raises:
        InputError: shapes that do not fit, no labels, values that are not finite, a vector of length zero.

    >>> zero_shot_classify([[2.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], logit_scale=0.0).tolist()
    [[0.5, 0.5]]
    """
    objects, labels = _unit(embeddings, "embeddings"), _unit(text, "text")
    if len(labels) == 0 or objects.shape[1] != labels.shape[1]:
        raise InputError(
            f"is {labels.shape}, the embeddings are {objects.shape}",
            field="text",
            fix="give at least one label vector, as wide as the embeddings",
        )
    # A factor in numpy's float64 would turn everything after it into float64.
    return softmax((float(logit_scale) * objects) @ labels.T, axis=1).astype(np.float32, copy=False)


def finite_array(values: Any, name: str) -> NDArray:
    """A numpy array of an array or tensor on any device.

    Raises:
        InputError: NaN or infinite values.
    """
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    array = np.asarray(values)
    if not np.isfinite(array).all():
        raise InputError("holds NaN or inf", field=name, fix="check the step that computed them")
    return array


def _unit(vectors: Any, name: str) -> NDArray[np.floating]:
    """Unit rows; float32 stays float32, because copying a large vocabulary to float64 would dominate the run time."""
    rows = finite_array(vectors, name)
    rows = rows.astype(np.float32 if rows.dtype in (np.float32, np.float16) else np.float64, copy=False)
    if rows.ndim != 2:
        raise InputError(f"is {rows.shape}", field=name, fix="give (count, width)")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError("holds a vector of length zero", field=name, fix="leave such rows out")
    unit: NDArray[np.floating] = rows / lengths
    return unit
