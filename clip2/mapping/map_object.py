"""One object of the map: its cloud, motion, embedding, evidence and history."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.motion import ConstantVelocity
from clip2.mapping.seen import SAMPLE, thinned
from data_prep.geometry.voxels import voxel_codes

State = Literal["tentative", "confirmed", "lost"]
_HISTORY = 64  # entries kept of an object's past; a full history loses every second one
_LEAST_BELIEF, _MOST_BELIEF = -2.0, 4.0
_MOVES = 1.5  # votes from which an object is held to move
_FINE = 60  # voxels along an object's diagonal


@dataclass(eq=False)
class MapObject:
    """One object of an :class:`~clip2.mapping.ObjectMap`. The map changes it; others read.

    Attributes:
        id: stable number.
        cloud: (m, 3) float32 meters, relative to ``origin``.
        origin: (3,) float64 in the world.
        colors: (m, 3) uint8 of the cloud, or None.
        box: (7,) center, size and yaw of the visible box around the cloud, in the world.
        motion: of the center.
        first_seen, last_seen: seconds, as the frames tell them.
        frames: number of frames in which it was seen.
        belief: evidence that it exists where it is, in frames: grows when it is seen, falls when its place is empty.
        state: ``tentative`` until it was seen in enough frames, then ``confirmed``; ``lost`` once its place is empty.
        objectness: sum over its frames of how likely its points were one whole object.
        overlooked: frames in which its surface was in sight and no proposal showed it.
        moves: votes that it moves.
        looks: number of looks that were encoded.
        embedding: (D,) float32 sum of their unit embeddings; no unit vector itself.
        strangeness: sum of their distances from the training objects (:class:`clip2.ood.OODDetector`).
        votes: label → sum of the scores with which a detector gave it.
        viewpoint: (3,) where it was last seen from, or None.
        history: (frame number, box, state) after each change worth showing.
    """

    id: int
    cloud: NDArray[np.float32]
    origin: NDArray[np.float64]
    colors: NDArray[np.uint8] | None
    box: NDArray[np.float64]
    motion: ConstantVelocity
    first_seen: float
    last_seen: float
    frames: int = 1
    belief: float = 1.0
    state: State = "tentative"
    objectness: float = 1.0
    overlooked: int = 0
    moves: float = 0.0
    looks: int = 0
    embedding: NDArray[np.float32] | None = None
    strangeness: float = 0.0
    votes: dict[str, float] = field(default_factory=dict)
    viewpoint: NDArray[np.float64] | None = None
    history: list[tuple[int, NDArray[np.float64], State]] = field(default_factory=list)
    voxel: float = 0.01
    best_points: int = 0
    encoded_from: NDArray[np.float64] | None = None
    unseen: int = 0
    absorbed: int = 0

    @property
    def moving(self) -> bool:
        """It moves: its cloud is that of its last look."""
        return self.moves >= _MOVES

    @property
    def chance(self) -> float:
        """How likely it is one real object, 0..1: its mean objectness, times the squared share of frames that showed it."""
        return self.objectness / self.frames * (self.frames / (self.frames + self.overlooked)) ** 2

    @property
    def diagonal(self) -> float:
        """Meters."""
        return max(math.hypot(*self.box[3:6].tolist()), 1e-3)

    @property
    def mean_embedding(self) -> NDArray[np.float32] | None:
        """(D,) float32 unit vector, None before the first look was encoded."""
        if self.embedding is None:
            return None
        return np.asarray(self.embedding / max(float(np.linalg.norm(self.embedding)), 1e-9), np.float32)

    @property
    def label(self) -> str | None:
        """The label that a detector gave most often; None without a detector."""
        return max(self.votes, key=lambda label: (self.votes[label], label)) if self.votes else None

    def points(self) -> NDArray[np.float64]:
        """(m, 3) world points."""
        return self.cloud + self.origin

    def sample(self) -> NDArray[np.float64]:
        """(m, 3) at most 64 of its world points."""
        return thinned(self.cloud, SAMPLE) + self.origin

    def shift(self, dt: float, max_gap: float) -> NDArray[np.float64]:
        """(3,) meters that it is expected to have moved since it was seen; zero for objects that stand still."""
        return self.motion.velocity * dt if self.moving and 0 < dt <= max_gap else np.zeros(3)

    def fuse(
        self,
        points: NDArray[np.float64],
        colors: NDArray[np.uint8] | None,
        through: NDArray[np.bool_] | None,
        most: int,
    ) -> bool:
        """Add the points of a look; a moving object keeps the points of its last look alone.

        Args:
            points: (n, 3) world points.
            colors: (n, 3) of them, or None.
            through: (m,) which points of the cloud were seen through: they were never the object's, or are no more.
            most: points to keep.

        Returns:
            Whether the cloud changed by more than a few points, so that its box must be fitted again.
        """
        before = len(self.cloud)
        if self.moving:
            if len(points) < 0.3 * before:  # a glimpse: keep the better cloud, carried along
                return False
            self.origin = points.mean(axis=0)
            self.cloud, self.colors = (points - self.origin).astype(np.float32), colors
            self._thin(most)
            return True
        removed = 0
        if through is not None and through.any():
            self.cloud = self.cloud[~through]
            self.colors = None if self.colors is None else self.colors[~through]
            removed = int(through.sum())
        self.cloud = np.concatenate([self.cloud, (points - self.origin).astype(np.float32)])
        if self.colors is not None:
            self.colors = None if colors is None else np.concatenate([self.colors, colors])
        self._thin(most)
        return removed + abs(len(self.cloud) - before + removed) > 0.02 * before

    def carry(self, shift: NDArray[np.float64]) -> None:
        """Move it by (3,) meters."""
        self.origin = self.origin + shift
        self.box = self.box.copy()
        self.box[:3] += shift

    def transform(self, T: NDArray[np.float64]) -> None:
        """Move it by a rigid (4, 4) transform of the world; boxes stay upright."""
        yaw = float(np.arctan2(T[1, 0], T[0, 0]))
        self.cloud = (self.cloud @ T[:3, :3].T).astype(np.float32)
        self.origin = T[:3, :3] @ self.origin + T[:3, 3]
        self.box = _moved(self.box, T, yaw)
        self.history = [(number, _moved(box, T, yaw), state) for number, box, state in self.history]
        self.motion.place = T[:3, :3] @ self.motion.place + T[:3, 3]
        self.motion.velocity = T[:3, :3] @ self.motion.velocity
        for name in ("viewpoint", "encoded_from"):
            place = getattr(self, name)
            if place is not None:
                setattr(self, name, T[:3, :3] @ place + T[:3, 3])

    def absorb(self, other: MapObject, most: int) -> None:
        """Take over another object that turned out to be the same."""
        if not self.moving:
            self.fuse(other.points(), other.colors, None, most)
        if other.embedding is not None:
            self.embedding = other.embedding if self.embedding is None else self.embedding + other.embedding
        self.looks, self.strangeness = self.looks + other.looks, self.strangeness + other.strangeness
        for label, weight in other.votes.items():
            self.votes[label] = self.votes.get(label, 0.0) + weight
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)
        if other.frames > self.frames:
            self.frames, self.objectness = other.frames, other.objectness
        self.believe(max(0.0, other.belief))
        if other.state == "confirmed":
            self.state = "confirmed"

    def believe(self, evidence: float) -> None:
        """Change the belief within limits, so that old evidence can be overruled."""
        self.belief = min(max(self.belief + evidence, _LEAST_BELIEF), _MOST_BELIEF)

    def note(self, number: int) -> None:
        """Write box and state into the history, if they changed since the last entry."""
        if self.history:
            _, box, state = self.history[-1]
            near = np.abs(box[:6] - self.box[:6]).max() < 0.05 * self.diagonal
            if near and state == self.state:
                return
        self.history.append((number, self.box.copy(), self.state))
        if len(self.history) > _HISTORY:
            self.history = [self.history[0], *self.history[2::2]]

    def _thin(self, most: int) -> None:
        """One point per voxel; voxels grow until ``most`` points are left."""
        self.voxel = max(self.voxel, float(np.ptp(self.cloud, axis=0).max()) / _FINE)
        while True:
            codes = voxel_codes(self.cloud.astype(np.float64), self.voxel, np.zeros(3))
            kept = np.sort(np.unique(codes, return_index=True)[1])
            self.cloud = self.cloud[kept]
            self.colors = None if self.colors is None else self.colors[kept]
            if len(self.cloud) <= most:
                return
            self.voxel *= 1.25


def _moved(box: NDArray[np.float64], T: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    center = T[:3, :3] @ box[:3] + T[:3, 3]
    return np.array([*center, *box[3:6], (box[6] + yaw + np.pi / 2) % np.pi - np.pi / 2])
