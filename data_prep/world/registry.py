"""The categories of the world: one decorated function each, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import numpy as np

from data_prep.errors import InputError
from data_prep.world.palette import COLORS
from data_prep.world.solids import Parts

Setting = Literal["room", "street"]
Builder = Callable[[np.random.Generator], Parts]

NAMELESS = "object"  # the label of what has no category; many detectors call everything so

_CATEGORIES: dict[str, Category] = {}
_THEMES = (
    "seating",
    "furniture",
    "bathroom",
    "lamps",
    "tableware",
    "cookware",
    "kitchen",
    "appliances",
    "luggage",
    "things",
    "toys",
    "vehicles",
    "cycles",
    "street",
    "signs",
    "nature",
)


@dataclass(frozen=True)
class Category:
    """What the world knows about one kind of thing.

    Attributes:
        name: LVIS, COCO, Objects365, Open Images or nuScenes word, spaces between words.
        build: makes one instance of natural (medium) size from a random generator.
        setting: where it is found.
        spot: ``wall`` backs against a wall, ``floor`` stands free, ``table`` stands on furniture, ``seat`` is drawn up
            to tables; on streets ``road``, ``kerb``, ``walk`` (sidewalk).
        extent: smallest and largest plausible longest side over all sizes, meters.
        synonyms: other words that mean the same thing.
        confusions: categories that a detector may take it for.
        materials, patterns, colors: what it may be made of and look like.
    """

    name: str
    build: Builder
    setting: Setting
    spot: str
    extent: tuple[float, float]
    synonyms: tuple[str, ...]
    confusions: tuple[str, ...]
    materials: tuple[str, ...]
    patterns: tuple[str, ...]
    colors: tuple[str, ...]


def category(
    *,
    setting: Setting,
    spot: str,
    extent: tuple[float, float],
    synonyms: tuple[str, ...] = (),
    confusions: tuple[str, ...] = (),
    materials: tuple[str, ...] = ("plastic",),
    patterns: tuple[str, ...] = ("plain",),
    colors: tuple[str, ...] = tuple(COLORS),
) -> Callable[[Builder], Builder]:
    """Decorator on a function named like the category (``_`` for spaces); see :class:`Category` for the arguments."""

    def register(build: Builder) -> Builder:
        name = build.__name__.strip("_").replace("_", " ")
        _CATEGORIES[name] = Category(
            name, build, setting, spot, extent, synonyms, confusions, materials, patterns, colors
        )
        return build

    return register


def list_categories(setting: Setting | None = None, spot: str | None = None) -> list[str]:
    """Names of all categories, sorted, or of those in one setting or at one spot."""
    _load()
    return sorted(
        c.name
        for c in _CATEGORIES.values()
        if (setting is None or c.setting == setting) and (spot is None or c.spot == spot)
    )


def get_category(name: str) -> Category:
    """The category of that name.

    Raises:
        InputError: there is none.
    """
    _load()
    if name not in _CATEGORIES:
        near = difflib.get_close_matches(name, _CATEGORIES, n=1)
        raise InputError(
            f"{name!r} is unknown",
            field="category",
            fix=f"did you mean {near[0]!r}?" if near else "see list_categories()",
        )
    return _CATEGORIES[name]


def _load() -> None:
    for theme in _THEMES:
        import_module(f"data_prep.world.{theme}")
