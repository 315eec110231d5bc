"""Objects in sparse sweeps: off the ground, clusters as fine as object and sensor allow, nearest boxes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.geometry.cluster import connected_components
from data_prep.geometry.ground import GroundMap
from data_prep.lift.contact import ground_contact
from data_prep.lift.footprint import Footprint
from data_prep.lift.gates import OCCLUDED, ONLY_GROUND, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View

_BASE = 0.3  # share of a cluster's height that is its base
_HEART = 0.5  # share of an object's claims that a box behind it cannot take away
_NEAREST = 0.05  # quantile of a cluster's depths that counts as its nearest point: single echoes do not


@dataclass(frozen=True)
class LidarConfig:
    """Attributes:
    ground: points this high above the fitted ground stand on it, metres. Under an object that was found, half of it.
    gap: largest gap within an object seen from above, as a share of its size (the geometric mean of its box's sides).
    beams: the same in spacings of the sensor's beams; the wider of the two counts.
    focus: how far from the box's middle points speak for their cluster: standard deviation as a share of the
        box's sides.
    extent: how far an object reaches behind its nearest point, in lengths of its box's longer side.
    """

    ground: float = 0.1
    gap: float = 0.45
    beams: float = 2.0
    focus: float = 0.25
    extent: float = 2.0

    def __post_init__(self) -> None:
        for name in ("ground", "gap", "beams", "focus", "extent"):
            value = getattr(self, name)
            require(bool(np.isfinite(value)) and value > 0, name, value, "a finite number above 0")


@register_lifter
class LidarLifter(Lifter):
    """Cluster what stands on the ground in each box; take what the box is centred on and where its lower edge stands.

    Boxes are served from near to far. A box further away may take points of a nearer object that are more central to
    it, as along a row of things that touch, but not the nearer object's heart.
    """

    name: ClassVar[str] = "lidar"
    Config: ClassVar[type] = LidarConfig
    config: LidarConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        if not regions:
            return []
        scene = _SeenScene(frame, view, seen)
        candidates = [_Candidates(scene, region, self.config) for region in regions]
        first = [found.best(np.ones(len(seen), dtype=bool)) for found in candidates]
        ranges = np.array(
            [found.range_of(chosen) for found, (chosen, _) in zip(candidates, first, strict=True)]
        )
        owner = np.full(len(seen), -1)
        order = np.argsort(ranges, kind="stable")
        claim = np.zeros(len(seen))
        for i in order:
            chosen, strength = candidates[i].best(owner < 0)
            wins = strength > claim[chosen]
            for rival in np.unique(owner[chosen[wins]]):
                lost = chosen[wins & (owner[chosen] == rival)]
                if rival >= 0 and claim[lost].sum() > _HEART * claim[owner == rival].sum():
                    wins &= owner[chosen] != rival  # the heart of a nearer object: it keeps all
            owner[chosen[wins]], claim[chosen[wins]] = i, strength[wins]
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
                choices.append(Choice(chosen, depth=found.range_of(chosen)))
        return choices


class _SeenScene:
    """What the lifter needs to know about the points of one view."""

    def __init__(self, frame: Frame, view: View, seen: ProjectedPoints) -> None:
        self.camera, self.T_world_points = view.camera, frame.T_world_points
        world = frame.world_points()
        self.ground = GroundMap.fit(world)
        self.xy = world[seen.indices, :2]
        self.height = world[seen.indices, 2] - self.ground.height(self.xy)
        self.depth = seen.depth.astype(np.float64)
        self.range = np.linalg.norm(frame.points[seen.indices] - view.camera.T_points_cam[:3, 3], axis=1)
        self.uv = np.stack([seen.u, seen.v], axis=1).astype(np.float64)
        self.focal = float(np.sqrt(view.camera.K[0, 0] * view.camera.K[1, 1]))
        # Seen from above in (angle, log range), where a gap is the same share of an object at any range.
        sideways = view.camera.K[0, 0] / self.focal
        self.above = np.column_stack(
            [self.uv[:, 0] / sideways, self.focal * np.log(self.range), np.zeros(len(seen))]
        )
        self._tree = cKDTree(self.uv)

    def beam_spacing(self, where: NDArray[np.int64], neighbours: int = 24, samples: int = 256) -> float:
        """Median pixels from these points to the next line of points: the coarser of the sensor's two spacings there."""
        some = self.uv[where[:: max(1, len(where) // samples)]]
        if len(self.uv) < 2:
            return 0.0
        distance, other = self._tree.query(some, k=min(neighbours, len(self.uv)))
        du, dv = np.abs(self.uv[other[:, 1:]] - some[:, None]).transpose(2, 0, 1)
        furthest = distance[:, -1]
        across = np.where(du > dv, du, np.inf).min(axis=1)
        along = np.where(dv >= du, dv, np.inf).min(axis=1)
        return float(max(np.median(np.minimum(spacing, furthest)) for spacing in (across, along)))


class _Candidates:
    """The clusters in one region, and which of them the box means."""

    def __init__(self, scene: _SeenScene, region: Region, config: LidarConfig) -> None:
        self.scene, self.region, self.config = scene, region, config
        self.standing = region.where[scene.height[region.where] > config.ground]
        if len(self.standing) == 0:
            return
        sides = np.maximum(region.box[2:] - region.box[:2], 1.0)
        self.reach = max(
            config.gap * float(np.sqrt(sides.prod())), config.beams * scene.beam_spacing(region.where)
        )
        self.extent = config.extent * float(sides.max()) / scene.focal
        self.labels = connected_components(scene.above[self.standing], self.reach)
        off = (scene.uv[self.standing] - (region.box[:2] + region.box[2:]) / 2) / (config.focus * sides)
        # A mask has already said which pixels count.
        self.weight = np.ones(len(off)) if region.masked else np.exp(-0.5 * (off**2).sum(axis=1))
        depth = scene.depth[self.standing]
        self.nearest = _by_cluster(depth, self.labels, _NEAREST)
        # Where it stands is told by its lower part: crowns and roofs reach out over it.
        height = scene.height[self.standing]
        low = _by_cluster(height, self.labels, _NEAREST)
        high = _by_cluster(height, self.labels, 1 - _NEAREST)
        upper = height > (low + _BASE * (high - low))[self.labels]
        base = _by_cluster(np.where(upper, np.inf, depth), self.labels, 0.0)
        contact = ground_contact(region.box, scene.camera, scene.T_world_points, scene.ground)
        self.likelihood = contact.likelihood(base)

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The cluster that the free points speak for, cut to the extent an object can have.

        Returns:
            (n,) positions and (n,) how strongly the box claims each.
        """
        if len(self.standing) == 0:
            return self.standing, np.zeros(0)
        score = np.bincount(self.labels, self.weight * free[self.standing]) * self.likelihood
        label = int(score.argmax())
        member = np.flatnonzero(self.labels == label)
        within = self.scene.depth[self.standing[member]] <= self.nearest[label] * (1 + self.extent)
        if not within.all():
            member = member[within]
            part = connected_components(self.scene.above[self.standing[member]], self.reach)
            member = member[part == np.bincount(part, self.weight[member]).argmax()]
        return self.standing[member], self.weight[member] * self.likelihood[label]

    def with_low_points(self, chosen: NDArray[np.int64], free: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Give back what is nearly on the ground under the object's footprint: wheels, feet, bumpers."""
        where = self.region.where
        height = self.scene.height[where]
        low = where[(height > self.config.ground / 2) & (height <= self.config.ground) & free[where]]
        footprint = Footprint.around(self.scene.xy[chosen])
        return np.concatenate([chosen, low[footprint.contains(self.scene.xy[low])]])

    def range_of(self, chosen: NDArray[np.int64]) -> float:
        """Median range, metres; inf for nothing."""
        return float(np.median(self.scene.range[chosen])) if len(chosen) else np.inf


def _by_cluster(
    values: NDArray[np.float64], labels: NDArray[np.int64], quantile: float
) -> NDArray[np.float64]:
    """(K,) a quantile of the (n,) values of every cluster."""
    order = np.lexsort((values, labels))
    count = np.bincount(labels)
    first = np.cumsum(count) - count
    return values[order[first + (quantile * (count - 1)).astype(np.int64)]]
