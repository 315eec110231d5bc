"""Text source of a named CLIP model: vectors from the user cache, and its text tower for labels that are not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from clip2.labels import parse_labels
from clip2.teacher.prompts import require_templates
from clip2.teacher.text_cache import TextCache
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.teacher.text_tower import TextTower


def _say(line: str) -> None:
    print(f"clip2: {line}", file=sys.stderr)


@dataclass(frozen=True)
class CachedText:
    """A :class:`~clip2.teacher.TextSource` that embeds any label and computes each only once per machine.

    Nothing is loaded or downloaded before a label is asked for that the cache does not hold.

    Attributes:
        model: canonical name of the CLIP model.
        width: D, width of its vectors.
        templates: prompt set.
        name: what to load the tower by; None: ``model``.
        device: device of the tower.
        precision: of the tower's weights: ``fp32``, or ``bf16`` for half the memory.
        tell: called with a line before anything slow.
    """

    model: str
    width: int
    templates: str
    name: str | None = None
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    tell: Callable[[str], None] = _say

    def with_templates(self, templates: str) -> CachedText:
        """The same source with another prompt set.

        Raises:
            InputError: an unknown prompt set.
        """
        require_templates(templates)
        return replace(self, templates=templates)

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows.

        Raises:
            InputError: no labels, one twice, a tower that cannot be had or is of another width, or an unusable cache.
        """
        asked = parse_labels(labels)
        store, space = TextCache(), self._space()
        known = store.get(space, self.templates, asked)
        missing = [label for label in asked if label not in known or len(known[label]) != self.width]
        if missing:
            tower = _load(self.name or self.model, self._declared(), self.device, self.precision, self.tell)
            if tower.width != self.width:
                raise InputError(
                    f"is {tower.width} wide, the model was trained against vectors of {self.width}",
                    source=self.name or self.model,
                    field="text tower",
                    fix=f"use {self.model}",
                )
            vectors = tower.encode_texts(missing, self.templates, tell=self.tell)
            new = dict(zip(missing, vectors, strict=True))
            store.put(space, self.templates, new)
            known |= new
        return np.stack([known[label] for label in asked])

    def _declared(self) -> str | None:
        return self.model if (self.name or "").startswith("local-dir:") else None

    def _space(self) -> str:
        """Key of the cache: other weights under the same name must not share vectors."""
        precision = "" if self.precision == "fp32" else f" {self.precision}"
        if self._declared() is None:
            return self.model + precision
        folder = Path(str(self.name).removeprefix("local-dir:")).expanduser()
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        stamps = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
        return f"{self.model} {folder.resolve()} {' '.join(stamps)}{precision}"


@cache
def _load(
    name: str,
    declared: str | None,
    device: str,
    precision: Literal["fp32", "bf16"],
    tell: Callable[[str], None],
) -> TextTower:
    """The tower, once per process."""
    from clip2.teacher.text_tower import TextTower

    return TextTower.load(name, device, model=declared, precision=precision, tell=tell)
