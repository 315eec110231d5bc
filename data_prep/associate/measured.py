"""Measured observations: box, sample, color histogram and rank, the features that association compares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.associate.observation import Observation

SAMPLE = 192  # points by which overlap is judged
_HUES, _GRAYS, _PIXELS = 12, 4, 1024
_GRAY_BELOW = 0.2  # saturation


@dataclass(frozen=True, eq=False)
class Measured:
    """Features of an observation.

    Attributes:
        observation: the observation.
        time: seconds.
        center, size: (3,) float64 of the box around all but the outermost points, world axes, meters.
        sample: (m, 3) float64 world points, evenly drawn.
        spacing: meters between neighbors of ``sample``.
        colors: (B,) float32 unit vector, the square root of a color histogram.
        camera: (3,) float64 world position of the camera.
        whole: the image border does not cut the object.
        value: rank as a view: large, unoccluded, sharp and certain objects first.
    """

    observation: Observation
    time: float
    center: NDArray[np.float64]
    size: NDArray[np.float64]
    sample: NDArray[np.float64]
    spacing: float
    colors: NDArray[np.float32]
    camera: NDArray[np.float64]
    whole: bool
    value: float

    @classmethod
    def of(cls, observation: Observation, time: float) -> Measured:
        """Measure an observation of a single detection."""
        points, crop, quality = observation.points, observation.crop, observation.quality
        low, high = np.percentile(points, (2, 98), axis=0).astype(np.float64)
        rows = np.linspace(0, len(points) - 1, min(len(points), SAMPLE)).astype(np.int64)
        sample = points[np.unique(rows)].astype(np.float64)
        spacing = float(np.median(cKDTree(sample).query(sample, k=2)[0][:, 1])) if len(sample) > 1 else 0.0
        # NaN: not known, which counts as neither cut nor hidden.
        truncated, occluded = (float(np.nan_to_num(share)) for share in (quality.truncated, quality.occluded))
        height, width = crop.shape[:2]
        value = observation.score * (1 - truncated) * (1 - occluded)
        value *= min(1.0, np.sqrt(height * width) / 224) * sharpness(crop)
        return cls(
            observation=observation,
            time=time,
            center=observation.center + (low + high) / 2,
            size=high - low,
            sample=sample + observation.center,
            spacing=spacing,
            colors=color_histogram(observation.colors, crop),
            camera=(observation.T_world_points @ observation.camera.T_points_cam)[:3, 3],
            whole=truncated == 0.0,
            value=float(value),
        )

    @property
    def key(self) -> str:
        """Of the observation."""
        return self.observation.key

    @property
    def view(self) -> int:
        """Index of the camera in its frame."""
        return self.observation.view_index

    @property
    def label(self) -> str:
        """The detector's label."""
        return self.observation.label

    @property
    def diagonal(self) -> float:
        """Length of the box's diagonal, meters; never zero."""
        return max(float(np.linalg.norm(self.size)), 1e-3)


def color_histogram(colors: NDArray[np.uint8] | None, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square root of a histogram over hues and grays, so that the product of two is their Bhattacharyya coefficient.

    Args:
        colors: (n, 3) uint8 of the points; they show the object and nothing around it.
        crop: (h, w, 3) uint8; its middle is taken if the points have no color.
    """
    height, width = crop.shape[:2]
    middle = crop[height // 4 : height - height // 4, width // 4 : width - width // 4]
    pixels = middle.reshape(-1, 3) if colors is None else colors
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
    """Share of an image's contrast between direct neighbors, 0..1; blur lowers it, contrast does not change it.

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
