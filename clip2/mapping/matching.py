"""Matching of the objects seen in a frame with the objects of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from clip2.mapping.map_object import MapObject
from clip2.mapping.seen import SAMPLE, Seen, sample_spacing, thinned

_NEAR = 0.7  # nearness to the expected place counts less than covering the same surface
_LEAST = 0.25  # affinity of a match
_CENTER_NOISE = 0.15  # of the diagonal: the center of what is visible wanders
_ASKED = 192  # points of a cloud in which neighbors are looked for
_PART = 0.6  # share of an object's sample that another one covers


@dataclass(frozen=True)
class Overlaps:
    """Overlap of N seen objects with M objects of the map.

    Attributes:
        of_seen: (N, M) share of the seen object's sample that lies on each object of the map.
        of_map: (N, M) share of the map object's sample that lies on each seen object.
    """

    of_seen: NDArray[np.float64]
    of_map: NDArray[np.float64]

    @cached_property
    def place(self) -> NDArray[np.float64]:
        """(N, M) 0..1, mostly by the cloud that is covered better: a part matches the whole."""
        high, low = np.maximum(self.of_seen, self.of_map), np.minimum(self.of_seen, self.of_map)
        return 0.7 * high + 0.3 * low


def measure_overlaps(
    seen: Seen,
    objects: Sequence[MapObject],
    shifts: NDArray[np.float64],
    samples: Sequence[NDArray[np.float64]],
) -> Overlaps:
    """Overlaps of all pairs, from two searches for nearest neighbors.

    A point counts for the object that its nearest neighbor belongs to, so neighbors compete for it.

    Args:
        seen: N objects.
        objects: M objects of the map.
        shifts: (M, 3) meters that each is expected to have moved.
        samples: M arrays, a few points of each object where it is expected.
    """
    n, m = len(seen), len(objects)
    if n == 0 or m == 0:
        return Overlaps(np.zeros((n, m)), np.zeros((n, m)))
    sizes = [np.array([box.size for box in seen.boxes]), np.array([one.box[3:6] for one in objects])]
    mapped = [
        thinned(one.cloud, _ASKED) + (one.origin + shift) for one, shift in zip(objects, shifts, strict=True)
    ]
    first = _shares([thinned(cloud, SAMPLE) for cloud in seen.clouds], sizes[0], mapped, sizes[1])
    second = _shares(samples, sizes[1], [thinned(cloud, _ASKED) for cloud in seen.clouds], sizes[0])
    return Overlaps(first, second.T)


def _shares(
    asking: Sequence[NDArray], sizes: NDArray, asked: Sequence[NDArray], other_sizes: NDArray
) -> NDArray[np.float64]:
    """(A, B) share of each asking cloud whose nearest neighbors belong to each asked cloud."""
    counts = np.array([len(cloud) for cloud in asking])
    owner = np.repeat(np.arange(len(asking)), counts)
    owned = np.repeat(np.arange(len(asked)), [len(cloud) for cloud in asked])
    spacing = sample_spacing(sizes, counts)
    other = sample_spacing(other_sizes, np.bincount(owned, minlength=len(asked)))
    # A cup is not on the same surface as the table whose points lie farther apart than the cup is tall.
    limit = np.maximum(1.5 * spacing, 0.1 * np.linalg.norm(sizes, axis=1))
    # Two samples of one surface miss each other by up to their spacing.
    farthest = min(1.2 * max(spacing.max(), other.max()), limit.max())
    tree = cKDTree(np.concatenate(asked), balanced_tree=False)
    distance, row = tree.query(np.concatenate(asking), distance_upper_bound=farthest)
    target = owned[np.minimum(row, len(owned) - 1)]  # where nothing is near, the distance is infinite
    near = distance < np.minimum(1.2 * np.maximum(spacing[owner], other[target]), limit[owner])
    pair = owner[near] * len(asked) + target[near]
    shared = np.bincount(pair, minlength=len(asking) * len(asked)).reshape(len(asking), len(asked))
    return shared / counts[:, None]


def match(
    seen: Seen,
    objects: Sequence[MapObject],
    overlaps: Overlaps,
    now: float,
    max_gap: float,
) -> list[tuple[int, int]]:
    """One-to-one matches of the greatest total affinity.

    Affinity is the overlap of surfaces, or for a short time nearness to the place where the motion filter expects the
    object. Other labels of a detector lower it; they rule nothing out.

    Args:
        seen: N objects.
        objects: M objects of the map.
        overlaps: of them.
        now: seconds.
        max_gap: seconds for which a velocity is trusted.

    Returns:
        Pairs of numbers of a seen object and an object of the map.
    """
    if len(seen) == 0 or len(objects) == 0:
        return []
    affinity = np.maximum(overlaps.place, _NEAR * _nearness(seen, objects, now, max_gap))
    affinity *= _agreement(seen, objects)
    # What is lost was seen through: anything else may stand there now, unless it covers the same surface.
    lost = np.array([one.state == "lost" for one in objects])
    affinity[:, lost] = np.where(overlaps.place[:, lost] > 0.6, 0.8 * affinity[:, lost], 0)
    rows, columns = linear_sum_assignment(-affinity)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if affinity[i, j] >= _LEAST]


def _nearness(seen: Seen, objects: Sequence[MapObject], now: float, max_gap: float) -> NDArray[np.float64]:
    """(N, M) likelihood of each center under each motion filter, times the agreement of the sizes."""
    dts = np.array([now - one.last_seen for one in objects])
    usable = (dts > 0) & (dts <= max_gap)
    if not usable.any():
        return np.zeros((len(seen), len(objects)))
    expected = [
        one.motion.predict(dt) if ok else (one.motion.place, 1e-9)
        for one, dt, ok in zip(objects, dts, usable, strict=True)
    ]
    places = np.array([place for place, _ in expected])
    diagonals = np.array([one.diagonal for one in objects])
    # What was seen to stand still for long does not start to move at any speed.
    settled = np.array([not one.moving and one.frames >= 5 for one in objects])
    spread = np.where(settled, 0.0, [deviation for _, deviation in expected])
    larger = np.maximum(seen.diagonals[:, None], diagonals[None])
    deviation2 = spread[None] ** 2 + (_CENTER_NOISE * larger) ** 2
    gap2 = ((seen.centers[:, None] - places[None]) ** 2).sum(axis=2)
    sizes = np.sqrt(np.minimum(seen.diagonals[:, None], diagonals[None]) / larger)
    return np.where(usable[None], np.exp(-0.5 * gap2 / deviation2) * sizes, 0.0)


def _agreement(seen: Seen, objects: Sequence[MapObject]) -> NDArray[np.float64]:
    """(N, M) 0.6 to 1: share of the detector's votes for the seen label."""
    factor = np.ones((len(seen), len(objects)))
    for j, one in enumerate(objects):
        total = sum(one.votes.values())
        if total > 0:
            for i, label in enumerate(seen.labels):
                if label is not None:
                    factor[i, j] = 0.6 + 0.4 * one.votes.get(label, 0.0) / total
    return factor


def parts(overlaps: Overlaps, matches: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Seen objects without a match that lie on an object with one: parts of it, by number of the object."""
    taken = {i for i, _ in matches}
    matched = {j for _, j in matches}
    found = {}
    for i in range(len(overlaps.of_seen)):
        if i in taken or overlaps.of_seen.shape[1] == 0:
            continue
        j = int(overlaps.of_seen[i].argmax())
        if j in matched and overlaps.of_seen[i, j] >= _PART:
            found[i] = j
    return found
