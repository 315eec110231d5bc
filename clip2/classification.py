"""Names for objects, and how probable each is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN


@dataclass(frozen=True)
class Classification:
    """Names for B objects among K labels.

    Attributes:
        labels: the K labels asked for.
        scores: (B, K) float32 probabilities, rows sum to 1 over the labels asked for.
        embeddings: (B, D) float32 unit rows.
        familiar: (B,) bool, False for objects unlike all that the model was trained on; all True where the model
            carries no statistics of those.
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    familiar: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def best(self) -> tuple[str, ...]:
        """The most probable label of each object, ``unknown`` for those that are not familiar."""
        chosen = self.scores.argmax(axis=1)
        return tuple(
            self.labels[i] if known else UNKNOWN for i, known in zip(chosen, self.familiar, strict=True)
        )

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """The ``k`` most probable labels of each object with their probabilities, best first, familiar or not."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :k]
        return [
            [(self.labels[j], float(row[j])) for j in best]
            for row, best in zip(self.scores, order, strict=True)
        ]
