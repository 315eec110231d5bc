"""One training example: the points of an object, the crop it was seen in, and words for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Triplet:
    """Words - crop - points.

    Attributes:
        key: unique over the whole set; letters, digits, ``_`` and ``-`` only (WebDataset cuts names at the first dot).
        points: (n, 3) float32 metres in world axes (z-up), relative to ``provenance["center"]``.
        colors: (n, 3) uint8 RGB, or None: the source has no colour.
        crop: (h, w, 3) uint8 RGB, or None: no image saw it.
        texts: at least one word or phrase, best first.
        provenance: JSON-able; always holds ``source``, ``frame`` and ``center`` (world position of the points'
            origin, metres), plus view, camera, box, score, label, quality where they exist.
    """

    key: str
    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8] | None
    texts: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError(
                f"{self.key!r} is not a key", field="triplet.key", fix="letters, digits, _ and - only"
            )
        if self.points.ndim != 2 or self.points.shape[1] != 3 or len(self.points) == 0:
            raise InputError(
                f"has shape {self.points.shape}", source=self.key, field="points", fix="give (n, 3), n > 0"
            )
        if self.points.dtype != np.float32 or not np.isfinite(self.points).all():
            raise InputError("must be finite float32", source=self.key, field="points")
        if self.colors is not None and (
            self.colors.shape != self.points.shape or self.colors.dtype != np.uint8
        ):
            raise InputError("must be uint8 of the points' shape", source=self.key, field="colors")
        if self.crop is not None and (
            self.crop.ndim != 3 or self.crop.shape[2] != 3 or self.crop.dtype != np.uint8
        ):
            raise InputError("must be (h, w, 3) uint8", source=self.key, field="crop")
        if not self.texts or any(not text.strip() for text in self.texts):
            raise InputError("needs at least one word", source=self.key, field="texts")
