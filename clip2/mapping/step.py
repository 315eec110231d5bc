"""One step of the map: what a frame shows is matched, fused and encoded; what it does not show is judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.mapping.config import MapConfig
from clip2.mapping.finder import Sighting
from clip2.mapping.free_space import HIDDEN, HIT, THROUGH, FreeSpace
from clip2.mapping.looks import LookEncoder
from clip2.mapping.map_object import MapObject
from clip2.mapping.matching import match, measure_overlaps, parts
from clip2.mapping.motion import ConstantVelocity
from clip2.mapping.seen import thinned
from clip2.mapping.store import ObjectStore
from data_prep.geometry.box_iou import box_iou_3d, box_rows
from data_prep.geometry.upright_box import fit_upright_boxes

_NOISE = 0.1  # of the diagonal: a measured center
_LARGEST_SPEED = 12.0  # m/s, standard deviation of the unknown speed of a large object; small ones are slower
_EMPTY, _OCCUPIED = 0.6, 0.5  # shares of an object's known points that were seen through, or are still there
_LEFT = 0.3  # share seen through of an object that was also seen: it moved on
_KNOWN = 5  # points of which something must be known
_SEEN_THROUGH, _OVERLOOKED = -1.5, -0.5  # evidence
_FORGOTTEN = 30  # frames after which a tentative object is dropped
_SIMILAR, _PLACED = 0.75, 0.35  # least cosine and affinity of a revisit
_MORE_POINTS, _OTHER_SIDE = 1.5, np.deg2rad(30)  # what makes a look worth encoding
_SAME_BOX, _INSIDE, _SAME_SURFACE = 0.5, 0.7, 0.6  # IoU, share of the smaller box, and of its surface
_NOTHING_NEW = 0.97  # share of a look that lies on the object's cloud already
_DOUBTED = 0.9  # of the chance that confirms an object: below, it is tentative again
_COVERED = 0.6  # share of an object's sample that a match of another object covers


class Step:
    """One update in progress."""

    def __init__(
        self,
        store: ObjectStore,
        config: MapConfig,
        encoder: LookEncoder,
        sighting: Sighting,
        number: int,
    ) -> None:
        self.store, self.config, self.encoder, self.number = store, config, encoder, number
        self.frame, self.world, self.eye = sighting.frame, sighting.world, sighting.eye
        self.seen, self.now = sighting.seen, sighting.now
        # Proposals may show a part of an object, and every object in sight has one; a detector names whole objects and
        # may miss some.
        self.geometric = sighting.geometric
        columns = np.ascontiguousarray(self.world.T)  # numpy is slow along an axis of three
        self.objects = store.within(columns.min(axis=1) - 1, columns.max(axis=1) + 1)
        self.owner: dict[int, MapObject] = {}  # of each seen object
        self.matched: set[int] = set()  # ids
        self.changed: set[int] = set()
        self.new: list[int] = []
        self.lost: list[int] = []
        self.embedded: dict[int, tuple[NDArray, float]] = {}

    def match(self) -> None:
        """Find the object of the map for each seen one, by place and motion, then by place and embedding."""
        objects, seen, config = self.objects, self.seen, self.config
        shifts = np.array([one.shift(self.now - one.last_seen, config.max_gap) for one in objects])
        shifts = shifts.reshape(-1, 3)
        samples = [one.sample() + shift for one, shift in zip(objects, shifts, strict=True)]
        self.overlaps = measure_overlaps(seen, objects, shifts, samples)
        pairs = match(seen, objects, self.overlaps, self.now, config.max_gap)
        self._visibility(samples)
        self.owner = {i: objects[j] for i, j in pairs}
        self.part_of = parts(self.overlaps, pairs) if self.geometric else {}
        if self.geometric:
            self._absorb(pairs)
        taken = {j for _, j in pairs}
        open_seen = [
            i for i in range(len(seen)) if i not in self.owner and i not in self.part_of and self._starts(i)
        ]
        free = [j for j in range(len(objects)) if j not in taken and objects[j].embedding is not None]
        self._revisit(open_seen, free)
        self.births = [i for i in open_seen if i not in self.owner]
        self.matched = {one.id for one in self.owner.values()}

    def _starts(self, i: int) -> bool:
        """Whether a seen object may start an object of the map."""
        return bool(self.seen.objectness[i] >= self.config.min_objectness)

    def _visibility(self, samples: Sequence[NDArray[np.float64]]) -> None:
        """Share of each object's known points that were seen through, are still there, or are hidden.

        Args:
            samples: a few points of each object where it is expected: a moving one has left the place where it was last
                seen, so there nothing can be concluded.
        """
        self.space = FreeSpace(self.frame, self.world, self.eye)
        looks = self.space.look(np.concatenate([np.zeros((0, 3)), *samples]))
        owner = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
        through, hidden, hit = (
            np.bincount(owner[looks == kind], minlength=len(samples)) for kind in (THROUGH, HIDDEN, HIT)
        )
        self.known = through + hidden + hit
        enough, total = self.known >= _KNOWN, np.maximum(self.known, 1)
        self.through, self.there = (np.where(enough, count / total, 0.0) for count in (through, hit))

    def _absorb(self, pairs: Sequence[tuple[int, int]]) -> None:
        """An object that again and again is covered by what another one matched is a piece of that one."""
        taken = {j for _, j in pairs}
        for i, j in pairs:
            for other in np.flatnonzero(self.overlaps.of_map[i] >= _COVERED).tolist():
                piece, whole = self.objects[other], self.objects[j]
                if other in taken or piece.id not in self.store.objects:
                    continue
                piece.absorbed += 1
                if piece.absorbed >= max(2, piece.frames):
                    whole.absorb(piece, self.config.max_points)
                    self.store.drop(piece.id)

    def _revisit(self, open_seen: Sequence[int], free: Sequence[int]) -> None:
        """Match what overlaps with nothing by embedding, near the place where it was: poses drift."""
        if not open_seen:
            return
        chosen = self._look(open_seen)
        if not free or not chosen:
            return
        means = np.array([self.objects[j].mean_embedding for j in free])
        cosine = np.array([self.embedded[i][0] for i in chosen]) @ means.T
        centers = np.array([self.objects[j].box[:3] for j in free])
        diagonals = np.array([self.objects[j].diagonal for j in free])
        mine, own = self.seen.centers[chosen], self.seen.diagonals[chosen]
        scale = np.maximum(own[:, None], diagonals[None])
        gap = np.linalg.norm(mine[:, None] - centers[None], axis=2)
        alike = np.minimum(own[:, None], diagonals[None]) / scale
        affinity = cosine * np.exp(-0.5 * (gap / (0.5 * scale)) ** 2) * np.sqrt(alike)
        affinity[cosine < _SIMILAR] = 0
        # Where the object itself is still seen, this is another one.
        there = np.array([self.there[j] > _OCCUPIED for j in free])
        affinity[:, there] = 0
        for k in np.argsort(-affinity, axis=None):
            a, b = np.unravel_index(int(k), affinity.shape)
            if affinity[a, b] < _PLACED:
                break
            one = self.objects[free[int(b)]]
            if chosen[int(a)] not in self.owner and one.id not in {o.id for o in self.owner.values()}:
                self.owner[chosen[int(a)]] = one

    def _look(self, numbers: Sequence[int]) -> list[int]:
        """Encode some of the seen objects, nearest first; those for which there was time."""
        away = (
            np.zeros(len(numbers))
            if self.eye is None
            else np.linalg.norm(self.seen.centers[list(numbers)] - self.eye, axis=1)
        )
        chosen = [
            numbers[k] for k in np.argsort(away, kind="stable")[: self.encoder.affordable(len(numbers))]
        ]
        embeddings, strange = self.encoder.encode(self.frame, [self.seen.indices[i] for i in chosen])
        for i, embedding, distance in zip(chosen, embeddings, strange, strict=True):
            self.embedded[i] = embedding, float(distance)
        return chosen

    def fuse(self) -> None:
        """Fuse what matched, judge what did not, and start new objects."""
        stale: list[MapObject] = []
        row = {one.id: j for j, one in enumerate(self.objects)}
        for i, one in self.owner.items():
            if self._fuse(i, one, row[one.id]):
                stale.append(one)
        for i, j in self.part_of.items():
            whole = self.objects[j]
            if not whole.moving and whole.id in self.store.objects:
                whole.fuse(*self._points(i), None, self.config.max_points)
        for j, one in enumerate(self.objects):
            if one.id not in self.matched and one.id in self.store.objects:
                self._unseen(j, one)
        for i in self.births:
            one = self._born(i)
            self.owner[i] = one
        self._fit(stale)
        self._join(stale)

    def _fit(self, stale: Sequence[MapObject]) -> None:
        """Fit the boxes of changed clouds."""
        for one, box in zip(stale, fit_upright_boxes([one.points() for one in stale]), strict=True):
            one.box = box_rows([box])[0]
            self.changed.add(one.id)
            self.store.place(one)
            if not one.moving:
                one.motion.rest(one.box[:3])

    def _join(self, stale: Sequence[MapObject]) -> None:
        """Objects that were begun from different parts of one thing have become the same: the older id stays."""
        local = [one for one in self.objects if one.id in self.store.objects and not one.moving]
        ids = {one.id for one in local}
        mine = [one for one in stale if one.id in ids]
        if not mine:
            return
        rows, columns = (np.array([one.box for one in some]) for some in (mine, local))
        iou = box_iou_3d(rows, columns)[0]
        volumes = rows[:, 3:6].prod(axis=1)[:, None], columns[:, 3:6].prod(axis=1)[None]
        inside = (
            iou / (1 + iou) * sum(volumes) / np.maximum(np.minimum(*volumes), 1e-9)
        )  # share of the smaller box in the larger
        near = (iou > _SAME_BOX) | ((inside > _INSIDE) & self.geometric)
        for a, b in np.argwhere(near).tolist():
            older, younger = sorted((mine[a], local[b]), key=lambda one: (one.state != "confirmed", one.id))
            both = {older.id, younger.id} <= set(self.store.objects)
            if older is younger or not both or younger.state == "lost" or not _one_surface(older, younger):
                continue
            older.absorb(younger, self.config.max_points)
            self.store.drop(younger.id)
            self.owner = {i: older if one is younger else one for i, one in self.owner.items()}
            self.changed.add(older.id)

    def _points(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
        cloud = self.seen.clouds[i]
        colors = self.frame.colors
        return cloud, None if colors is None else colors[thinned(self.seen.indices[i], len(cloud))]

    def _fuse(self, i: int, one: MapObject, j: int) -> bool:
        """Add a look to its object; whether its box must be fitted again."""
        dt = self.now - one.last_seen
        center = self.seen.centers[i]
        noise = _NOISE * max(float(self.seen.diagonals[i]), one.diagonal)
        far = float(np.linalg.norm(center - one.box[:3]))
        moved_off = self.known[j] >= _KNOWN and self.through[j] >= _LEFT
        apart = self.overlaps.place[i, j] < 0.3 and far > 0.5 * one.diagonal
        if dt > 0:
            if moved_off or apart:
                one.moves = min(one.moves + 1, 3.0)
            elif not one.moving or far < 0.1 * one.diagonal:
                one.moves = max(one.moves - 0.5, 0.0)
            if dt <= self.config.max_gap:
                one.motion.update(center, noise, dt)
            else:
                one.motion.rest(center)
        through = None
        if not one.moving and not apart and 0.02 < self.through[j] < _EMPTY:
            through = self.space.look(one.points()) == THROUGH
            through = through if through.mean() < _EMPTY else None
        if apart and not one.moving:  # found again elsewhere: the old cloud is of no use there
            one.carry(center - one.box[:3])
        points, colors = self._points(i)
        known = self.overlaps.of_seen[i, j] >= _NOTHING_NEW and len(one.cloud) >= len(points)
        still = known and through is None and not one.moving and not apart
        changed = not still and one.fuse(points, colors, through, self.config.max_points)
        if one.moving and not changed:
            one.carry(center - one.box[:3])
        one.last_seen, one.unseen, one.viewpoint = self.now, 0, self.eye
        one.frames += 1
        one.objectness += float(self.seen.objectness[i])
        one.believe(1.0)
        self._vote(i, one)
        self._promote(one)
        return changed

    def _promote(self, one: MapObject) -> None:
        """Confirm what was seen often enough as one object, and take it back if later frames do not bear it out."""
        least = self.config.min_objectness
        if one.state == "lost":
            one.state, one.belief = "confirmed", 1.0
            self.changed.add(one.id)
        elif one.state == "tentative" and one.frames >= self.config.confirm and one.chance >= least:
            one.state = "confirmed"
            self.new.append(one.id)
        elif one.state == "confirmed" and one.chance < _DOUBTED * least:
            one.state = "tentative"

    def _unseen(self, j: int, one: MapObject) -> None:
        """Evidence against an object that no one saw: its place is empty, or it was overlooked, or it is hidden."""
        one.unseen += 1
        dt = self.now - one.last_seen
        if one.moving and one.state == "confirmed" and dt > self.config.max_gap:
            one.moves = 0.0  # nobody knows where it went
            one.motion.rest(one.box[:3])
        if self.known[j] >= _KNOWN:
            if self.through[j] >= _EMPTY:
                one.believe(_SEEN_THROUGH)
            elif self.there[j] >= _OCCUPIED:
                one.overlooked += self.geometric
                if one.state == "tentative":
                    one.believe(_OVERLOOKED)
        if one.belief < 0 and one.state == "confirmed":
            one.state = "lost"
            self.lost.append(one.id)
        elif one.state == "tentative" and (one.belief < 0 or one.unseen > _FORGOTTEN):
            self.store.drop(one.id)

    def _vote(self, i: int, one: MapObject) -> None:
        label = self.seen.labels[i]
        if label is not None:
            one.votes[label] = one.votes.get(label, 0.0) + float(self.seen.scores[i])

    def _born(self, i: int) -> MapObject:
        points, colors = self._points(i)
        origin = points.mean(axis=0)
        diagonal = float(self.seen.diagonals[i])
        one = MapObject(
            id=self.store.new_id(),
            cloud=(points - origin).astype(np.float32),
            origin=origin,
            colors=colors,
            box=box_rows([self.seen.boxes[i]])[0],
            motion=ConstantVelocity(
                self.seen.centers[i], _NOISE * diagonal, min(2 * diagonal, _LARGEST_SPEED)
            ),
            first_seen=self.now,
            last_seen=self.now,
            viewpoint=self.eye,
            objectness=float(self.seen.objectness[i]),
        )
        one.fuse(points[:0], None if colors is None else colors[:0], None, self.config.max_points)
        self._vote(i, one)
        if self.config.confirm == 1:
            one.state = "confirmed"
            self.new.append(one.id)
        self.store.add(one)
        return one

    def encode(self) -> None:
        """Encode what is new or changed, and write down what happened to each object."""
        waiting = [
            i for i, one in self.owner.items() if i not in self.embedded and self._worth_encoding(i, one)
        ]
        if waiting:
            self._look(waiting)
        for i, (embedding, distance) in self.embedded.items():
            one = self.owner.get(i)
            if one is not None:
                one.embedding = embedding if one.embedding is None else one.embedding + embedding
                one.looks, one.strangeness = one.looks + 1, one.strangeness + distance
                one.best_points = max(one.best_points, len(self.seen.indices[i]))
                one.encoded_from = None if self.eye is None else self.eye - one.box[:3]
                self.changed.add(one.id)
        touched = {one.id for one in self.owner.values()} | set(self.lost)
        for id in touched:
            if id in self.store.objects:
                self.store.objects[id].note(self.number)

    def _worth_encoding(self, i: int, one: MapObject) -> bool:
        """A first look, many more points than before, or another side."""
        if one.looks == 0:
            return True
        if one.looks >= self.config.looks:
            return False
        if len(self.seen.indices[i]) > _MORE_POINTS * one.best_points:
            return True
        if self.eye is None or one.encoded_from is None:
            return False
        now, before = self.eye - one.box[:3], one.encoded_from
        cosine = now @ before / max(float(np.linalg.norm(now) * np.linalg.norm(before)), 1e-9)
        return bool(np.arccos(np.clip(cosine, -1, 1)) > _OTHER_SIDE)


def _one_surface(a: MapObject, b: MapObject) -> bool:
    """Whether the smaller of two objects lies on the surface of the larger."""
    small, large = sorted((a, b), key=lambda one: one.diagonal)
    reach = min(2 * max(small.voxel, large.voxel), 0.1 * small.diagonal)
    distance, _ = cKDTree(large.points()).query(small.sample(), distance_upper_bound=reach)
    return float(np.isfinite(distance).mean()) >= _SAME_SURFACE
