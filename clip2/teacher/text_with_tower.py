"""Text source of a model without one from its user: bank first, text tower for any other label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import parse_labels
from clip2.teacher.bundled import BundledTeacher, bundled_teacher
from clip2.teacher.cached_text import CachedText
from clip2.teacher.prompts import require_templates
from clip2.teacher.text_bank import TextBank
from clip2.teacher.text_source import TextSource
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher


def own_text_source(
    model: str, width: int, bank: TextBank | None, templates: str | None
) -> TextSource | None:
    """Text source of a model without one from its user: the bank, with the text tower of a bundled teacher behind it.

    Args:
        model: canonical name of the model's teacher.
        width: D, width of the teacher's vectors.
        bank: labels that travel with the model, or None.
        templates: prompt set that the model was trained against; None if unknown.

    Returns:
        Without a bank and a bundled teacher: the CLIP model's own text tower, loaded when a label is asked for that the
        user cache does not hold; None if the model's name does not tell which CLIP that is.
    """
    teacher = bundled_teacher(model)
    if teacher is None or not teacher.has_text_tower:
        if bank is None and "/" in model and ":" not in model:
            return CachedText(model, width, templates or "clip2")
        return bank
    return BankWithTower(teacher, model, width, bank, templates or (None if bank is None else bank.templates))


@dataclass(frozen=True, eq=False)
class BankWithTower:
    """A :class:`~clip2.teacher.TextSource` that embeds any label.

    The tower is loaded for the first label that is not in the bank; open_clip is not imported before.

    Attributes:
        teacher: the bundled teacher with the text tower.
        model: ``NAME@FINGERPRINT`` of the weights that the vectors belong to.
        width: D, width of the vectors.
        bank: labels with known vectors, or None.
        templates: prompt set; None: unknown, and the tower uses the teacher's default.
    """

    teacher: BundledTeacher
    model: str
    width: int
    bank: TextBank | None
    templates: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The labels of the bank."""
        return () if self.bank is None else self.bank.names

    def with_templates(self, templates: str) -> BankWithTower:
        """The same source with another prompt set.

        Raises:
            InputError: an unknown prompt set, or another one than the bank's.
        """
        require_templates(templates)
        bank = None if self.bank is None else self.bank.with_templates(templates)
        return replace(self, bank=bank, templates=templates)

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows.

        Raises:
            InputError: no labels, one twice, or the installed tower is not the model's teacher.
        """
        asked = parse_labels(labels)
        rows = [None if self.bank is None else self.bank.find(label) for label in asked]
        vectors = np.empty((len(asked), self.width), dtype=np.float32)
        for i, row in enumerate(rows):
            if row is not None:
                assert self.bank is not None
                vectors[i] = self.bank.embeddings[row]
        new = [i for i, row in enumerate(rows) if row is None]
        if new:
            missing = [asked[i] for i in new]
            templates = self.templates or self.teacher.templates
            vectors[new] = self._tower(missing[0]).encode_texts(missing, templates)
        return vectors

    def _tower(self, label: str) -> Teacher:
        tower = _load(self.teacher.name, self.teacher.folder)
        if tower.model != self.model:
            raise InputError(
                f"{label!r} is not in its bank, and the installed text tower is {tower.model}, not {self.model}",
                source="model",
                field="labels",
                fix="use labels of the bank, or the clip2 release that the model was trained with",
            )
        return tower


@cache
def _load(name: str, folder: Path) -> Teacher:
    """The tower, once per process and folder."""
    from clip2.teacher.teacher import Teacher

    return Teacher.load(name)
