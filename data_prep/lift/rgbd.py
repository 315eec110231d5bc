"""Objects in dense depth images: connected surfaces inside the box or mask, background away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data_prep.geometry.cluster import connected_components
from data_prep.lift.gates import NO_CLUSTER, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class RgbdConfig:
    """Attributes:
    gap: largest gap within an object, as a share of its size (the geometric mean of its box's sides).
    focus: how far from the box's middle points speak for their cluster: standard deviation as a share of the
        box's sides.
    """

    gap: float = 0.05
    focus: float = 0.25

    def __post_init__(self) -> None:
        require(self.gap > 0, "gap", self.gap, "a share above 0")
        require(self.focus > 0, "focus", self.focus, "a share above 0")


@register_lifter
class RgbdLifter(Lifter):
    """Connected surfaces of the depth image inside each box or mask; the one the box is centred on."""

    name: ClassVar[str] = "rgbd"
    Config: ClassVar[type] = RgbdConfig
    config: RgbdConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        return [self._surface(view, seen, region) for region in regions]

    def _surface(self, view: View, seen: ProjectedPoints, region: Region) -> Choice:
        where, sides = region.where, np.maximum(region.box[2:] - region.box[:2], 1)
        uv = np.stack([seen.u[where], seen.v[where]], axis=1).astype(np.float64)
        focal = np.sqrt(view.camera.K[0, 0] * view.camera.K[1, 1])
        position = np.column_stack([uv, focal * np.log(seen.depth[where])])
        labels = connected_components(position, max(self.config.gap * np.sqrt(sides.prod()), 2.0))
        off = (uv - (region.box[:2] + region.box[2:]) / 2) / (self.config.focus * sides)
        score = np.bincount(labels, np.exp(-0.5 * (off**2).sum(axis=1)))
        chosen = where[labels == score.argmax()]
        if len(chosen) < self.gates.min_points:
            return Choice(where[:0], reason=NO_CLUSTER)
        return Choice(chosen, depth=float(np.median(seen.depth[chosen])))
