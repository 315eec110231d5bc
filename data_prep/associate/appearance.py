"""What an object looks like, in a few numbers that light and distance change little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_HUES, _GRAYS, _PIXELS = 12, 4, 1024
_GRAY_BELOW = 0.2  # saturation


def color_histogram(
    points: NDArray[np.float32], colors: NDArray[np.uint8] | None, crop: NDArray[np.uint8] | None
) -> NDArray[np.float32] | None:
    """Square root of a histogram over hues and grays, so that the product of two is their Bhattacharyya coefficient.

    Args:
        points: (n, 3), only counted.
        colors: (n, 3) uint8 of the points; they show the object and nothing around it.
        crop: (h, w, 3) uint8; where points have no color, its middle is taken.
    """
    if colors is not None:
        pixels = colors
    elif crop is not None:
        height, width = crop.shape[:2]
        middle = crop[height // 4 : height - height // 4, width // 4 : width - width // 4]
        pixels = middle.reshape(-1, 3)
    else:
        return None
    rows = np.linspace(0, len(pixels) - 1, min(len(pixels), _PIXELS)).astype(np.int64)
    rgb = pixels[rows].astype(np.float32) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    chroma = high - low
    r, g, b = rgb.T
    safe = np.where(chroma > 0, chroma, 1)
    hue = np.select(
        [high == r, high == g], [((g - b) / safe) % 6, (b - r) / safe + 2], default=(r - g) / safe + 4
    )
    gray = chroma < _GRAY_BELOW * np.maximum(high, 0.25)
    # Every pixel counts in the two bins it lies between: a hue on an edge is not another hue.
    place = hue * (_HUES / 6)
    below = np.floor(place)
    share = place - below
    first, second = below.astype(np.int64) % _HUES, (below.astype(np.int64) + 1) % _HUES
    bins = np.zeros(_HUES + _GRAYS, np.float64)
    np.add.at(bins, first[~gray], 1 - share[~gray])
    np.add.at(bins, second[~gray], share[~gray])
    level = high * (_GRAYS - 1)
    step = np.clip(np.floor(level), 0, _GRAYS - 2)
    part = level - step
    np.add.at(bins, _HUES + step[gray].astype(np.int64), 1 - part[gray])
    np.add.at(bins, _HUES + 1 + step[gray].astype(np.int64), part[gray])
    return np.sqrt(bins / len(rgb)).astype(np.float32)


def sharpness(crop: NDArray[np.uint8]) -> float:
    """How much of an image's contrast lies between direct neighbors, 0..1; blur lowers it, contrast does not change it.

    >>> step = np.zeros((8, 8, 3), np.uint8)
    >>> step[:, 4:] = 200
    >>> ramp = np.repeat(np.linspace(0, 200, 8).astype(np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    >>> sharpness(step) > sharpness(ramp)
    True
    """
    gray = crop.mean(axis=2, dtype=np.float32)
    if min(gray.shape) < 3:
        return 0.0
    fine = np.abs(np.diff(gray, n=2, axis=0)).sum() + np.abs(np.diff(gray, n=2, axis=1)).sum()
    coarse = np.abs(np.diff(gray, axis=0)).sum() + np.abs(np.diff(gray, axis=1)).sum()
    return float(min(1.0, fine / (2 * coarse))) if coarse > 0 else 0.0
