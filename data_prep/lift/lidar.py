"""Objects in sparse sweeps: off the ground, clusters as fine as object and sensor allow, boxes in competition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data_prep.lift.assign_points import assign_points
from data_prep.lift.candidates import Candidates
from data_prep.lift.filters import OCCLUDED, ONLY_GROUND, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.scene import SeenScene
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class LidarConfig:
    """Attributes:
    ground: points this high above the fitted ground stand on it, meters. Under an object that was found, half of it.
    gap: largest gap within an object seen from above, as a share of its size (the geometric mean of its box's sides).
    beams: the same in spacings of the sensor's beams, which are measured in the sweep; the wider of the two counts.
    focus: how far from the box's middle points speak for their cluster: standard deviation as a share of the
        box's sides.
    extent: how far an object reaches behind its nearest point, in lengths of its box's longer side.
    """

    ground: float = 0.1
    gap: float = 0.3
    beams: float = 3.0
    focus: float = 0.25
    extent: float = 3.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(bool(np.isfinite(value)) and value > 0, name, value, "a finite number above 0")


@register_lifter
class LidarLifter(Lifter):
    """Cluster what stands on the ground in each box and take the cluster the box means (see :class:`Candidates`)."""

    name: ClassVar[str] = "lidar"
    Config: ClassVar[type] = LidarConfig
    config: LidarConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        if not regions:
            return []
        scene = SeenScene(frame, view, seen)
        candidates = [Candidates(scene, region, **vars(self.config)) for region in regions]
        owner = assign_points(
            candidates,
            scene.range,
            np.array([region.box for region in regions]),
            np.array([region.score for region in regions]),
        )
        choices = []
        for i, found in enumerate(candidates):
            chosen = np.flatnonzero(owner == i)
            if len(found.standing) == 0:
                choices.append(Choice(chosen, reason=ONLY_GROUND))
            elif len(chosen) == 0:
                choices.append(Choice(chosen, reason=OCCLUDED))
            else:
                chosen = found.with_low_points(chosen, owner < 0)
                owner[chosen] = i
                choices.append(Choice(chosen, depth=float(np.median(scene.range[chosen]))))
        return choices
