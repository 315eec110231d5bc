"""Words of a bank first, any other phrase by the text tower that ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import parse_labels
from clip2.teacher import bundled
from clip2.teacher.prompts import require_templates
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher
    from clip2.teacher.text_bank import TextBank

_PREFIX = f"{bundled.NAME}@"
_DEFAULT_TEMPLATES = "clip2"


def is_taught_by_mini(model: str) -> bool:
    """Whether this embedding space is one of the embedded teacher's."""
    return model.startswith(_PREFIX)


@dataclass(frozen=True, eq=False)
class BankWithTower:
    """A :class:`~clip2.teacher.TextSource` for models taught by ``mini``: no phrase is without a vector.

    The tower is loaded when the first word comes that the bank does not have; open_clip is not imported before.

    Attributes:
        model: ``mini@…`` with the fingerprint of the teacher's weights.
        width: D, numbers per vector.
        bank: words with known vectors, or None.
        templates: prompt set; None: the bank does not say, and what the tower adds is in the default one.
    """

    model: str
    width: int
    bank: TextBank | None
    templates: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The words of the bank."""
        return () if self.bank is None else self.bank.names

    def with_templates(self, templates: str) -> BankWithTower:
        """The same source, speaking in another prompt set.

        Raises:
            InputError: the bank speaks in others, or there is no such set.
        """
        require_templates(templates)
        bank = None if self.bank is None else self.bank.with_templates(templates)
        return replace(self, bank=bank, templates=templates)

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows.

        Raises:
            InputError: no labels, one twice, or the tower that ships is not the one the model was taught with.
        """
        words = parse_labels(labels)
        rows = [None if self.bank is None else self.bank.find(word) for word in words]
        vectors = np.empty((len(words), self.width), dtype=np.float32)
        for i, row in enumerate(rows):
            if row is not None:
                assert self.bank is not None
                vectors[i] = self.bank.embeddings[row]
        new = [i for i, row in enumerate(rows) if row is None]
        if new:
            asked = [words[i] for i in new]
            vectors[new] = self._tower(asked).encode_texts(asked, self.templates or _DEFAULT_TEMPLATES)
        return vectors

    def _tower(self, asked: Sequence[str]) -> Teacher:
        tower = _load(bundled.FOLDER)
        if tower.model != self.model:
            raise InputError(
                f"{asked[0]!r} is not among its words, and the text tower here is {tower.model}, not {self.model}",
                source="model",
                field="labels",
                fix="use the words that travel with the model, or the clip2 release it was trained with",
            )
        return tower


@cache
def _load(folder: Path) -> Teacher:
    """The tower, once per process; ``folder`` is where it is read from."""
    from clip2.teacher.teacher import Teacher

    return Teacher.load(bundled.NAME)
