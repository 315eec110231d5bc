"""Track of one object with bounded memory, and its merged observation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from data_prep.associate.measured import SAMPLE, Measured
from data_prep.associate.observation import Association, Observation, choose_points
from data_prep.geometry.voxels import voxel_codes

_FIT = 5  # latest observations that a velocity is fitted to
_ENOUGH, _CELLS = 4, 10  # observations from which two must agree on a cell; cells along the diagonal
_NEW_ANGLE = np.deg2rad(20)  # views further apart than this are different views


@dataclass(eq=False)
class Track:
    """An object followed over frames.

    Attributes:
        number: in the order objects were first seen.
        views: best observations, a bounded number; only these keep crop and points.
        last: the latest observation.
        votes: label → sum of scores.
        texts: label → texts that came with it first.
        times, centers, sizes, wholes: of all observations, for motion.
        places, labels, scores: of all observations.
        union: (u, 3) float64 world points of all observations, thinned; empty once it is known to move.
        union_colors: (u, 3) uint8 or None.
    """

    number: int
    last: Measured
    views: list[Measured] = field(default_factory=list)
    votes: Counter[str] = field(default_factory=Counter)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    centers: list[NDArray[np.float64]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    wholes: list[bool] = field(default_factory=list)
    places: list[tuple[str, int, int]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
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
    def begin(cls, number: int, seen: Measured, views: int, max_points: int) -> Track:
        """A track of one observation."""
        track = cls(number, seen)
        track.add(seen, views, max_points)
        return track

    def add(self, seen: Measured, views: int, max_points: int) -> None:
        """Add an observation.

        Args:
            seen: the observation.
            views: observations to keep whole.
            max_points: the union is kept below four times this.
        """
        observation = seen.observation
        self.last = seen
        self.votes[seen.label] += observation.score  # type: ignore[assignment]
        self.texts.setdefault(seen.label, observation.texts)
        self.times.append(seen.time)
        self.centers.append(seen.center)
        self.sizes.append(seen.diagonal)
        self.wholes.append(seen.whole)
        self.places.append(observation.place)
        self.labels.append(observation.label)
        self.scores.append(observation.score)
        if seen.whole:
            # What the image border cuts has its middle somewhere else in every frame.
            self._whole = [*self._whole, (seen.time, seen.center)][-_FIT:]
            self._velocity = _fit_velocity(self._whole)
        self._moves = self._moves or self._find_motion()
        self._unite(seen, 4 * max_points)
        self._sample = None
        self.views.append(seen)
        if len(self.views) > views:
            self.views.pop(_least_telling(self.views))

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

    def best_first(self) -> list[Measured]:
        """Its views, best first."""
        return sorted(self.views, key=lambda view: (-view.value, view.key))

    def agreed(self) -> NDArray[np.bool_]:
        """(u,) which points of the union lie where at least two views saw something.

        What a box that was drawn wrong once took from the background is nowhere near what the other views took.
        Of fewer than four views no majority can be asked.
        """
        if len(self) < _ENOUGH:
            return np.ones(len(self.union), bool)
        codes = voxel_codes(self.union, self._cell, self.centers[0])
        supported = np.array([code for code, count in self._seen.items() if count >= 2], np.int64)
        return np.isin(codes, supported)

    def merged(self, max_points: int) -> Observation:
        """The observation of the whole track; a track of one observation gives that observation.

        A still object gets the union of its clouds, thinned; a moving one, whose clouds do not fit onto each other,
        keeps the cloud of its best view.

        Args:
            max_points: of the union; more are thinned by a choice that depends on the key alone.
        """
        views = [view.observation for view in self.best_first()]
        best = views[0]
        if len(self) == 1:
            return best
        label = max(self.votes, key=lambda label: (self.votes[label], label))
        # The texts that came with the winning label: the label's own, then captions of single crops.
        spoken = [self.texts[label], *(view.texts for view in views if view.label == label)]
        merged = replace(
            best,
            label=label,
            score=float(
                np.mean([s for s, voted in zip(self.scores, self.labels, strict=True) if voted == label])
            ),
            texts=tuple(dict.fromkeys(text for texts in spoken for text in texts)),
            association=Association(
                views=tuple(views),
                places=tuple(self.places),
                votes={word: float(weight) for word, weight in sorted(self.votes.items())},
                moving=self.moves,
            ),
        )
        agreed = np.flatnonzero(self.agreed())
        if len(agreed) == 0:
            return merged
        kept = agreed[choose_points(len(agreed), max_points, best.key)]
        center = self.union[kept].mean(axis=0)
        return replace(
            merged,
            points=(self.union[kept] - center).astype(np.float32),
            center=center,
            colors=None if self.union_colors is None else np.ascontiguousarray(self.union_colors[kept]),
            quality=replace(best.quality, num_points=len(agreed)),
        )

    def _find_motion(self) -> bool:
        whole = [center for center, whole in zip(self.centers, self.wholes, strict=True) if whole]
        if len(whole) < 2:
            return False
        low, high = np.percentile(whole, (10, 90), axis=0)
        return bool(np.linalg.norm(high - low) > 0.5 * np.median(self.sizes))

    def _unite(self, seen: Measured, at_most: int) -> None:
        if self._moves:
            self.union, self.union_colors = np.zeros((0, 3)), None
            self._seen.clear()
            return
        observation = seen.observation
        points = observation.points.astype(np.float64) + observation.center
        if len(self) == 1:
            self.union, self.union_colors = points, observation.colors
            self._voxel = max(_typical_spacing(observation.points), seen.diagonal / 200)
            self._cell = seen.diagonal / _CELLS
        else:
            if (self.union_colors is None) != (observation.colors is None):
                return  # a cloud is colored or it is not
            self.union = np.concatenate([self.union, points])
            if self.union_colors is not None and observation.colors is not None:
                self.union_colors = np.concatenate([self.union_colors, observation.colors])
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


def _least_telling(views: list[Measured]) -> int:
    """The view to give up: of little value, or close to a better one in direction."""
    away = np.array([view.camera - view.center for view in views])
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    angles = np.arccos(np.clip(away @ away.T, -1, 1))
    worth = []
    for row, view in enumerate(views):
        better = [
            angles[row, other]
            for other, rival in enumerate(views)
            if (rival.value, rival.key) > (view.value, view.key)
        ]
        novelty = min(1.0, 0.2 + min(better, default=np.inf) / _NEW_ANGLE)
        worth.append((view.value * novelty, view.key))
    return worth.index(min(worth))


def _typical_spacing(points: NDArray[np.float32]) -> float:
    """Meters between neighbors if the points lay evenly on the box's faces; a bound that needs no tree."""
    size = np.sort(np.ptp(points, axis=0).astype(np.float64))
    return float(0.5 * np.sqrt(max(size[2] * size[1], 1e-8) / len(points)))
