"""One object as it is followed: bounded memory, however often it is seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.associate.observation import SAMPLE, Observation
from data_prep.geometry.voxels import voxel_codes

_FIT = 5  # latest sightings that a velocity is fitted to
_ENOUGH, _CELLS = 4, 10  # sightings from which two must agree on a place; places along the diagonal
_NEW_ANGLE = np.deg2rad(20)  # looks further apart than this are different looks


@dataclass(eq=False)
class Track:
    """What is known of an object so far.

    Attributes:
        number: in the order objects were first seen.
        looks: best sightings, at most as many as wanted; the only ones that keep crop and points.
        last: the latest sighting.
        votes: label → sum of scores.
        texts: label → texts that came with it first.
        times, centers, sizes, wholes: of all sightings, for motion.
        record: ``[frame, view index, detection, label, score]`` of all sightings.
        union: (u, 3) float64 world points of all sightings, thinned; empty once it is known to move.
        union_colors: (u, 3) uint8 or None.
    """

    number: int
    last: Observation
    looks: list[Observation] = field(default_factory=list)
    votes: Counter[str] = field(default_factory=Counter)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    centers: list[NDArray[np.float64]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    wholes: list[bool] = field(default_factory=list)
    record: list[list[Any]] = field(default_factory=list)
    union: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    union_colors: NDArray[np.uint8] | None = None
    _voxel: float = 0.0
    _cell: float = 0.0
    _seen: Counter[int] = field(default_factory=Counter)
    _whole: list[tuple[float, NDArray[np.float64]]] = field(default_factory=list)
    _velocity: NDArray[np.float64] | None = None
    _sample: NDArray[np.float64] | None = None
    _moves: bool = False

    @classmethod
    def begin(cls, number: int, sighting: Observation, looks: int, max_points: int) -> Track:
        """A track of one sighting."""
        track = cls(number, sighting)
        track.add(sighting, looks, max_points)
        return track

    def add(self, sighting: Observation, looks: int, max_points: int) -> None:
        """Take one more sighting in.

        Args:
            sighting: it.
            looks: sightings to keep whole.
            max_points: the union is kept below four times this.
        """
        told = sighting.triplet.provenance
        self.last = sighting
        self.votes[sighting.label] += sighting.score  # type: ignore[assignment]
        self.texts.setdefault(sighting.label, sighting.triplet.texts)
        self.times.append(sighting.time)
        self.centers.append(sighting.center)
        self.sizes.append(sighting.diagonal)
        self.wholes.append(sighting.whole)
        self.record.append([told[name] for name in ("frame", "view_index", "detection", "label", "score")])
        if sighting.whole:
            # What the image border cuts has its middle somewhere else in every frame.
            self._whole = [*self._whole, (sighting.time, sighting.center)][-_FIT:]
            self._velocity = _fit_velocity(self._whole)
        self._moves = self._moves or self._find_motion()
        self._unite(sighting, 4 * max_points)
        self._sample = None
        self.looks.append(sighting)
        if len(self.looks) > looks:
            self.looks.pop(_least_telling(self.looks))

    def mark_moving(self) -> None:
        """Its clouds do not fit onto each other, whatever its places say."""
        self._moves = True

    def __len__(self) -> int:
        return len(self.times)

    @property
    def moves(self) -> bool:
        """It was seen whole in places further apart than half its size: its clouds do not fit onto each other."""
        return self._moves

    @property
    def velocity(self) -> NDArray[np.float64] | None:
        """(3,) meters per second, or None: seen whole at one moment at most."""
        return self._velocity

    @property
    def standing(self) -> NDArray[np.float64]:
        """(m, 3) world points by which overlap is judged if it has not moved."""
        if self._moves or len(self.union) == 0:
            return self.last.sample
        if self._sample is None:
            rows = np.linspace(0, len(self.union) - 1, min(len(self.union), SAMPLE)).astype(np.int64)
            self._sample = self.union[np.unique(rows)]
        return self._sample

    def best_first(self) -> list[Observation]:
        """Its looks, best first."""
        return sorted(self.looks, key=lambda look: (-look.value, look.triplet.key))

    def agreed(self) -> NDArray[np.bool_]:
        """(u,) which points of the union lie where at least two looks saw something.

        What a box that was drawn wrong once took from the background is nowhere near what the other looks took.
        Of fewer than four looks no majority can be asked.
        """
        if len(self) < _ENOUGH:
            return np.ones(len(self.union), bool)
        codes = voxel_codes(self.union, self._cell, self.centers[0])
        supported = np.array([code for code, count in self._seen.items() if count >= 2], np.int64)
        return np.isin(codes, supported)

    def _find_motion(self) -> bool:
        whole = [center for center, whole in zip(self.centers, self.wholes, strict=True) if whole]
        if len(whole) < 2:
            return False
        low, high = np.percentile(whole, (10, 90), axis=0)
        return bool(np.linalg.norm(high - low) > 0.5 * np.median(self.sizes))

    def _unite(self, sighting: Observation, at_most: int) -> None:
        if self._moves:
            self.union, self.union_colors = np.zeros((0, 3)), None
            self._seen.clear()
            return
        triplet = sighting.triplet
        points = triplet.points.astype(np.float64) + np.array(triplet.provenance["center"])
        if len(self) == 1:
            self.union, self.union_colors = points, triplet.colors
            self._voxel = max(_typical_spacing(triplet.points), sighting.diagonal / 200)
            self._cell = sighting.diagonal / _CELLS
        else:
            if (self.union_colors is None) != (triplet.colors is None):
                return  # a cloud is colored or it is not
            self.union = np.concatenate([self.union, points])
            if self.union_colors is not None and triplet.colors is not None:
                self.union_colors = np.concatenate([self.union_colors, triplet.colors])
            self._thin()
        self._seen.update(np.unique(voxel_codes(points, self._cell, self.centers[0])).tolist())
        while len(self.union) > at_most:
            self._voxel *= 1.5
            self._thin()

    def _thin(self) -> None:
        """Keep the first point of every voxel."""
        codes = voxel_codes(self.union, self._voxel, self.centers[0])
        kept = np.sort(np.unique(codes, return_index=True)[1])
        self.union = self.union[kept]
        if self.union_colors is not None:
            self.union_colors = self.union_colors[kept]


def _fit_velocity(seen: list[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64] | None:
    t = np.array([time for time, _ in seen])
    t -= t.mean()
    centers = np.array([center for _, center in seen])
    spread = float((t * t).sum())
    if spread < 1e-9:
        return None
    return np.asarray((t[:, None] * centers).sum(axis=0) / spread)


def _least_telling(looks: list[Observation]) -> int:
    """The look to give up: of little value, or close to a better one in direction."""
    away = np.array([look.camera - look.center for look in looks])
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    angles = np.arccos(np.clip(away @ away.T, -1, 1))
    worth = []
    for row, look in enumerate(looks):
        better = [
            angles[row, other]
            for other, rival in enumerate(looks)
            if (rival.value, rival.triplet.key) > (look.value, look.triplet.key)
        ]
        novelty = min(1.0, 0.2 + min(better, default=np.inf) / _NEW_ANGLE)
        worth.append((look.value * novelty, look.triplet.key))
    return worth.index(min(worth))


def _typical_spacing(points: NDArray[np.float32]) -> float:
    """Meters between neighbors if the points lay evenly on the box's faces; a bound that needs no tree."""
    size = np.sort(np.ptp(points, axis=0).astype(np.float64))
    return float(0.5 * np.sqrt(max(size[2] * size[1], 1e-8) / len(points)))
