"""RGB-D lifter: surfaces of a dense depth image that end where the box ends, without the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import box_iou_2d
from data_prep.geometry.cluster import connected_components
from data_prep.lift.config import RgbdConfig
from data_prep.lift.lifter import (
    LIFTERS,
    OCCLUDED,
    ONLY_BACKGROUND,
    TOO_FEW_POINTS,
    Choice,
    Lifter,
    Region,
)
from data_prep.lift.refine_mask import refine_mask
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.surfaces import surface_pieces
from data_prep.scans import Frame, View

_NEAREST = 0.05  # quantile of a cluster's depths that counts as its nearest point: stray pixels do not
_HELD_POWER = 3.0  # exponent of the held share: a surface that runs out of the box counts little
_CLUSTERS = 8  # of a region that are looked at
_FIT_POWER = 2.0  # exponent of the IoU of a cluster's own box with the region's
_WORTH = 1e-4  # of the best cluster's score: the least for an alternative
_SAME = 0.6  # of the larger one: clusters that share more are one object
_BETWEEN = (
    0.02  # of its depth: a pixel further than this from what is before and behind it belongs to neither
)


@LIFTERS.register("rgbd")
class RgbdLifter(Lifter[RgbdConfig]):
    """Unprojects the depth inside each box or mask, without the surfaces of the room and without flying pixels."""

    name: ClassVar[str] = "rgbd"
    Config: ClassVar = RgbdConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        """See :meth:`Lifter.choose`."""
        if not regions:
            return []
        scene = _DepthScene(view, seen)
        candidates = [_Surfaces(scene, region, self.config) for region in regions]
        clusters = _claim([found.ranked() for found in candidates], len(seen))
        clusters = [
            scene.refine_mask(region.box, cluster)
            if self.config.refine_mask and not region.masked
            else cluster
            for region, cluster in zip(regions, clusters, strict=True)
        ]
        owner = _smallest_first(clusters, len(seen))
        chosen = [np.flatnonzero(owner == i) for i in range(len(regions))]
        # By owner, and last for the pixels of nobody.
        depths = np.array(
            [*(np.median(scene.depth[where]) if len(where) else np.inf for where in chosen), np.inf]
        )
        choices = []
        for i, (found, region, where) in enumerate(zip(candidates, regions, chosen, strict=True)):
            hidden = depths[owner[region.where]] < depths[i]
            if len(where) == 0:
                choices.append(Choice(where, reason=OCCLUDED if len(found.where) else ONLY_BACKGROUND))
            elif len(where) < self.config.share * (~hidden).sum():
                choices.append(Choice(where[:0], reason=TOO_FEW_POINTS))
            else:
                choices.append(Choice(where, depth=float(depths[i])))
        return choices


@dataclass(frozen=True)
class _Cluster:
    """Positions of points that may be a region's object, and the IoU of the box around them with the region's."""

    where: NDArray[np.int64]
    fit: float


def _claim(ranked: Sequence[Sequence[_Cluster]], count: int) -> list[NDArray[np.int64]]:
    """The best cluster of each region that no region whose box fits it better has: two boxes are two objects."""
    claimed = [np.zeros(0, np.int64)] * len(ranked)
    lit = np.zeros(count, dtype=bool)
    for i in sorted(range(len(ranked)), key=lambda i: -ranked[i][0].fit if ranked[i] else 0.0):
        for cluster in ranked[i]:
            lit[cluster.where] = True
            taken = any(
                lit[other].sum() > _SAME * max(len(other), len(cluster.where))
                for other in claimed
                if len(other) > _SAME * len(cluster.where)
            )
            lit[cluster.where] = False
            if not taken:
                claimed[i] = cluster.where
                break
    return claimed


def _smallest_first(clusters: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """(V,) which cluster each point goes to, -1 for none. Things on a table are not part of the table."""
    owner = np.full(count, -1)
    for i in sorted(range(len(clusters)), key=lambda i: len(clusters[i]), reverse=True):
        owner[clusters[i]] = i
    return owner


class _DepthScene:
    """The points of a view as an image again."""

    def __init__(self, view: View, seen: ProjectedPoints) -> None:
        camera = view.camera
        self.focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
        self.depth = seen.depth.astype(np.float64)
        self.position = np.column_stack([seen.u, seen.v, self.focal * np.log(self.depth)]).astype(np.float64)
        row, column = seen.row, seen.column()
        image = np.zeros((camera.height, camera.width))
        self._view, self._image, self._row, self._column = view, image, row, column
        # Where points share a pixel the nearest is what it shows.
        order = np.argsort(-self.depth, kind="stable")
        image[row[order], column[order]] = self.depth[order]
        measured = max(int((image > 0).sum()), 1)
        self.pixel = float(np.sqrt(image.size / measured))  # typical distance between measured pixels
        self.piece = surface_pieces(image)[row, column]
        self.size_of_piece = np.bincount(self.piece)
        self.flying = _between_surfaces(image)[row, column]

    def refine_mask(self, box: NDArray, cluster: NDArray[np.int64]) -> NDArray[np.int64]:
        """The cluster with its outline where color and depth change."""
        chosen = np.zeros(self._image.shape, dtype=bool)
        chosen[self._row[cluster], self._column[cluster]] = True
        chosen = refine_mask(self._view.image, self._image, box, chosen)
        return np.flatnonzero(chosen[self._row, self._column] & ~self.flying)


class _Surfaces:
    """The clusters of one region that may be its object."""

    def __init__(self, scene: _DepthScene, region: Region, config: RgbdConfig) -> None:
        self._scene, self._masked, self._box = scene, region.masked, region.box
        sides = np.maximum(region.box[2:] - region.box[:2], 1.0)
        where = region.where[~scene.flying[region.where]]
        if region.masked:  # a mask has already said which pixels count
            weight = np.ones(len(where))
        else:
            inside = np.bincount(scene.piece[region.where], minlength=len(scene.size_of_piece))
            held = inside[scene.piece[where]] / scene.size_of_piece[scene.piece[where]]
            where, held = where[held >= config.held], held[held >= config.held]
            off = (scene.position[where, :2] - (region.box[:2] + region.box[2:]) / 2) / (config.focus * sides)
            weight = held**_HELD_POWER * np.exp(-0.5 * (off**2).sum(axis=1))
        self.where, self._weight = where, weight
        self._extent = config.extent * float(sides.max()) / scene.focal
        self._labels = connected_components(
            scene.position[where], max(config.gap * float(np.sqrt(sides.prod())), 2 * scene.pixel)
        )

    def ranked(self) -> list[_Cluster]:
        """The clusters that the box is centered on and fits around, best first; of a mask, all that is no deeper than an object can be."""
        if len(self.where) == 0:
            return []
        depth = self._scene.depth[self.where]
        weight = np.bincount(self._labels, self._weight)
        if self._masked:
            nearest = float(np.quantile(depth[self._labels == weight.argmax()], _NEAREST))
            return [_Cluster(self.where[np.abs(depth - nearest) <= nearest * self._extent], 1.0)]
        found = []
        for label in np.argsort(-weight)[:_CLUSTERS]:
            member = self._labels == label
            member &= depth <= float(np.quantile(depth[member], _NEAREST)) * (1 + self._extent)
            around = self._scene.position[self.where[member], :2]
            hull = np.concatenate([around.min(axis=0), around.max(axis=0)])
            fit = float(box_iou_2d(hull[None], self._box[None])[0, 0])
            found.append((weight[label] * fit**_FIT_POWER, _Cluster(self.where[member], fit)))
        best = max(score for score, _ in found)
        found = [(score, cluster) for score, cluster in found if score >= _WORTH * best]
        return [cluster for _, cluster in sorted(found, key=lambda item: -item[0])]


def _between_surfaces(image: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for flying pixels: a sensor's average over an edge, far from what is on either side of it."""
    flying = np.zeros(image.shape, dtype=bool)
    for axis in (0, 1):
        inner = [slice(None), slice(None)]
        inner[axis] = slice(1, -1)
        before, after = np.roll(image, 1, axis), np.roll(image, -1, axis)
        near, far = np.minimum(before, after), np.maximum(before, after)
        lost = (near > 0) & (image > near * (1 + _BETWEEN)) & (image < far * (1 - _BETWEEN))
        flying[tuple(inner)] |= lost[tuple(inner)]
    return flying
