"""The lifter that suits a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from data_prep.lift.filters import Filters
from data_prep.lift.lidar import LidarConfig, LidarLifter
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.rgbd import RgbdConfig, RgbdLifter
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class AutoConfig:
    """Nothing of its own: settings beyond the filters belong to ``lidar`` and ``rgbd``."""


@register_lifter
class AutoLifter(Lifter):
    """``rgbd`` where a frame has a depth image, ``lidar`` where it has none, both with their defaults."""

    name: ClassVar[str] = "auto"
    Config: ClassVar[type] = AutoConfig

    def __init__(self, config: AutoConfig, filters: Filters) -> None:
        super().__init__(config, filters)
        self._rgbd, self._lidar = RgbdLifter(RgbdConfig(), filters), LidarLifter(LidarConfig(), filters)

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        lifter = self._lidar if frame.depth is None else self._rgbd
        return lifter.choose(frame, view, seen, regions)
