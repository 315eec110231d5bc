"""Plausibility of a label given an object's metric size, from the sizes of the training objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clip2.labels import normalize_label
from data_prep.config import TypedConfig
from data_prep.geometry.upright_box import fit_upright_boxes

LEAST_OBJECTS = 8  # of a label: fewer say little about its range
MOST_OBJECTS = 400  # of a label: more change its range by less than its tolerance
# Share of the training objects beyond each end of the range: boxes of wrongly lifted objects are outliers.
_TAIL = 0.03
# Sizes outside the range lose plausibility like a Gaussian of this width, in logarithms. Above the range a size excludes
# the label; below it the object may just be hidden more than any of the training objects.
_ABOVE, _BELOW = 0.15, 0.35


class SizeRange(TypedConfig):
    """Sizes of the visible parts of the training objects of one label, in meters.

    Attributes:
        count: number of objects.
        low, high: length (the longer horizontal side), width and height at the 3rd and the 97th percentile.
    """

    count: int = Field(ge=1)
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def visible_sizes(clouds: Sequence[NDArray]) -> NDArray[np.float64]:
    """Size of the tight upright box around each cloud.

    Args:
        clouds: N arrays (n, 3), meters, z-up, finite, n >= 1.

    Returns:
        (N, 3) length (the longer horizontal side), width and height in meters.

    >>> visible_sizes([np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 3]])]).round(1).tolist()
    [[2.0, 1.0, 3.0]]
    """
    return np.array([box.size for box in fit_upright_boxes(clouds)]).reshape(-1, 3)


def fit_size_ranges(sizes: NDArray[np.floating], labels: Sequence[str]) -> dict[str, SizeRange]:
    """Range of sizes of each label that at least 8 objects have.

    Args:
        sizes: (N, 3) from :func:`visible_sizes`.
        labels: N labels.

    >>> sizes = np.tile([4.2, 1.8, 1.5], (10, 1))
    >>> fit_size_ranges(sizes, ["Car"] * 10)["car"].high
    (4.2, 1.8, 1.5)
    """
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(normalize_label(label), []).append(row)
    ranges = {}
    for label, members in sorted(rows.items()):
        if len(members) >= LEAST_OBJECTS:
            low, high = np.quantile(sizes[members], (_TAIL, 1 - _TAIL), axis=0).round(3).tolist()
            ranges[label] = SizeRange(count=len(members), low=tuple(low), high=tuple(high))
    return ranges


def size_plausibility(
    ranges: Mapping[str, SizeRange], sizes: NDArray[np.floating], labels: Sequence[str]
) -> NDArray[np.float32]:
    """How well objects fit the trained sizes of labels: 1 within the range, towards 0 outside it.

    Args:
        ranges: from :func:`fit_size_ranges`.
        sizes: (N, 3) meters, from :func:`visible_sizes`.
        labels: K labels; all sizes are plausible for one that is not in ``ranges``.

    Returns:
        (N, K) float32, 0 to 1.

    >>> ranges = {"car": SizeRange(count=9, low=(1.0, 0.5, 0.5), high=(4.8, 2.0, 1.8))}
    >>> size_plausibility(ranges, np.array([[4.5, 1.8, 1.5], [18.0, 3.0, 2.0]]), ["car", "hedge"]).round(2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    plausible = np.ones((len(sizes), len(labels)))
    known = [
        (column, found)
        for column, label in enumerate(labels)
        if (found := ranges.get(normalize_label(label)))
    ]
    if known and len(sizes):
        logs = np.log(np.maximum(sizes, 1e-3))[:, None]
        low, high = np.log(np.maximum([[found.low, found.high] for _, found in known], 1e-3)).transpose(
            1, 0, 2
        )
        over, under = np.maximum(logs - high, 0) / _ABOVE, np.maximum(low - logs, 0) / _BELOW
        plausible[:, [column for column, _ in known]] = np.exp(-0.5 * (over**2 + under**2).sum(axis=2))
    return plausible.astype(np.float32)
