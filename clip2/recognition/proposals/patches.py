"""Patches of another color on level surfaces: papers and magazines, and what noise has flattened into a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clip2.recognition.proposals.surface import Surface

_SHADE = 0.06  # side of a cell of the color histogram; red, green and blue are 0..1
_RARE = 0.1  # of the most frequent color's count, below which a color is not the surface's
_LEAST, _LARGEST = 0.004, 0.5  # m²: a banana; share of the surface: more is the surface itself
_SUPPORT = 0.05  # m²: smaller surfaces show too few colors
_ROUNDS = 2  # of following the majority of the neighbors


def colored_patches(surface: Surface, support: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find connected patches that differ in color from the level surface they lie in.

    A surface's own color is the largest peak of its color histogram, with all similar colors that lead away from it: light
    and shadow change it smoothly. Of what is left, connected patches of at least 40 cm² stay.

    Args:
        surface: M elements.
        support: (M,) number of the level surface that each belongs to, or -1.

    Returns:
        (M,) True in a patch; nothing is one without colors.
    """
    count = len(support)
    found = np.zeros(count, bool)
    if surface.colors is None:
        return found
    red, green, blue = surface.colors.T
    opponent = np.column_stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue])
    for number in range(support.max(initial=-1) + 1):
        owned = support == number
        mine = np.flatnonzero(owned)
        total = surface.area[mine].sum()
        if total < _SUPPORT:
            continue
        other = np.zeros(count, bool)
        other[mine] = ~_main_color(opponent[mine], surface.area[mine])
        a, b = surface.pairs[owned[surface.pairs].all(axis=1)].T
        neighbors = np.bincount(a, minlength=count) + np.bincount(b, minlength=count)
        for _ in range(_ROUNDS):
            alike = np.bincount(a, other[b], count) + np.bincount(b, other[a], count)
            other = owned & (2 * (alike + other) > neighbors + 1)
        joined = other[a] & other[b]
        graph = coo_matrix((np.ones(joined.sum()), (a[joined], b[joined])), shape=(count, count))
        piece = connected_components(graph, directed=False)[1]
        area = np.bincount(piece, surface.area * other)
        found |= other & ((area >= _LEAST) & (area < _LARGEST * total))[piece]
    return found


def _main_color(colors: NDArray, area: NDArray) -> NDArray[np.bool_]:
    """(n,) True for the most frequent color of (n, 3) and those that lead to it without a gap."""
    cell = np.floor((colors - colors.min(axis=0)) / _SHADE).astype(np.int64) + 1
    histogram = np.zeros(cell.max(axis=0) + 2)
    np.add.at(histogram, tuple(cell.T), area)
    smooth = ndimage.uniform_filter(histogram, 3, mode="constant")
    peak, _ = ndimage.label(smooth > _RARE * smooth.max())
    main: NDArray[np.bool_] = peak[tuple(cell.T)] == peak[np.unravel_index(smooth.argmax(), smooth.shape)]
    return main
