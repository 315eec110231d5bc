"""One object: a category's parts at a size, in a color, of a material."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

import numpy as np
import trimesh
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.world.palette import COLORS, SIZES, Paint, mix_paints
from data_prep.world.registry import NAMELESS, get_category
from data_prep.world.solids import Parts
from data_prep.world.surface import Surface, Tracer


@dataclass(frozen=True)
class ProceduralObject:
    """An object in its own axes: z up, +x its front, standing on z = 0 around the origin.

    Attributes:
        category: its name, or :data:`registry.NAMELESS`.
        color, size_word, material, pattern: words that are true of it.
        features: phrases about its parts (``four legs``).
        surface: its painted triangles.
        top: half sizes x, y and height z of a surface that things can stand on, or None. Meters.
    """

    category: str
    color: str
    size_word: str
    material: str
    pattern: str
    features: tuple[str, ...]
    surface: Surface = field(repr=False)
    top: tuple[float, float, float] | None = None

    @cached_property
    def extent(self) -> NDArray[np.float64]:
        """(3,) full lengths along its own x, y, z in meters."""
        corners = self.surface.corners.reshape(-1, 3)
        size: NDArray[np.float64] = (corners.max(axis=0) - corners.min(axis=0)).astype(np.float64)
        return size

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against this object alone."""
        return Tracer(self.surface)

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Other words for its category."""
        return () if self.category == NAMELESS else get_category(self.category).synonyms

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The object as a mesh with face colors, for other tools."""
        count = len(self.surface)
        colors = np.full((count, 4), 255, np.uint8)
        colors[:, :3] = np.rint((self.surface.a + self.surface.b) * 127.5)
        return trimesh.Trimesh(
            self.surface.corners.reshape(-1, 3),
            np.arange(3 * count).reshape(-1, 3),
            face_colors=colors,
            process=False,
        )


def make_object(
    category: str,
    rng: np.random.Generator | int,
    *,
    color: str | None = None,
    size: str | None = None,
) -> ProceduralObject:
    """Make one instance.

    Args:
        category: one of ``list_categories()``.
        rng: source of all its variety; a seed gives the same object every time.
        color: a word of ``palette.COLORS``; None draws one that suits the category.
        size: a word of ``palette.SIZES``; None draws one.

    Raises:
        InputError: an unknown category, color or size.
    """
    kind = get_category(category)
    for value, known, name in ((color, COLORS, "color"), (size, SIZES, "size")):
        if value is not None and value not in known:
            raise InputError(f"{value!r} is unknown", field=name, fix=f"use one of {', '.join(known)}")
    if isinstance(rng, int | np.integer):  # the same seed must not make every category red
        rng = np.random.default_rng([int(rng), crc32(category.encode())])
    generator = rng
    # Every word is drawn whether or not it is given, so that asking for red changes nothing but the color.
    drawn_color = kind.colors[generator.integers(len(kind.colors))]
    drawn_size = list(SIZES)[generator.integers(len(SIZES))]
    material = kind.materials[generator.integers(len(kind.materials))]
    pattern = kind.patterns[generator.integers(len(kind.patterns))] if generator.random() < 0.6 else "plain"
    color, size = color or drawn_color, size or drawn_size
    scale = float(np.interp(generator.random(), (0, 1), SIZES[size]))
    paint_rng, shape_rng = generator.spawn(2)

    parts = kind.build(shape_rng)
    corners = np.concatenate([solid.corners.reshape(-1, 3) for solid in parts.solids])
    low, high = corners.min(axis=0), corners.max(axis=0)
    paints = mix_paints(color, material, pattern, float((high - low).max()), paint_rng)
    surface, top = stand(parts, paints, scale)
    return ProceduralObject(
        category, color, size, material, pattern, tuple(dict.fromkeys(parts.features)), surface, top
    )


def stand(
    parts: Parts, paints: dict[str, Paint], scale: float
) -> tuple[Surface, tuple[float, float, float] | None]:
    """Paint parts, scale them and set them on z = 0 around the origin; with what was their ``top``."""
    surface = Surface.paint(parts.solids, paints)
    corners = surface.corners.reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    surface.corners = (surface.corners - origin) * np.float32(scale)
    surface.local = surface.corners
    top = None if parts.top is None else (parts.top[0] * scale, parts.top[1] * scale, parts.top[2] * scale)
    return surface, top
