"""Named colors, paints, solid textures and sizes.

A category paints its parts with paint names. ``main`` is the object's named color in its material; the others
(``metal``, ``glass``, ``rubber`` …) look the same on every object, so that the named color stays true.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# The eleven basic color terms of English (Berlin and Kay 1969), as sRGB in 0..1.
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.10, 0.09),
    "orange": (0.96, 0.48, 0.05),
    "yellow": (0.95, 0.84, 0.12),
    "green": (0.14, 0.58, 0.20),
    "blue": (0.10, 0.28, 0.80),
    "purple": (0.46, 0.17, 0.66),
    "pink": (0.97, 0.55, 0.72),
    "brown": (0.40, 0.23, 0.11),
    "black": (0.07, 0.07, 0.08),
    "white": (0.93, 0.93, 0.91),
    "grey": (0.50, 0.51, 0.53),
}
# Size -> range of factors on the category's natural size. The gaps keep the sizes distinguishable.
SIZES: dict[str, tuple[float, float]] = {"small": (0.74, 0.84), "medium": (0.95, 1.06), "large": (1.18, 1.32)}

PLAIN, WOOD, STRIPES, CHECKS, DOTS, WEAVE, SPECKLE, LEAVES, BRICK, WINDOWS, TILES, PLANKS, GROUND = range(13)
PATTERNS = {"plain": PLAIN, "striped": STRIPES, "checkered": CHECKS, "dotted": DOTS}


@dataclass(frozen=True)
class Paint:
    """Look of a surface: colors ``a`` and ``b`` (sRGB 0..1) mixed by a texture, and how much it shines.

    Attributes:
        texture: one of the texture numbers of this module.
        scale: meters that one period of the texture takes.
        gloss: 0 matt .. 1 mirror-like highlight.
        glow: 0 lit by the lamps .. 1 shines by itself.
    """

    a: tuple[float, float, float]
    b: tuple[float, float, float] | None = None
    texture: int = PLAIN
    scale: float = 0.1
    gloss: float = 0.1
    glow: float = 0.0


# Material -> (texture, scale in meters, contrast of b against a, gloss).
MATERIALS: dict[str, tuple[int, float, float, float]] = {
    "wood": (WOOD, 0.12, 0.72, 0.15),
    "plastic": (PLAIN, 0.1, 1.0, 0.35),
    "metal": (PLAIN, 0.1, 1.0, 0.7),
    "fabric": (WEAVE, 0.02, 0.86, 0.0),
    "leather": (SPECKLE, 0.03, 0.9, 0.3),
    "ceramic": (PLAIN, 0.1, 1.0, 0.8),
    "paper": (PLAIN, 0.1, 1.0, 0.02),
    "glass": (PLAIN, 0.1, 1.0, 0.9),
    "wicker": (CHECKS, 0.03, 0.78, 0.05),
    "rubber": (PLAIN, 0.1, 1.0, 0.15),
    "leaves": (LEAVES, 0.12, 0.55, 0.0),
    "lacquer": (PLAIN, 0.1, 1.0, 0.85),
}

FIXED: dict[str, Paint] = {
    "metal": Paint((0.70, 0.71, 0.73), gloss=0.7),
    "steel": Paint((0.42, 0.43, 0.46), gloss=0.5),
    "gold": Paint((0.80, 0.64, 0.25), gloss=0.7),
    "dark": Paint((0.11, 0.11, 0.12), gloss=0.2),
    "rubber": Paint((0.09, 0.09, 0.09), gloss=0.05),
    "light": Paint((0.90, 0.90, 0.88), gloss=0.3),
    "glass": Paint((0.30, 0.40, 0.47), gloss=0.9),
    "clear": Paint((0.78, 0.86, 0.88), gloss=0.9),
    "screen": Paint((0.05, 0.07, 0.10), gloss=0.8),
    "picture": Paint((0.25, 0.45, 0.75), (0.55, 0.75, 0.45), CHECKS, 0.23, gloss=0.3, glow=0.6),
    "lamp": Paint((1.0, 0.96, 0.82), glow=1.0),
    "taillight": Paint((0.75, 0.05, 0.05), gloss=0.6, glow=0.3),
    "amber": Paint((1.0, 0.65, 0.10), gloss=0.6, glow=0.4),
    "signal_green": Paint((0.1, 0.9, 0.35), glow=0.8),
    "paper": Paint((0.92, 0.90, 0.84), gloss=0.0),
    "soil": Paint((0.22, 0.15, 0.10), (0.30, 0.21, 0.14), SPECKLE, 0.03, gloss=0.0),
    "leaf": Paint((0.16, 0.45, 0.14), (0.30, 0.60, 0.20), LEAVES, 0.1, gloss=0.0),
    "bark": Paint((0.33, 0.24, 0.17), (0.24, 0.17, 0.12), WOOD, 0.1, gloss=0.0),
    "stripe": Paint((0.95, 0.95, 0.95), gloss=0.6),
    "cord": Paint((0.62, 0.52, 0.38), gloss=0.0),
    "coffee": Paint((0.25, 0.14, 0.07), gloss=0.4),
    "flame": Paint((1.0, 0.80, 0.30), glow=1.0),
    "sheet": Paint((0.94, 0.94, 0.96), (0.88, 0.89, 0.93), WEAVE, 0.03, gloss=0.0),
    "face": Paint((0.96, 0.95, 0.92), gloss=0.4),
}
_SKIN = ((0.94, 0.78, 0.66), (0.82, 0.62, 0.47), (0.62, 0.43, 0.30), (0.40, 0.26, 0.18))
_HAIR = ((0.10, 0.08, 0.07), (0.30, 0.19, 0.11), (0.62, 0.47, 0.24), (0.55, 0.53, 0.50))
_WOOD = ((0.58, 0.41, 0.25), (0.44, 0.29, 0.17), (0.72, 0.56, 0.37))
_CLOTH = ((0.15, 0.17, 0.25), (0.20, 0.20, 0.20), (0.45, 0.40, 0.33), (0.25, 0.32, 0.45))


def shade_of(color: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """Random RGB close to a named color: hue, saturation and lightness vary a little."""
    hue, light, saturation = colorsys.rgb_to_hls(*COLORS[color])
    hue = (hue + rng.uniform(-0.012, 0.012)) % 1
    light = float(np.clip(light * rng.uniform(0.88, 1.12), 0.04, 0.94))
    return colorsys.hls_to_rgb(hue, light, saturation * rng.uniform(0.88, 1.0))


def mix_paints(
    color: str, material: str, pattern: str, extent: float, rng: np.random.Generator
) -> dict[str, Paint]:
    """Every paint name of one object, given its adjectives and its longest side ``extent`` in meters."""
    main = shade_of(color, rng)
    texture, scale, contrast, gloss = MATERIALS[material]
    second = tone(main, 0.62 if sum(main) > 0.9 else 1.9)
    weave = tone(main, contrast)
    if pattern != "plain":
        texture, scale, weave = PATTERNS[pattern], extent * float(rng.uniform(0.12, 0.2)), tone(main, 0.66)
    wood = tone(_WOOD[rng.integers(len(_WOOD))], rng.uniform(0.85, 1.1))
    return {
        **FIXED,
        "main": Paint(main, weave, texture, scale, gloss),
        "plain": Paint(main, None, PLAIN, 0.1, gloss),
        "second": Paint(second, gloss=gloss),
        "wood": Paint(wood, tone(wood, 0.75), WOOD, 0.12, gloss=0.15),
        "skin": Paint(_SKIN[rng.integers(len(_SKIN))], gloss=0.05),
        "hair": Paint(_HAIR[rng.integers(len(_HAIR))], gloss=0.1),
        "cloth": Paint(_CLOTH[rng.integers(len(_CLOTH))], gloss=0.0),
    }


def tone(rgb: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    """The same hue darker (factor < 1) or lighter."""
    r, g, b = (float(min(channel * factor + (0.06 if factor > 1 else 0.0), 1.0)) for channel in rgb)
    return r, g, b


def mix_factor(local: Array, texture: NDArray[np.uint8], scale: Array) -> Array:
    """Share of the second color.

    Args:
        local: (M, 3) float32 object coordinates in meters.
        texture: (M,) texture numbers.
        scale: (M,) float32 meters per period.

    Returns:
        (M,) float32 in 0..1.
    """
    mixed = np.zeros(len(local), np.float32)
    present = np.flatnonzero(np.bincount(texture, minlength=1))
    for number in present:
        if number == PLAIN:
            continue
        rows = np.flatnonzero(texture == number)
        mixed[rows] = _TEXTURES[int(number)](local[rows] / scale[rows, None])
    return mixed


def _noise(p: Array) -> Array:
    """Smooth pseudo-noise in 0..1 with features about one unit wide, equal on every run."""
    x, y, z = p[:, 0], p[:, 1], p[:, 2]
    wave = np.sin(1.9 * x + 1.3 * np.sin(2.3 * y + 0.7)) + np.sin(2.1 * y + 1.7 * np.sin(1.7 * z + 1.9))
    wave += np.sin(2.3 * z + 1.1 * np.sin(1.9 * x + 2.7)) + 0.7 * np.sin(5.1 * x + 4.3 * y - 3.7 * z)
    return np.clip(0.5 + wave / 5.0, 0, 1).astype(np.float32)


def _step(value: Array) -> Array:
    return (value > 0).astype(np.float32)


def _wave(value: Array) -> Array:
    """Triangle wave of period 1 in 0..1, without the cost of a sine."""
    return np.abs(2 * (value - np.floor(value)) - 1).astype(np.float32)


def _wood(p: Array) -> Array:
    bend = _noise(p * np.float32(0.6))
    return 0.55 * _wave(p[:, 1] * 1.7 + p[:, 2] * 0.35 + 1.6 * bend) + 0.3 * bend


def _stripes(p: Array) -> Array:
    return _step(_wave(p[:, 0] + p[:, 1]) - 0.5)


def _checks(p: Array) -> Array:
    cell = np.floor(p + np.float32(0.137)).astype(np.int32).sum(axis=1)
    return (cell & 1).astype(np.float32)


def _dots(p: Array) -> Array:
    from_center = p - np.floor(p) - 0.5
    return _step(0.11 - (from_center**2).sum(axis=1))


def _weave(p: Array) -> Array:
    return 0.5 * _wave(p[:, 0] + p[:, 2]) + 0.5 * _wave(p[:, 1] - p[:, 2])


def _leaves(p: Array) -> Array:
    return _step(_noise(p * np.float32(2.2)) - 0.52) * 0.75 + 0.25 * _noise(p)


def _brick(p: Array) -> Array:
    """Courses of 0.28 by 1 unit with mortar; second color = mortar."""
    course = p[:, 2] / 0.28
    along = p[:, 0] + p[:, 1] + 0.5 * np.floor(course)
    return _step(np.maximum(_edge(course) - 0.86, _edge(along) - 0.95))


def _windows(p: Array) -> Array:
    """One window per story (3 units high) and bay (2.4 units wide); the ground floor has shop windows."""
    story, bay = p[:, 2] / 3.0, (p[:, 0] + p[:, 1]) / 2.4
    inside = np.minimum(0.62 - _edge(story), 0.55 - _edge(bay))
    shop = np.minimum(0.72 - _edge(story), 0.85 - _edge(bay / 2))
    return _step(np.where(story < 1, shop, inside))


def _tiles(p: Array) -> Array:
    return _step(np.maximum(_edge(p[:, 0]), _edge(p[:, 1])) - 0.955)


def _planks(p: Array) -> Array:
    row = np.floor(p[:, 1])
    seam = _step(np.maximum(_edge(p[:, 1]) - 0.94, _edge(p[:, 0] / 6 + row * 0.37) - 0.994))
    shade = _wave(row * 0.371 + 0.13)
    grain = _wood(p * np.array([0.3, 2.0, 1.0], np.float32))
    return np.clip(0.45 * shade + 0.3 * grain + 0.6 * seam, 0, 1)


def _ground(p: Array) -> Array:
    return 0.5 * _noise(p) + 0.5 * _noise(p * np.float32(7.3))


def _edge(value: Array) -> Array:
    """0 in the middle of every unit cell, 1 at its border."""
    return np.abs(2 * (value - np.floor(value)) - 1)


_TEXTURES: dict[int, Callable[[Array], Array]] = {
    WOOD: _wood,
    STRIPES: _stripes,
    CHECKS: _checks,
    DOTS: _dots,
    WEAVE: _weave,
    SPECKLE: lambda p: _noise(p * np.float32(2)),
    LEAVES: _leaves,
    BRICK: _brick,
    WINDOWS: _windows,
    TILES: _tiles,
    PLANKS: _planks,
    GROUND: _ground,
}
