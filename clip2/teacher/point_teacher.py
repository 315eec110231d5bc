"""A point encoder as teacher of a smaller one: its embeddings of clouds, stored beside CLIP's vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.preprocessing import NotAnObject, local_coordinates
from clip2.teacher.text_bank import TextBank
from clip2.teacher.text_source import TextSource
from data_prep.triplets import Triplet

Encode = Callable[[Sequence[NDArray[np.float32]], Sequence[NDArray[np.uint8] | None]], NDArray[np.float32]]


@dataclass(frozen=True)
class PointTeacher:
    """A frozen point encoder.

    Attributes:
        name: as the user gave it.
        fingerprint: short hash of its weights.
        model, width: CLIP model of its embeddings, and D, their width.
        require: checks that label vectors are of that CLIP model; raises InputError.
        encode: (B, D) unit rows of B clouds (n, 3) in meters with their colors (n, 3) uint8 or None.
        bank: label vectors that the encoder carries, or None.
        templates: prompt set of its labels; the student keeps it. None if unknown.
    """

    name: str
    fingerprint: str
    model: str
    width: int
    require: Callable[[TextSource], object]
    encode: Encode
    bank: TextBank | None = None
    templates: str | None = None

    @property
    def origin(self) -> str:
        """Name without folders, and fingerprint: unique to the weights."""
        return f"{Path(self.name).name}@{self.fingerprint}"

    def bank_beside(self, teacher: TextSource | None, bank: TextBank | None) -> TextBank | None:
        """Source of the text vectors beside this encoder: what is given, or else the bank that it carries.

        Without any, the texts get no vectors, and training learns from the embeddings alone.

        Raises:
            InputError: vectors of another CLIP model.
        """
        for source in (teacher, bank):
            if source is not None:
                self.require(source)
        if teacher is not None or bank is not None:
            return bank
        return self.bank

    def embed(self, triplets: Sequence[Triplet]) -> NDArray[np.float16]:
        """(n, D) embeddings of clouds; zeros for a cloud that cannot be an object."""
        result = np.zeros((len(triplets), self.width), np.float16)
        usable = [row for row, triplet in enumerate(triplets) if _is_object(triplet)]
        if usable:
            chosen = [triplets[row] for row in usable]
            result[usable] = self.encode([one.points for one in chosen], [one.colors for one in chosen])
        return result


def _is_object(triplet: Triplet) -> bool:
    try:
        local_coordinates(triplet.points, triplet.colors, triplet.key)
    except NotAnObject:
        return False
    return True
