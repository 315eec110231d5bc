"""Triplet: the points of an object, the crop it was seen in, and labels and captions for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.associate.observation import Observation
from data_prep.errors import InputError
from data_prep.triplets.provenance import Provenance

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ObjectView:
    """A further view of the object of a triplet: another moment, or another camera.

    Attributes:
        points: (n, 3) float32 meters in world axes, relative to the ``center`` of its own record in
            ``provenance.views``; or None: only the crop was kept.
        colors: (n, 3) uint8 RGB, or None.
        crop: (h, w, 3) uint8 RGB, or None.

    Raises:
        InputError: neither points nor a crop, or arrays of other shapes or dtypes.

    >>> ObjectView(np.zeros((5, 3), np.float32), None, None).points.shape
    (5, 3)
    """

    points: NDArray[np.float32] | None
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8] | None

    def __post_init__(self) -> None:
        if self.points is None and self.crop is None:
            raise InputError("has neither points nor a crop", field="view")
        if self.points is not None:
            _check_cloud("view", self.points, self.colors)
        _check_crop("view", self.crop)


@dataclass(frozen=True)
class Triplet:
    """Labels, crop and points of one object.

    Attributes:
        key: unique over the whole set; letters, digits, ``_`` and ``-`` only (WebDataset cuts names at the first dot).
        points: (n, 3) float32 meters in world axes (z-up), relative to ``provenance.center``.
        colors: (n, 3) uint8 RGB, or None: the source has no color.
        crop: (h, w, 3) uint8 RGB, or None: no image saw it.
        texts: at least one label or caption, best first.
        provenance: where it comes from.
        views: further views of the same object, best first; ``provenance.views[i + 1]`` describes ``views[i]``,
            ``provenance.views[0]`` describes ``crop``. Empty if every detection is its own object.

    Raises:
        InputError: a key, texts or arrays of another form; the field is named.

    >>> mug = Triplet("mug-1", np.zeros((3, 3), np.float32), None, None, ("mug", "a red mug"))
    >>> mug.texts[0], mug.points.shape
    ('mug', (3, 3))
    """

    key: str
    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8] | None
    texts: tuple[str, ...]
    provenance: Provenance = field(default_factory=Provenance)
    views: tuple[ObjectView, ...] = ()

    @classmethod
    def of(cls, observation: Observation, lifter: Mapping[str, Any] | None = None) -> Triplet:
        """Triplet of an observation, merged or single.

        Args:
            observation: the observation.
            lifter: name and settings of the lifter, for the provenance.
        """
        further = () if observation.association is None else observation.association.views[1:]
        return cls(
            key=observation.key,
            points=observation.points,
            colors=observation.colors,
            crop=observation.crop,
            texts=observation.texts,
            provenance=Provenance.of(observation, lifter),
            views=tuple(ObjectView(view.points, view.colors, view.crop) for view in further),
        )

    @property
    def crops(self) -> tuple[NDArray[np.uint8], ...]:
        """All crops, best first."""
        return tuple(crop for crop in (self.crop, *(view.crop for view in self.views)) if crop is not None)

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError(
                f"{self.key!r} is not a key", field="triplet.key", fix="letters, digits, _ and - only"
            )
        if not isinstance(self.provenance, Provenance):
            raise InputError(
                "is not a Provenance",
                source=self.key,
                field="provenance",
                fix="use Provenance.from_json(mapping)",
            )
        _check_cloud(self.key, self.points, self.colors)
        _check_crop(self.key, self.crop)
        if not self.texts or any(not text.strip() for text in self.texts):
            raise InputError("needs at least one label", source=self.key, field="texts")


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
