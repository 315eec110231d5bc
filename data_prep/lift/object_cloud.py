"""Lifting results: object clouds, their quality, rejected detections."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError


@dataclass(frozen=True)
class LiftQuality:
    """Quality of an object cloud.

    Attributes:
        num_points: points kept.
        num_in_region: points of the frame inside the 2D box or mask, before any cut.
        median_range: meters from the camera.
        truncated: share of the 2D box's border that lies on the image border, 0..1.
        occluded: share of the points inside the 2D box or mask that objects of nearer boxes hold, 0..1.
    """

    num_points: int
    num_in_region: int
    median_range: float
    truncated: float
    occluded: float


@dataclass(frozen=True)
class ObjectCloud:
    """An object lifted from one 2D detection.

    Attributes:
        indices: (n,) int64 into ``Frame.points``, ascending and distinct.
        points: (n, 3) float32 meters, in the frame of ``Frame.points``.
        colors: (n, 3) uint8 RGB or None.
        view: index into ``Frame.views``.
        detection: row of the view's ``Detections2D``.
        quality: for filters and reports.

    Raises:
        InputError: indices, points and colors of different lengths, or no points.

    >>> from data_prep import create_lifter, open_scan
    >>> scan = open_scan("procedural", "room", frames=1)
    >>> lifted = create_lifter("auto").lift(scan[0], scan.detections(0)).objects
    >>> len(lifted), lifted[0].points.shape == (len(lifted[0].indices), 3)
    (21, True)
    """

    indices: NDArray[np.int64]
    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None
    view: int
    detection: int
    quality: LiftQuality

    def __post_init__(self) -> None:
        if len(self.indices) == 0 or self.points.shape != (len(self.indices), 3):
            raise InputError(
                f"{self.points.shape} for {len(self.indices)} indices", field="object_cloud.points"
            )
        if self.colors is not None and self.colors.shape != self.points.shape:
            raise InputError(
                f"{self.colors.shape} for {len(self.indices)} points", field="object_cloud.colors"
            )

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Rejection:
    """A detection that gave no object, and why.

    Attributes:
        view: index into ``Frame.views``.
        detection: row of the view's ``Detections2D``.
        reason: a short stable name that reports count by, for example ``too-few-points``.
    """

    view: int
    detection: int
    reason: str


@dataclass(frozen=True)
class LiftResult:
    """Objects and rejections of a frame; each detection is in one of the two.

    Attributes:
        objects: the objects found, in the order of views and detections.
        rejections: the detections that gave none, in the same order.

    >>> LiftResult((), ()).reasons()
    {}
    """

    objects: tuple[ObjectCloud, ...]
    rejections: tuple[Rejection, ...]

    def reasons(self) -> dict[str, int]:
        """Number of rejections by reason, most frequent first."""
        return dict(Counter(rejection.reason for rejection in self.rejections).most_common())
