"""Registry of object categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data_prep.registry import Registry
from data_prep.world.palette import COLORS
from data_prep.world.solids import Parts

Setting = Literal["room", "street", "city"]
Builder = Callable[[Parts, np.random.Generator], None]

NAMELESS = "object"  # label of things without a category; many detectors give it to everything
SPOTS: dict[str, Setting] = {
    **dict.fromkeys(("wall", "floor", "center", "table", "seat"), "room"),
    **dict.fromkeys(("road", "road edge", "curb", "curbside", "walk"), "street"),
    **dict.fromkeys(("car", "van", "ride", "tree", "background"), "city"),
}
CATEGORIES: Registry[Category] = Registry("category")


@dataclass(frozen=True)
class Category:
    """One kind of object.

    Attributes:
        name: label from LVIS, COCO, Objects365, Open Images or nuScenes, with spaces.
        build: adds the parts of one instance of natural (medium) size.
        spot: a key of ``SPOTS``: ``wall`` backs against a wall, ``floor`` and ``center`` are free-standing, ``table``
            sits on furniture, ``seat`` is drawn up to tables; on streets ``road``, ``curb``, ``walk`` (sidewalk);
            in cities ``car``, ``van``, ``ride``, ``tree`` and ``background``.
        extent: smallest and largest plausible longest side over all sizes, meters.
        synonyms: other labels for the same thing.
        confusions: categories that a detector may take it for.
        materials, patterns, colors: what an instance is drawn from; repeated entries are more likely.
        label: what its instances are called; several categories can share one (``panel van``, ``box van``: van).
    """

    name: str
    build: Builder
    spot: str
    extent: tuple[float, float]
    synonyms: tuple[str, ...]
    confusions: tuple[str, ...]
    materials: tuple[str, ...]
    patterns: tuple[str, ...]
    colors: tuple[str, ...]
    label: str

    @property
    def setting(self) -> Setting:
        """``room``, ``street`` or ``city``."""
        return SPOTS[self.spot]


def category(
    spot: str,
    extent: tuple[float, float],
    synonyms: str,
    *,
    like: str = "",
    of: str = "plastic",
    patterns: str = "plain",
    colors: str = ", ".join(COLORS),
    label: str = "",
) -> Callable[[Builder], Builder]:
    """Register the decorated builder as a category named after the function (``_`` for spaces).

    Args:
        spot, extent: see :class:`Category`.
        synonyms, patterns, colors: see :class:`Category`; separated by commas.
        like: its ``confusions``, separated by commas.
        of: its ``materials``, separated by commas.
        label: what its instances are called; empty: the category's name.
    """

    def register(build: Builder) -> Builder:
        name = build.__name__.strip("_").replace("_", " ")
        a, b, c, d, e = (
            tuple(text.split(", ")) if text else () for text in (synonyms, like, of, patterns, colors)
        )
        CATEGORIES.register(name)(Category(name, build, spot, extent, a, b, c, d, e, label or name))
        return build

    return register
