"""Solid textures: a number between two colors at every point of an object, from its coordinates alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data_prep.world import palette

Array = NDArray[np.floating]


def mix_factor(local: Array, texture: NDArray[np.uint8], scale: Array) -> Array:
    """How much of the second color shows.

    Args:
        local: (M, 3) float32 object coordinates in meters.
        texture: (M,) numbers from ``palette``.
        scale: (M,) float32 meters per period.

    Returns:
        (M,) float32 in 0..1.
    """
    mixed = np.zeros(len(local), np.float32)
    present = np.flatnonzero(np.bincount(texture, minlength=1))
    for number in present:
        if number == palette.PLAIN:
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
    palette.WOOD: _wood,
    palette.STRIPES: _stripes,
    palette.CHECKS: _checks,
    palette.DOTS: _dots,
    palette.WEAVE: _weave,
    palette.SPECKLE: lambda p: _noise(p * np.float32(2)),
    palette.LEAVES: _leaves,
    palette.BRICK: _brick,
    palette.WINDOWS: _windows,
    palette.TILES: _tiles,
    palette.PLANKS: _planks,
    palette.GROUND: _ground,
}
