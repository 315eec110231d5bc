"""Objects in sparse sweeps: ground away, clusters as fine as the object and the sensor allow, nearest boxes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.geometry.cluster import connected_components
from data_prep.geometry.ground import height_above_ground
from data_prep.lift.gates import NO_CLUSTER, OCCLUDED, ONLY_GROUND, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class LidarConfig:
    """Attributes:
    ground: points this high above the fitted ground are not ground, metres.
    gap: largest gap within an object, as a share of its size (the geometric mean of its box's sides).
    beams: largest gap within an object, in spacings of the sensor's beams; the wider of the two counts.
    focus: how far from the box's middle points speak for their cluster: standard deviation as a share of the
        box's sides.
    """

    ground: float = 0.15
    gap: float = 0.4
    beams: float = 2.0
    focus: float = 0.25

    def __post_init__(self) -> None:
        require(self.ground > 0, "ground", self.ground, "metres above 0")
        require(self.gap > 0, "gap", self.gap, "a share above 0")
        require(self.beams > 0, "beams", self.beams, "a number above 0")
        require(self.focus > 0, "focus", self.focus, "a share above 0")


@register_lifter
class LidarLifter(Lifter):
    """Cluster what stands on the ground inside each box and take what the box is centred on."""

    name: ClassVar[str] = "lidar"
    Config: ClassVar[type] = LidarConfig
    config: LidarConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        if not regions:
            return []
        scene = _SeenScene(frame, view, seen)
        standing = [region.where[scene.height[region.where] > self.config.ground] for region in regions]
        labels = [
            self._cluster(scene, region, where) for region, where in zip(regions, standing, strict=True)
        ]
        weights = [
            self._centre_weight(scene, region, where) for region, where in zip(regions, standing, strict=True)
        ]

        def best(i: int, free: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
            weight = weights[i] if free is None else weights[i] * free[standing[i]]
            score = np.bincount(labels[i], weight)
            return standing[i][labels[i] == score.argmax()]

        depth = np.array(
            [
                float(np.median(scene.range[best(i)])) if len(standing[i]) else np.inf
                for i in range(len(regions))
            ]
        )
        choices: list[Choice] = [Choice(np.zeros(0, np.int64), reason=ONLY_GROUND)] * len(regions)
        free = np.ones(len(seen), dtype=bool)
        for i in np.argsort(depth, kind="stable"):
            if len(standing[i]) == 0:
                continue
            if not free[standing[i]].any():
                choices[i] = Choice(standing[i][:0], reason=OCCLUDED)
                continue
            chosen = best(i, free)
            chosen = chosen[free[chosen]]
            if len(chosen) == 0:
                choices[i] = Choice(chosen, reason=NO_CLUSTER)
                continue
            free[chosen] = False
            choices[i] = Choice(chosen, depth=float(np.median(scene.range[chosen])))
        return choices

    def _cluster(self, scene: _SeenScene, region: Region, where: NDArray[np.int64]) -> NDArray[np.int64]:
        """Clusters in (angle, angle, log range): there a gap is the same share of an object at any range."""
        width, height = region.box[2:] - region.box[:2]
        size = np.sqrt(width * height)
        reach = max(self.config.gap * size, self.config.beams * scene.beam_spacing(region.where))
        position = np.column_stack([scene.uv[where], scene.focal * np.log(scene.range[where])])
        return connected_components(position, reach)

    def _centre_weight(
        self, scene: _SeenScene, region: Region, where: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        middle, sides = (region.box[:2] + region.box[2:]) / 2, np.maximum(region.box[2:] - region.box[:2], 1)
        off = (scene.uv[where] - middle) / (self.config.focus * sides)
        return np.exp(-0.5 * (off**2).sum(axis=1))


class _SeenScene:
    """What the lifter needs to know about the points of one view."""

    def __init__(self, frame: Frame, view: View, seen: ProjectedPoints) -> None:
        camera = view.camera
        self.focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
        self.uv = np.stack([seen.u, seen.v], axis=1).astype(np.float64)
        self.range = np.linalg.norm(frame.points[seen.indices] - camera.T_points_cam[:3, 3], axis=1)
        self.height = height_above_ground(frame.world_points())[seen.indices]
        self._tree = cKDTree(self.uv)

    def beam_spacing(self, where: NDArray[np.int64], neighbours: int = 24, samples: int = 256) -> float:
        """Median distance in pixels from points to the next line of points: the coarser spacing of the sensor there."""
        some = self.uv[where[:: max(1, len(where) // samples)]]
        distance, other = self._tree.query(some, k=min(neighbours, len(self.uv)))
        if distance.ndim == 1 or distance.shape[1] < 2:
            return 0.0
        du, dv = np.abs(self.uv[other] - some[:, None]).transpose(2, 0, 1)
        furthest = distance[:, -1]
        across = np.where(du > dv, du, np.inf)[:, 1:].min(axis=1)
        along = np.where(dv >= du, dv, np.inf)[:, 1:].min(axis=1)
        return float(max(np.median(np.minimum(across, furthest)), np.median(np.minimum(along, furthest))))
