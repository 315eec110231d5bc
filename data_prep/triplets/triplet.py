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
class Look:
    """One more look at the object of a triplet: another moment, or another camera.

    Attributes:
        points: (n, 3) float32 meters in world axes, relative to the ``center`` of its own record in
            ``provenance["views"]``; or None: only the crop was kept.
        colors: (n, 3) uint8 RGB, or None.
        crop: (h, w, 3) uint8 RGB, or None.
    """

    points: NDArray[np.float32] | None
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8] | None

    def __post_init__(self) -> None:
        if self.points is None and self.crop is None:
            raise InputError("has neither points nor a crop", field="look")
        if self.points is not None:
            _check_cloud("look", self.points, self.colors)
        _check_crop("look", self.crop)


@dataclass(frozen=True)
class Triplet:
    """Words - crop - points.

    Attributes:
        key: unique over the whole set; letters, digits, ``_`` and ``-`` only (WebDataset cuts names at the first dot).
        points: (n, 3) float32 meters in world axes (z-up), relative to ``provenance["center"]``.
        colors: (n, 3) uint8 RGB, or None: the source has no color.
        crop: (h, w, 3) uint8 RGB, or None: no image saw it.
        texts: at least one word or phrase, best first.
        looks: further looks at the same object, best first; ``provenance["views"][i + 1]`` tells of ``looks[i]``,
            ``provenance["views"][0]`` of ``crop``. Empty where each detection is an object of its own.
        provenance: JSON-able; always holds ``source``, ``frame`` and ``center`` (world position of the points'
            origin, meters), plus view, camera, box, score, label, quality where they exist.
    """

    key: str
    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8] | None
    texts: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    looks: tuple[Look, ...] = ()

    @property
    def crops(self) -> tuple[NDArray[np.uint8], ...]:
        """All crops, best first."""
        return tuple(crop for crop in (self.crop, *(look.crop for look in self.looks)) if crop is not None)

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError(
                f"{self.key!r} is not a key", field="triplet.key", fix="letters, digits, _ and - only"
            )
        _check_cloud(self.key, self.points, self.colors)
        _check_crop(self.key, self.crop)
        if not self.texts or any(not text.strip() for text in self.texts):
            raise InputError("needs at least one word", source=self.key, field="texts")


def _check_cloud(name: str, points: NDArray[np.float32], colors: NDArray[np.uint8] | None) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise InputError(f"has shape {points.shape}", source=name, field="points", fix="give (n, 3), n > 0")
    if points.dtype != np.float32 or not np.isfinite(points).all():
        raise InputError("must be finite float32", source=name, field="points")
    if colors is not None and (colors.shape != points.shape or colors.dtype != np.uint8):
        raise InputError("must be uint8 of the points' shape", source=name, field="colors")


def _check_crop(name: str, crop: NDArray[np.uint8] | None) -> None:
    if crop is not None and (crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8):
        raise InputError("must be (h, w, 3) uint8", source=name, field="crop")
