"""Query phrases: attributes and relations, answered by geometry, colors and embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.map_object import MapObject
from clip2.mapping.naming import Naming, Vectors


def answer(
    objects: Sequence[MapObject],
    labels: str | Iterable[str] | None,
    naming: Naming,
    false_alarm: float | None,
    default: Vectors,
) -> tuple[list[int], list[str], NDArray[np.float32], tuple[str, ...]]:
    """Numbers of the objects that fit, their labels and probabilities, and the labels asked for."""
    names, vectors = default if labels is None else naming.vectors(labels)
    best, scores = naming.best(objects, names, vectors, false_alarm)
    return list(range(len(objects))), best, scores, names
