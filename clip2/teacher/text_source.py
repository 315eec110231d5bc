"""What the rest of the package needs from whatever turns words into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


@runtime_checkable
class TextSource(Protocol):
    """Words → vectors: a :class:`~clip2.teacher.TextBank` (a file) or a :class:`~clip2.teacher.Teacher` (a network).

    Attributes:
        model: canonical name of the CLIP model the vectors belong to.
        width: D, numbers per vector.
        templates: prompt set its vectors are made with, a key of ``PROMPTS``; None: not known.
    """

    @property
    def model(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def templates(self) -> str | None: ...

    def with_templates(self, templates: str) -> Self:
        """This source, speaking in another prompt set; a file of vectors cannot, unless it never said its own.

        Raises:
            InputError: it cannot.
        """
        ...

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows, in the order of the K labels.

        Raises:
            InputError: no labels, a label twice, or a label this source has no vector for.
        """
        ...
