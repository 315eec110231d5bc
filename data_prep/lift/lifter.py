"""Lifter protocol and registry; regions, filters and bookkeeping that all lifters share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_prep.config import TypedConfig, parse_config
from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry.boxes2d import clip_boxes_2d
from data_prep.lift.config import AutoConfig, Filters, LiftConfig
from data_prep.lift.object_cloud import LiftQuality, LiftResult, ObjectCloud, Rejection
from data_prep.lift.regions import ProjectedPoints
from data_prep.registry import Registry
from data_prep.scans import Frame, View

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

C = TypeVar("C", bound=TypedConfig)


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
        where: positions in the view's :class:`ProjectedPoints`; empty when rejected.
        depth: meters from the camera, by which objects of a view are ordered; inf when rejected.
        reason: why nothing was found, or None.
    """

    where: NDArray[np.int64]
    depth: float = np.inf
    reason: str | None = None


class Lifter(ABC, Generic[C]):
    """Cuts the points of objects out of a frame. Make one with :func:`create_lifter`.

    A subclass decides which points of a region are the object (:meth:`choose`). Regions, filters and bookkeeping are
    the same for all.

    Attributes:
        name: registry name.
        Config: class of the lifter's own settings.
        config: the lifter's own settings.
        filters: thresholds below which detections are rejected.
    """

    name: ClassVar[str]
    Config: ClassVar[type[TypedConfig]]

    def __init__(self, config: C, filters: Filters) -> None:
        self.config, self.filters = config, filters

    @property
    def settings(self) -> dict[str, Any]:
        """Name, filters and own settings, for the provenance of triplets."""
        return {"name": self.name, **self.filters.model_dump(), **self.config.model_dump()}

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
            cut = clip_boxes_2d(box, camera.width - 1, camera.height - 1)
            truncated.append(box_truncation(box, camera.width, camera.height))
            reason = self._reject_box(box, cut, truncated[-1], camera.width, camera.height)
            if reason is None:
                mask = None if detections.masks is None else detections.masks[row]
                where = seen.in_box(box) if mask is None else seen.in_mask(mask)
                if len(where) == 0:
                    reason = NO_POINTS
                elif len(where) < self.filters.min_points:
                    reason = TOO_FEW_POINTS
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
                    reason = OCCLUDED
                if reason is None and len(choice.where) < self.filters.min_points:
                    reason = TOO_FEW_POINTS
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

    def _reject_box(
        self, box: NDArray, cut: NDArray[np.float64], truncated: float, width: int, height: int
    ) -> str | None:
        if box[0] > width - 0.5 or box[1] > height - 0.5 or box[2] < -0.5 or box[3] < -0.5:
            return OUTSIDE_IMAGE
        if min(cut[2] - cut[0], cut[3] - cut[1]) < self.filters.min_side:
            return TINY_REGION
        if truncated > self.filters.max_truncated:
            return TRUNCATED
        return None


LIFTERS = Registry[type[Lifter[Any]]](
    "lifter",
    {
        "auto": "data_prep.lift.lifter",
        "lidar": "data_prep.lift.lidar",
        "rgbd": "data_prep.lift.rgbd",
        "frustum-dbscan": "data_prep.lift.frustum_dbscan",
    },
)


@LIFTERS.register("auto")
class AutoLifter(Lifter[AutoConfig]):
    """``rgbd`` for frames with a depth image, ``lidar`` for all others."""

    name: ClassVar[str] = "auto"
    Config: ClassVar = AutoConfig

    def __init__(self, config: AutoConfig, filters: Filters) -> None:
        super().__init__(config, filters)
        self._lidar = LIFTERS["lidar"](config.lidar, filters)
        self._rgbd = LIFTERS["rgbd"](config.rgbd, filters)

    @property
    def settings(self) -> dict[str, Any]:
        """Name, filters, and what differs from the defaults of the two lifters."""
        changed = {
            kind: values
            for kind, config in (("lidar", self.config.lidar), ("rgbd", self.config.rgbd))
            if (values := config.model_dump(exclude_defaults=True))
        }
        return {"name": self.name, **self.filters.model_dump(), **changed}

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        """See :meth:`Lifter.choose`."""
        lifter = self._lidar if frame.depth is None else self._rgbd
        return lifter.choose(frame, view, seen, regions)


def list_lifters() -> list[str]:
    """Names that :func:`create_lifter` knows."""
    return list(LIFTERS)


def create_lifter(lifter: str | LiftConfig = "auto", **settings: object) -> Lifter[Any]:
    """Make a lifter.

    Args:
        lifter: ``auto`` (by what a frame holds), ``lidar``, ``rgbd``, or ``frustum-dbscan``, the recipe of CLIP²; or a
            whole configuration.
        **settings: with a name: fields of :class:`Filters` and of the lifter's own configuration, like
            ``min_points=20``.

    Raises:
        InputError: unknown name, unknown setting (it is named), or a value out of range.

    >>> create_lifter("lidar", min_points=20).filters.min_points
    20
    """
    if isinstance(lifter, LiftConfig):
        kind = LIFTERS[lifter.name]
        return kind(lifter.of_lifter(kind.Config), lifter.filters())
    kind = LIFTERS[lifter]
    known = [*Filters.model_fields, *kind.Config.model_fields]
    for name in settings:
        if name not in known:
            raise InputError(
                "is not a setting",
                source=f"lifter {lifter}",
                field=name,
                fix=f"use one of {', '.join(sorted(known))}",
            )
    own = {name: value for name, value in settings.items() if name not in Filters.model_fields}
    filters = {name: value for name, value in settings.items() if name in Filters.model_fields}
    return kind(parse_config(kind.Config, own, "lifter"), parse_config(Filters, filters, "lifter"))


def box_truncation(box: NDArray, width: int, height: int) -> float:
    """Share of an xyxy pixel box's border, cut to the image, that lies within a pixel of the image's border.

    >>> box_truncation(np.array([0, 100, 50, 150]), 640, 480)
    0.25
    """
    x0, y0, x1, y1 = clip_boxes_2d(box, width - 1, height - 1)
    w, h = x1 - x0, y1 - y0
    if w + h <= 0:
        return 1.0
    touching = h * (x0 <= 1) + h * (x1 >= width - 2) + w * (y0 <= 1) + w * (y1 >= height - 2)
    return float(touching / (2 * (w + h)))
