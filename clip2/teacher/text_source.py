"""What the rest of the package needs from whatever turns words into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class TextSource(Protocol):
    """Words → vectors: a :class:`~clip2.teacher.TextBank` (a file) or a :class:`~clip2.teacher.Teacher` (a network).

    Attributes:
        model: canonical name of the CLIP model the vectors belong to.
        width: D, numbers per vector.
    """

    @property
    def model(self) -> str: ...

    @property
    def width(self) -> int: ...

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows, in the order of the K labels.

        Raises:
            InputError: no labels, a label twice, or a label this source has no vector for.
        """
        ...
