"""Metrics of a triplet set: counts, points per object, labels, rejections."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.triplets.reader import TripletSet

RANGE_EDGES = (0, 2, 5, 10, 20, 40, 80, np.inf)  # meters
PERCENTILES = (0, 10, 25, 50, 75, 90, 100)
_SPREAD = (10, 25, 50, 75, 90)


@dataclass(frozen=True)
class LabelMetrics:
    """One label: its objects, and the median number of their points."""

    word: str
    objects: int
    median_points: float


@dataclass(frozen=True)
class RangeMetrics:
    """Objects whose median distance from their camera lies in [near, far) meters; far is None for no limit.

    Attributes:
        near, far: meters.
        objects: their number.
        median_points: median number of points per object.
        points: percentile → points per object, for 10, 25, 50, 75 and 90.
    """

    near: float
    far: float | None
    objects: int
    median_points: float
    points: dict[int, float]


@dataclass(frozen=True)
class TripletMetrics:
    """Metrics of a triplet set.

    Attributes:
        objects, with_colors, with_crop: all triplets, and those with colors or a crop.
        with_several_views: triplets merged from more than one detection.
        points_per_object: percentile → points.
        by_range: nearest first, only ranges that hold objects; objects of unknown range are in none.
        words: labels, most frequent first; an object counts for each of its texts.
        rejections, skipped_detections, bad_frames: from the manifest.
    """

    objects: int
    with_colors: int
    with_crop: int
    with_several_views: int
    points_per_object: dict[int, float]
    by_range: list[RangeMetrics]
    words: list[LabelMetrics]
    rejections: dict[str, int]
    skipped_detections: dict[str, int]
    bad_frames: list[tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and mappings."""
        return asdict(self)


def measure_triplets(triplets: TripletSet) -> TripletMetrics:
    """Read a set once, without decoding images.

    Raises:
        InputError: a shard cannot be read.
    """
    points: list[int] = []
    ranges: list[float] = []
    points_by_word: dict[str, list[int]] = defaultdict(list)
    with_colors = with_crop = several_views = 0
    for entry in triplets.iter_entries():
        points.append(entry.num_points)
        quality = entry.provenance.quality
        distance = None if quality is None else quality.median_range
        ranges.append(np.nan if distance is None else distance)
        with_colors += entry.has_colors
        with_crop += entry.has_crop
        several_views += len(entry.provenance.views) > 1
        for text in entry.texts:
            points_by_word[text].append(entry.num_points)
    manifest = triplets.manifest
    return TripletMetrics(
        objects=len(points),
        with_colors=with_colors,
        with_crop=with_crop,
        with_several_views=several_views,
        points_per_object={p: float(np.percentile(points, p)) for p in PERCENTILES} if points else {},
        by_range=_by_range(np.array(ranges), np.array(points)),
        words=[
            LabelMetrics(word, len(counts), float(np.median(counts)))
            for word, counts in sorted(points_by_word.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
        rejections=dict(sorted(manifest.rejections.items(), key=lambda item: (-item[1], item[0]))),
        skipped_detections=manifest.skipped_detections,
        bad_frames=[(bad.frame, bad.error) for bad in manifest.bad_frames],
    )


def _by_range(ranges: NDArray, points: NDArray) -> list[RangeMetrics]:
    rows = []
    for near, far in pairwise(RANGE_EDGES):
        inside = (ranges >= near) & (ranges < far)
        if inside.any():
            limit = None if np.isinf(far) else float(far)
            spread = {p: float(np.percentile(points[inside], p)) for p in _SPREAD}
            rows.append(RangeMetrics(float(near), limit, int(inside.sum()), spread[50], spread))
    return rows
