"""LiDAR lifter: clusters above the ground, as fine as object and sensor allow; boxes compete for points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.cluster import connected_components
from data_prep.lift.assign_points import assign_points
from data_prep.lift.config import LidarConfig
from data_prep.lift.lifter import LIFTERS, OCCLUDED, ONLY_GROUND, Choice, Lifter, Region
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.sweep import Footprint, SeenScene, ground_contact
from data_prep.scans import Frame, View

_BELOW, _BEFORE = 0.25, 0.05  # of the height of the box; of the range
_STANDS = 0.3  # m over the ground, up to which the foot of a cluster may be hidden
_NEAREST = 0.05  # quantile of a cluster's depths that counts as its nearest point: single echoes do not
_BASE = 0.3  # share of a cluster's height that is its base: crowns and roofs reach out over it
_AROUND = 0.5  # how far around a box, in its sides, surfaces are followed
_EDGE_PIXELS = 2.0  # a box's lower edge may lie this far below the object
_ENDS = 0.5  # held share from which a surface ends in the box
_ALONG = 2.0  # gaps along the ray may be this much longer within one object: sides at a slant, windows without returns
_GAPS = np.array([1.0, 1.0, _ALONG])
_HELD_POWER = 3.0  # exponent of the held share: a surface that runs out of the box counts little


@LIFTERS.register("lidar")
class LidarLifter(Lifter[LidarConfig]):
    """Clusters what rises from the ground in each box and takes the cluster the box means (see :class:`Candidates`)."""

    name: ClassVar[str] = "lidar"
    Config: ClassVar = LidarConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        """See :meth:`Lifter.choose`."""
        if not regions:
            return []
        scene = SeenScene(frame, view, seen)
        candidates = [Candidates(scene, region, self.config) for region in regions]
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


class Candidates:
    """Clusters of the points above the ground in a region.

    A cluster is the object if it has many points near the box's middle, surfaces that end where the box ends, and a
    base where the box's lower edge meets the ground. Competing boxes are resolved by :func:`assign_points`.

    Args:
        scene: the view.
        region: the detection's region.
        config: settings.

    Attributes:
        standing: (n,) positions of the points off the ground.
    """

    def __init__(self, scene: SeenScene, region: Region, config: LidarConfig) -> None:
        self._scene, self._region, self._config = scene, region, config
        self._spacing = scene.beam_spacing(region.where)
        self._find(0.0)
        if len(self.standing):
            hidden = self._hidden_ground()
            if hidden > config.ground / 2:
                self._find(hidden)

    def _find(self, lowered: float) -> None:
        """Cluster what stands off the ground, the fitted ground lowered by some meters."""
        scene, region, config = self._scene, self._region, self._config
        self._ground = config.ground - lowered
        self.standing = region.where[scene.height[region.where] > self._ground]
        if len(self.standing) == 0:
            return
        sides = np.maximum(region.box[2:] - region.box[:2], 1.0)
        spacing = config.beams * self._spacing
        self._reach = max(config.gap * float(np.sqrt(sides.prod())), spacing)
        self._extent = config.extent * float(sides.max()) / scene.focal
        above = scene.above[self.standing]
        self._labels = connected_components(above, self._reach)
        self._wider = np.full(len(self.standing), -1)
        self._weight = np.ones(len(self.standing))
        if not region.masked:  # a mask has already said which pixels count
            off = (scene.uv[self.standing] - (region.box[:2] + region.box[2:]) / 2) / (config.focus * sides)
            held = self._held(sides, spacing)
            self._weight = np.exp(-0.5 * (off**2).sum(axis=1)) * held**_HELD_POWER
            ends = held >= _ENDS
            self._wider[ends] = connected_components(above[ends] / _GAPS, self._reach)

        depth, height = scene.depth[self.standing], scene.height[self.standing]
        self._nearest = _quantile(depth, self._labels, _NEAREST)
        low, high = (_quantile(height, self._labels, q) for q in (_NEAREST, 1 - _NEAREST))
        upper = height > (low + _BASE * (high - low))[self._labels]
        base = _quantile(np.where(upper, np.inf, depth), self._labels, 0.0)
        contact = ground_contact(region.box, scene.camera, scene.T_world_points, scene.ground)
        self._likelihood = contact.likelihood(base, self._hides_base(sides))
        self._stands = low < self._ground + _STANDS

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """The cluster that the free points support most, cut to the extent an object can have.

        Args:
            free: (V,) False for points that other objects hold.

        Returns:
            (m,) positions, held ones included; (m,) the box's claim on each; the support of the cluster.
        """
        if len(self.standing) == 0:
            return self.standing, np.zeros(0), 0.0
        score = np.bincount(self._labels, self._weight * free[self.standing]) * self._likelihood
        label = int(score.argmax())
        depth = self._scene.depth[self.standing]
        mine = self._labels == label
        # Fragments behind and before it whose surface ends in the box, too; but two that stand are two things.
        mine |= (
            np.isin(self._wider, self._wider[mine & (self._wider >= 0)])
            & ~(self._stands & self._stands[label])[self._labels]
            & free[self.standing]
            & (depth >= self._nearest[label] * (1 - self._extent))
        )
        within = depth[mine] <= self._nearest[label] * (1 + self._extent)
        member = np.flatnonzero(mine)[within]
        if not within.all():
            part = connected_components(self._scene.above[self.standing[member]] / _GAPS, self._reach)
            member = member[part == np.bincount(part, self._weight[member]).argmax()]
        return self.standing[member], self._weight[member] * self._likelihood[label], float(score[label])

    def with_low_points(self, chosen: NDArray[np.int64], free: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Add low points above the object's footprint: wheels, feet, bumpers."""
        scene, where = self._scene, self._region.where
        height = scene.height[where]
        least = self._ground - self._config.ground / 2
        low = where[(height > least) & (height <= self._ground) & free[where]]
        if len(low) == 0:
            return chosen
        # The next beam down may have met the same side of the object a little in front of the footprint.
        margin = self._spacing / 2 * float(np.median(scene.range[chosen])) / scene.focal
        footprint = Footprint.around(scene.xy[chosen])
        return np.concatenate([chosen, low[footprint.contains(scene.xy[low], margin)]])

    def _hidden_ground(self) -> float:
        """How much too high the fitted ground is under the object, by the box's lower edge, meters; 0 if it is right.

        Far away the ground shows only between objects, and the map takes their lowest returns for it. A beam would
        have met anything higher than its spacing, so more than that is no error of the map: the object hangs, or the
        cluster is not the object.
        """
        scene = self._scene
        chosen, _, _ = self.best(np.ones(len(scene.range), dtype=bool))
        distance = float(np.quantile(scene.range[chosen], _NEAREST))
        pixel = distance / scene.focal
        level = scene.level(float(self._region.box[3]), distance) + _EDGE_PIXELS * pixel
        hidden = float(np.median(scene.z[chosen] - scene.height[chosen])) - level
        return hidden if hidden <= self._spacing * pixel else 0.0

    def _hides_base(self, sides: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(K,) whether what is seen right below the box stands before the cluster: the box ends where the object is hidden."""
        scene, box = self._scene, self._region.box
        below = scene.seen.in_box(np.array([box[0], box[3], box[2], box[3] + _BELOW * sides[1]]))
        if len(below) == 0:
            return np.zeros(len(self._nearest), dtype=bool)
        standing = scene.height[below] > self._ground
        before = scene.depth[below] < (1 - _BEFORE) * self._nearest[:, None]
        hidden: NDArray[np.bool_] = (standing & before).mean(axis=1) > 0.5
        return hidden

    def _held(self, sides: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
        """(n,) share of each standing point's piece of surface that the box holds: walls and fences run out of it."""
        scene = self._scene
        around = scene.seen.in_box(self._region.box + _AROUND * np.concatenate([-sides, sides]))
        around = around[scene.height[around] > self._ground]
        piece = connected_components(scene.position[around], max(spacing, 1.0))
        inside = np.isin(around, self.standing, assume_unique=True)
        held = np.bincount(piece, inside) / np.bincount(piece)
        return held[piece[inside]]


def _quantile(values: NDArray[np.float64], labels: NDArray[np.int64], quantile: float) -> NDArray[np.float64]:
    """(K,) a quantile of the (n,) values of every cluster."""
    order = np.lexsort((values, labels))
    count = np.bincount(labels)
    first = np.cumsum(count) - count
    return values[order[first + (quantile * (count - 1)).astype(np.int64)]]
