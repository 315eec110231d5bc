"""Colors of points: by color, height, intensity, object, similarity to labels, or heat of one label."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.recognition.instances import instance_palette
from data_prep.geometry.voxels import voxel_index

Mode = Literal["color", "height", "intensity", "object", "similarity", "heat"]

# Objects that are like nothing in the training set, and objects that have no wanted label.
UNKNOWN_GRAY, UNNAMED_GRAY = (150, 150, 156), (104, 106, 114)
# Anchors of the color scales, dark to bright; both rise evenly in lightness, so that they read in gray too.
_HEIGHT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], float)
_HEAT = np.array(
    [(38, 38, 52), (78, 30, 108), (165, 44, 96), (236, 105, 37), (251, 180, 26), (252, 255, 164)], float
)
_DARKEST, _CONTRAST = 46, 52  # of the backdrop, of 255
_NEIGHBORS = 8  # occupied cells over which heat is averaged
_HEAT_CELLS = 120  # cells along the diagonal of the bulk of a scan


def ramp(values: NDArray, scale: Literal["height", "heat"] = "height") -> NDArray[np.uint8]:
    """(P, 3) uint8 colors of values in 0..1; values outside are clipped.

    >>> ramp(np.array([0.0, 2.0]), "heat").tolist()
    [[38, 38, 52], [252, 255, 164]]
    """
    anchors = _HEIGHT if scale == "height" else _HEAT
    place = np.clip(np.asarray(values, np.float64), 0, 1) * (len(anchors) - 1)
    return np.stack(
        [np.interp(place, np.arange(len(anchors)), anchors[:, c]) for c in range(3)], axis=1
    ).astype(np.uint8)


def by_height(points: NDArray) -> NDArray[np.uint8]:
    """(P, 3) colors of z between its first and 99th percentile."""
    low, high = np.percentile(points[:, 2], [1, 99])
    return ramp((points[:, 2] - low) / max(high - low, 1e-6))


def by_intensity(intensity: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(P, 3) colors of the returned intensity; the square root opens the dark end, where most returns are."""
    top = max(float(np.percentile(intensity, 99)), 1e-6)
    return ramp(np.sqrt(np.clip(intensity / top, 0, 1)))


def backdrop(points: NDArray, colors: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(P, 3) dim grays that keep the scene readable behind what is lit: of the colors' brightness, or of the height."""
    if colors is not None:
        gray = colors.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    else:
        low, high = np.percentile(points[:, 2], [1, 99])
        gray = np.clip((points[:, 2] - low) / max(high - low, 1e-6), 0, 1)
    return np.repeat((_DARKEST + _CONTRAST * gray).astype(np.uint8)[:, None], 3, axis=1)


def by_object(
    owners: NDArray[np.int64], behind: NDArray[np.uint8], count: int, shown: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """(P, 3) colors: one per object, ``behind`` for the rest.

    Args:
        owners: (P,) number of each point's object, -1 for none.
        behind: (P, 3) from :func:`backdrop`.
        count: N, number of objects.
        shown: (N,) bool; the others keep their backdrop.
    """
    lit = owners >= 0
    if shown is not None and count:
        lit &= shown[owners]
    result = behind.copy()
    result[lit] = instance_palette(count)[owners[lit]]
    return result


def by_similarity(
    owners: NDArray[np.int64],
    behind: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    similarity: NDArray[np.float32],
    unknown: NDArray[np.bool_],
    palette: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """(P, 3) colors: the color of each object's label, the brighter the more alike; gray for ``unknown``.

    Args:
        owners, behind: as in :func:`by_object`.
        numbers: (N,) label of each object, -1 for none.
        similarity: (N,) 0..1, of each object and its label.
        unknown: (N,) bool, objects unlike the training set.
        palette: (K, 3) color of each label.
    """
    tones = np.tile(np.array(UNNAMED_GRAY, np.float64), (len(numbers), 1))
    tones[unknown] = UNKNOWN_GRAY
    named = (numbers >= 0) & ~unknown
    strength = 0.35 + 0.65 * similarity[named, None]
    tones[named] = strength * palette[numbers[named]] + (1 - strength) * np.array(UNNAMED_GRAY)
    result = behind.copy()
    lit = owners >= 0
    # A little of the backdrop's light and shade, without which an object is a flat stain.
    shade = 0.8 + 0.35 * (behind[lit, :1].astype(np.float64) - _DARKEST) / _CONTRAST
    result[lit] = np.clip(tones[owners[lit]] * shade, 0, 255).astype(np.uint8)
    return result


def spread_heat(
    points: NDArray, owners: NDArray[np.int64], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(P,) float32 heat 0..1: each point starts with its object's value, then neighboring cells are averaged.

    Cells are about a hundredth of the scene's diagonal wide; each takes the mean of its eight nearest occupied
    cells within two cells' width, so that heat fades over the edges of proposals instead of jumping.

    Args:
        points: (P, 3) meters.
        owners: (P,) number of each point's object, -1 for none (heat 0).
        values: (N,) 0..1 per object.
    """
    if len(points) == 0 or len(values) == 0:
        return np.zeros(len(points), np.float32)
    start = np.where(owners >= 0, values[owners], 0).astype(np.float64)
    low, high = np.percentile(points, [4, 96], axis=0)
    side = max(float(np.linalg.norm(high - low)) / _HEAT_CELLS, 1e-3)
    _, cell = voxel_index(points, side)
    count = np.bincount(cell)
    mean = np.bincount(cell, start) / count
    centers = np.stack([np.bincount(cell, points[:, c] - low[c]) / count for c in range(3)], axis=1)
    near, who = cKDTree(centers).query(
        centers, k=min(_NEIGHBORS, len(centers)), distance_upper_bound=2 * side
    )
    near, who = near.reshape(len(centers), -1), who.reshape(len(centers), -1)
    # A cell alone in its surroundings has fewer neighbors; the missing ones have number len(centers).
    weight = np.where(who < len(centers), np.exp(-((near / side) ** 2)), 0) * np.append(count, 0)[who]
    smooth = (weight * np.append(mean, 0)[who]).sum(axis=1) / weight.sum(axis=1)
    return smooth[cell].astype(np.float32)
