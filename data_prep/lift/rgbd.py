"""Objects in dense depth images: surfaces that end where the box ends, the background behind and under them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.cluster import connected_components
from data_prep.lift.gates import OCCLUDED, ONLY_BACKGROUND, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.lift.surfaces import surface_pieces
from data_prep.scans import Frame, View

_NEAREST = 0.05  # quantile of a cluster's depths that counts as its nearest point: stray pixels do not
_HELD_POWER = 3.0  # how strongly a surface that runs out of the box is disbelieved
_BETWEEN = (
    0.02  # of its depth: a pixel further than this from what is before and behind it belongs to neither
)


@dataclass(frozen=True)
class RgbdConfig:
    """Attributes:
    held: share of a piece of surface that a box must hold for it to be the object's, 0..1: walls, floors and table
        tops run out of the box.
    gap: largest gap within an object, as a share of its size (the geometric mean of its box's sides).
    focus: how far from the box's middle points speak for their cluster: standard deviation as a share of the
        box's sides.
    extent: how far an object reaches behind its nearest point, in lengths of its box's longer side.
    """

    held: float = 0.5
    gap: float = 0.3
    focus: float = 0.25
    extent: float = 3.0

    def __post_init__(self) -> None:
        require(0 <= self.held <= 1, "held", self.held, "0..1")
        for name in ("gap", "focus", "extent"):
            value = getattr(self, name)
            require(bool(np.isfinite(value)) and value > 0, name, value, "a finite number above 0")


@register_lifter
class RgbdLifter(Lifter):
    """Unprojected depth inside each box or mask, without the surfaces of the room and without pixels between surfaces."""

    name: ClassVar[str] = "rgbd"
    Config: ClassVar[type] = RgbdConfig
    config: RgbdConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        if not regions:
            return []
        scene = _DepthScene(view, seen)
        candidates = [_Surfaces(scene, region, self.config) for region in regions]
        owner = _smallest_first([found.best() for found in candidates], len(seen))
        choices = []
        for i, found in enumerate(candidates):
            chosen = np.flatnonzero(owner == i)
            if len(chosen):
                choices.append(Choice(chosen, depth=float(np.median(scene.depth[chosen]))))
            else:
                choices.append(Choice(chosen, reason=OCCLUDED if len(found.where) else ONLY_BACKGROUND))
        return choices


def _smallest_first(clusters: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """(V,) which cluster each point goes to, -1 for none: what is on a table is its own, not the table's."""
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
        # Where points share a pixel the nearest is what it shows.
        order = np.argsort(-self.depth, kind="stable")
        image[row[order], column[order]] = self.depth[order]
        measured = max(int((image > 0).sum()), 1)
        self.pixel = float(np.sqrt(image.size / measured))  # typical distance between measured pixels
        self.piece = surface_pieces(image)[row, column]
        self.size_of_piece = np.bincount(self.piece)
        self.flying = _between_surfaces(image)[row, column]


class _Surfaces:
    """The clusters of one region that may be its object."""

    def __init__(self, scene: _DepthScene, region: Region, config: RgbdConfig) -> None:
        self._scene, self._masked = scene, region.masked
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

    def best(self) -> NDArray[np.int64]:
        """Positions of the cluster that the box is centred on; of a mask, all that is no deeper than an object can be."""
        if len(self.where) == 0:
            return self.where
        member = self._labels == np.bincount(self._labels, self._weight).argmax()
        depth = self._scene.depth[self.where]
        nearest = float(np.quantile(depth[member], _NEAREST))
        if self._masked:
            return self.where[np.abs(depth - nearest) <= nearest * self._extent]
        return self.where[member & (depth <= nearest * (1 + self._extent))]


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
