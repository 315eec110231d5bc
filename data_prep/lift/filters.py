"""What a detection and its points must be worth before they become an object."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

OUTSIDE_IMAGE = "outside-image"
TINY_REGION = "tiny-region"
TRUNCATED = "truncated"
OCCLUDED = "occluded"
NO_POINTS = "no-points-in-region"
ONLY_GROUND = "only-ground"
ONLY_BACKGROUND = "only-background"
NO_CLUSTER = "no-cluster"
TOO_FEW_POINTS = "too-few-points"
REASONS = (
    OUTSIDE_IMAGE,
    TINY_REGION,
    TRUNCATED,
    OCCLUDED,
    NO_POINTS,
    ONLY_GROUND,
    ONLY_BACKGROUND,
    NO_CLUSTER,
    TOO_FEW_POINTS,
)


@dataclass(frozen=True)
class Filters:
    """Thresholds that every lifter applies; what fails one is refused under that name.

    Attributes:
        min_points: fewest points of an object (``too-few-points``). What few points are depends on the sensor: a
            pedestrian 60 m away is a dozen of a LiDAR's; for depth images see ``share`` of the rgbd lifter.
        min_side: shortest side of a box inside the image, pixels (``tiny-region``).
        max_truncated: largest share of a box's border on the image's border, 0..1 (``truncated``).
        max_occluded: largest share of a region's points that nearer objects hold, 0..1 (``occluded``).
    """

    min_points: int = 5
    min_side: float = 4.0
    max_truncated: float = 0.7
    max_occluded: float = 0.9

    def __post_init__(self) -> None:
        require(self.min_points >= 1, "min_points", self.min_points, "at least 1")
        require(self.min_side >= 0, "min_side", self.min_side, "0 or more pixels")
        require(0 <= self.max_truncated <= 1, "max_truncated", self.max_truncated, "0..1")
        require(0 <= self.max_occluded <= 1, "max_occluded", self.max_occluded, "0..1")


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise the :class:`InputError` of a lifter's setting that is out of range."""
    if not holds:
        raise InputError(f"is {value!r}", source="lifter", field=name, fix=f"use {allowed}")


def split_filters(config: dict[str, object]) -> tuple[Filters, dict[str, object]]:
    """Take the filters' settings out of a lifter's keyword arguments; return them and the rest."""
    names = {field.name for field in fields(Filters)}
    return (
        Filters(**{key: value for key, value in config.items() if key in names}),  # type: ignore[arg-type]
        {key: value for key, value in config.items() if key not in names},
    )


def box_truncation(box: NDArray, width: int, height: int) -> float:
    """Share of an xyxy pixel box's border, cut to the image, that lies within a pixel of the image's border.

    >>> box_truncation(np.array([0, 100, 50, 150]), 640, 480)
    0.25
    """
    x0, y0, x1, y1 = clip_box(box, width, height)
    w, h = x1 - x0, y1 - y0
    if w + h <= 0:
        return 1.0
    touching = h * (x0 <= 1) + h * (x1 >= width - 2) + w * (y0 <= 1) + w * (y1 >= height - 2)
    return float(touching / (2 * (w + h)))


def clip_box(box: NDArray, width: int, height: int) -> NDArray[np.float64]:
    """(4,) the part of an xyxy box inside the image; a box wholly outside comes back with a side of zero."""
    limit = np.array([width - 1, height - 1, width - 1, height - 1], dtype=np.float64)
    clipped: NDArray[np.float64] = np.clip(np.asarray(box, dtype=np.float64), 0, limit)
    return clipped
