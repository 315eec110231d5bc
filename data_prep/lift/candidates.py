"""The clusters inside one box, and which of them the box means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.cluster import connected_components
from data_prep.lift.contact import ground_contact
from data_prep.lift.footprint import Footprint
from data_prep.lift.lifter import Region
from data_prep.lift.scene import SeenScene

_NEAREST = 0.05  # quantile of a cluster's depths that counts as its nearest point: single echoes do not
_BASE = 0.3  # share of a cluster's height that is its base: crowns and roofs reach out over it
_AROUND = 0.5  # how far around a box, in its sides, surfaces are followed
_HELD_POWER = 3.0  # how strongly a surface that runs out of the box is disbelieved


class Candidates:
    """Clusters of what stands on the ground in a region.

    Four things make a cluster the object: many points, near the box's middle; surfaces that end where the box ends;
    a base where the box's lower edge meets the ground; no other box with a better claim (that is the lifter's part).

    Args:
        scene: the view.
        region: the detection's region.
        ground: points higher than this over the ground stand on it, meters.
        gap: largest gap in a cluster seen from above, as a share of the box's size.
        beams: the same in spacings of the sensor's beams; the wider of the two counts.
        focus: how far from the box's middle points speak for their cluster, as a share of the box's sides.
        extent: how far an object reaches behind its nearest point, in lengths of the box's longer side.

    Attributes:
        standing: (n,) positions of the points off the ground.
    """

    def __init__(
        self,
        scene: SeenScene,
        region: Region,
        *,
        ground: float,
        gap: float,
        beams: float,
        focus: float,
        extent: float,
    ) -> None:
        self._scene, self._region, self._ground = scene, region, ground
        self.standing = region.where[scene.height[region.where] > ground]
        if len(self.standing) == 0:
            return
        sides = np.maximum(region.box[2:] - region.box[:2], 1.0)
        spacing = beams * scene.beam_spacing(region.where)
        self._reach = max(gap * float(np.sqrt(sides.prod())), spacing)
        self._extent = extent * float(sides.max()) / scene.focal
        self._labels = connected_components(scene.above[self.standing], self._reach)
        self._weight = np.ones(len(self.standing))
        if not region.masked:  # a mask has already said which pixels count
            off = (scene.uv[self.standing] - (region.box[:2] + region.box[2:]) / 2) / (focus * sides)
            self._weight = np.exp(-0.5 * (off**2).sum(axis=1)) * self._held(sides, spacing) ** _HELD_POWER

        depth, height = scene.depth[self.standing], scene.height[self.standing]
        self._nearest = _quantile(depth, self._labels, _NEAREST)
        low, high = (_quantile(height, self._labels, q) for q in (_NEAREST, 1 - _NEAREST))
        upper = height > (low + _BASE * (high - low))[self._labels]
        base = _quantile(np.where(upper, np.inf, depth), self._labels, 0.0)
        contact = ground_contact(region.box, scene.camera, scene.T_world_points, scene.ground)
        self._likelihood = contact.likelihood(base)

    def best(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """The cluster that the free points speak for, cut to the extent an object can have.

        Args:
            free: (V,) False for points that other objects hold.

        Returns:
            (m,) positions, held ones included; (m,) how strongly the box claims each; how much speaks for the cluster.
        """
        if len(self.standing) == 0:
            return self.standing, np.zeros(0), 0.0
        score = np.bincount(self._labels, self._weight * free[self.standing]) * self._likelihood
        label = int(score.argmax())
        member = np.flatnonzero(self._labels == label)
        within = self._scene.depth[self.standing[member]] <= self._nearest[label] * (1 + self._extent)
        if not within.all():
            member = member[within]
            part = connected_components(self._scene.above[self.standing[member]], self._reach)
            member = member[part == np.bincount(part, self._weight[member]).argmax()]
        return self.standing[member], self._weight[member] * self._likelihood[label], float(score[label])

    def with_low_points(self, chosen: NDArray[np.int64], free: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Give back what is nearly on the ground under the object's footprint: wheels, feet, bumpers."""
        where = self._region.where
        height = self._scene.height[where]
        low = where[(height > self._ground / 2) & (height <= self._ground) & free[where]]
        if len(low) == 0:
            return chosen
        footprint = Footprint.around(self._scene.xy[chosen])
        return np.concatenate([chosen, low[footprint.contains(self._scene.xy[low])]])

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
