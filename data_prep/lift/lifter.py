"""The protocol of lifters, the registry that finds them by name, and the frame all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.lift import filters as lift_filters
from data_prep.lift.object_cloud import LiftQuality, LiftResult, ObjectCloud, Rejection
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class Region:
    """The part of a view that one detection claims.

    Attributes:
        detection: row of the view's ``Detections2D``.
        box: (4,) float64 xyxy pixels, cut to the image.
        where: positions in the view's :class:`ProjectedPoints` of the points inside the box or mask.
        masked: True where a mask, not just the box, chose them.
        score: the detector's, 0..1.
    """

    detection: int
    box: NDArray[np.float64]
    where: NDArray[np.int64]
    masked: bool
    score: float


@dataclass(frozen=True)
class Choice:
    """A lifter's answer for one region.

    Attributes:
        where: positions in the view's :class:`ProjectedPoints`; empty when refused.
        depth: meters from the camera, by which objects of a view are ordered; inf when refused.
        reason: why nothing was found, or None.
    """

    where: NDArray[np.int64]
    depth: float = np.inf
    reason: str | None = None


class Lifter(ABC):
    """Cuts the points of objects out of a frame. Make one with :func:`create_lifter`.

    A lifter says which points of a region are the object (:meth:`choose`); finding the regions, the filters and
    the book-keeping are the same for all.

    Attributes:
        name: registry name.
        config: the lifter's frozen, validated settings.
        filters: thresholds under which detections are refused.
    """

    name: ClassVar[str]
    Config: ClassVar[type]

    def __init__(self, config: Any, filters: lift_filters.Filters) -> None:
        self.config, self.filters = config, filters

    @abstractmethod
    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        """Which points of each region are the object; all regions of one view at once."""

    def lift(self, frame: Frame, detections: Sequence[Detections2D]) -> LiftResult:
        """Lift all detections of a frame.

        Args:
            frame: points and views.
            detections: one per view, in the order of ``frame.views``.

        Returns:
            Objects and rejections, each in the order of views and detections; every detection is in one of the two.

        Raises:
            InputError: the number of detection sets is not the number of views, or a mask is not of its image's size.
        """
        if len(detections) != len(frame.views):
            raise InputError(
                f"{len(detections)} sets for {len(frame.views)} views",
                source=f"frame {frame.id}",
                field="detections",
                fix="give one Detections2D per view, empty where there is none",
            )
        objects: list[ObjectCloud] = []
        rejections: list[Rejection] = []
        for index, (view, found) in enumerate(zip(frame.views, detections, strict=True)):
            if len(found):
                self._lift_view(frame, index, view, found, objects, rejections)
        return LiftResult(tuple(objects), tuple(rejections))

    def _lift_view(
        self,
        frame: Frame,
        index: int,
        view: View,
        detections: Detections2D,
        objects: list[ObjectCloud],
        rejections: list[Rejection],
    ) -> None:
        camera = view.camera
        seen = ProjectedPoints(frame.points, camera)
        reasons: list[str | None] = []
        truncated: list[float] = []
        regions: list[Region] = []
        for row, box in enumerate(detections.boxes):
            cut = lift_filters.clip_box(box, camera.width, camera.height)
            truncated.append(lift_filters.box_truncation(box, camera.width, camera.height))
            reason = self._refuse_box(box, cut, truncated[-1], camera.width, camera.height)
            if reason is None:
                mask = None if detections.masks is None else detections.masks[row]
                where = seen.in_box(box) if mask is None else seen.in_mask(mask)
                if len(where) == 0:
                    reason = lift_filters.NO_POINTS
                elif len(where) < self.filters.min_points:
                    reason = lift_filters.TOO_FEW_POINTS
                else:
                    regions.append(Region(row, cut, where, mask is not None, float(detections.scores[row])))
            reasons.append(reason)

        choices = self.choose(frame, view, seen, regions)
        chosen = {region.detection: (region, choice) for region, choice in zip(regions, choices, strict=True)}
        nearest = np.full(len(seen), np.inf)  # depth of the nearest object that holds each point
        for choice in choices:
            nearest[choice.where] = np.minimum(nearest[choice.where], choice.depth)
        for row, reason in enumerate(reasons):
            if reason is None:
                region, choice = chosen[row]
                occluded = float(np.mean(nearest[region.where] < choice.depth))
                reason = choice.reason
                if reason is None and occluded > self.filters.max_occluded:
                    reason = lift_filters.OCCLUDED
                if reason is None and len(choice.where) < self.filters.min_points:
                    reason = lift_filters.TOO_FEW_POINTS
            if reason is not None:
                rejections.append(Rejection(index, row, reason))
                continue
            indices = np.sort(seen.indices[choice.where])
            points = frame.points[indices]
            quality = LiftQuality(
                num_points=len(indices),
                num_in_region=len(region.where),
                median_range=float(np.median(np.linalg.norm(points - camera.T_points_cam[:3, 3], axis=1))),
                truncated=truncated[row],
                occluded=occluded,
            )
            colors = None if frame.colors is None else frame.colors[indices]
            objects.append(ObjectCloud(indices, points, colors, index, row, quality))

    def _refuse_box(
        self, box: NDArray, cut: NDArray[np.float64], truncated: float, width: int, height: int
    ) -> str | None:
        if box[0] > width - 0.5 or box[1] > height - 0.5 or box[2] < -0.5 or box[3] < -0.5:
            return lift_filters.OUTSIDE_IMAGE
        if min(cut[2] - cut[0], cut[3] - cut[1]) < self.filters.min_side:
            return lift_filters.TINY_REGION
        if truncated > self.filters.max_truncated:
            return lift_filters.TRUNCATED
        return None


_L = TypeVar("_L", bound=type[Lifter])
_LIFTERS: dict[str, type[Lifter]] = {}


def register_lifter(lifter: _L) -> _L:
    """Class decorator: ``create_lifter(lifter.name)`` makes it."""
    _LIFTERS[lifter.name] = lifter
    return lifter


def list_lifters() -> list[str]:
    """Names that :func:`create_lifter` knows."""
    return sorted(_LIFTERS)


def create_lifter(name: str, **config: object) -> Lifter:
    """Make a lifter.

    Args:
        name: ``auto`` (by what a frame holds), ``lidar``, ``rgbd``, or ``frustum-dbscan``, the recipe of CLIP².
        **config: fields of :class:`~data_prep.lift.lift_filters.Filters` and of the lifter's own ``Config``.

    Raises:
        InputError: unknown name, unknown setting (it is named), or a value out of range.
    """
    if name not in _LIFTERS:
        raise InputError(
            f"{name!r} is unknown", field="lifter", fix=f"use one of {', '.join(list_lifters())}"
        )
    lifter = _LIFTERS[name]
    filters, own = lift_filters.split_filters(config)
    allowed = {field.name for field in fields(lifter.Config)}
    unknown = sorted(set(own) - allowed)
    if unknown:
        known = sorted(allowed | {field.name for field in fields(lift_filters.Filters)})
        raise InputError(
            "is not a setting",
            source=f"lifter {name}",
            field=unknown[0],
            fix=f"use one of {', '.join(known)}",
        )
    return lifter(lifter.Config(**own), filters)
