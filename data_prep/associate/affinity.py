"""How likely a sighting shows an object already known: place, colors, word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.associate.observation import Observation
from data_prep.associate.track import Track

Similarity = Callable[[Observation, Observation], float]

_LOOSE = 0.35  # of the diagonal: how far the middle of what is seen wanders as the side that is seen changes
_UNKNOWN_SPEED, _CHANGE_OF_SPEED = 2.0, 0.5  # diagonals per second
_NEAR = 0.7  # being where it should be says less than covering the same surface


def affinity(
    track: Track,
    sighting: Observation,
    dt: float,
    drift: NDArray[np.float64],
    max_gap: float,
    posed: bool = True,
    similarity: Similarity | None = None,
) -> float:
    """A number in 0..1.

    Place: the larger of the overlap where the object was, the overlap where its velocity has carried it, and, for a
    short time, nearness to that place on the scale of the object's size. Overlap counts mostly from the side that is
    covered better, so a part of a thing matches the whole. Other words and other colors lower it, neither forbids it.

    Args:
        track: the object.
        sighting: the detection.
        dt: seconds since the object was seen; 0: another camera at the same moment.
        drift: (3,) meters per second, the common motion of things whose own is unknown.
        max_gap: seconds for which a velocity can be trusted.
        posed: the sensor's motion is known; otherwise what should have left its place is not looked for there, as
            the place itself has moved on.
        similarity: compares two sightings, 0..1, instead of color histograms; a CLIP's for instance.
    """
    place = _place(track, sighting, dt, drift, max_gap, posed)
    if place == 0:
        return 0.0
    agreement = track.votes[sighting.label] / max(sum(track.votes.values()), 1e-9)
    if similarity is not None:
        alike = max(similarity(look, sighting) for look in track.looks)
    else:
        alike = max((_colors_alike(look, sighting) for look in (*track.looks, track.last)), default=1.0)
    return place * (0.4 + 0.6 * agreement) * (0.4 + 0.6 * alike)


def shift(track: Track, dt: float, drift: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) meters that an object has moved since it was seen, as far as is known."""
    return (drift if track.velocity is None else track.velocity) * dt


def has_left(track: Track, dt: float, drift: NDArray[np.float64]) -> bool:
    """It should be more than a quarter of its size from where it was seen."""
    return bool(np.linalg.norm(shift(track, dt, drift)) > 0.25 * track.last.diagonal)


def overlap(a: NDArray[np.float64], b: NDArray[np.float64], reach: float) -> float:
    """Share of points that have a neighbor in the other cloud, 0..1, mostly by the cloud that is covered better.

    >>> whole = np.array([[x, 0.0, 0.0] for x in range(10)])
    >>> overlap(whole, whole, 0.1), round(overlap(whole, whole[:5], 0.1), 3), overlap(whole, whole + 20, 0.1)
    (1.0, 0.85, 0.0)
    """
    a_covered = float(np.mean(np.isfinite(cKDTree(b).query(a, distance_upper_bound=reach)[0])))
    b_covered = float(np.mean(np.isfinite(cKDTree(a).query(b, distance_upper_bound=reach)[0])))
    return 0.7 * max(a_covered, b_covered) + 0.3 * min(a_covered, b_covered)


def _place(
    track: Track, sighting: Observation, dt: float, drift: NDArray[np.float64], max_gap: float, posed: bool
) -> float:
    last = track.last
    small, large = sorted((float(np.max(track.sizes[-5:])), sighting.diagonal))
    moved = shift(track, dt, drift)
    speed = _UNKNOWN_SPEED if track.velocity is None else _CHANGE_OF_SPEED
    loose = large * (_LOOSE + min(dt, max_gap) * speed)
    reach = max(2 * last.spacing, 2 * sighting.spacing, 0.05 * small)
    found = 0.0
    standing = track.standing
    may_stand = posed or not has_left(track, dt, drift)
    if may_stand and _boxes_meet(standing, sighting.sample, reach):
        found = overlap(standing, sighting.sample, reach)
    if 0 < dt <= max_gap:
        carried, covered = last.sample + moved, 0.0
        if _boxes_meet(carried, sighting.sample, reach):
            covered = overlap(carried, sighting.sample, reach)
        found = max(found, covered)
        distance = float(np.linalg.norm(last.center + moved - sighting.center))
        near = float(np.exp(-0.5 * (distance / loose) ** 2) * np.sqrt(small / large))
        if track.velocity is not None:
            # Its way is known: soon after it was seen it cannot be beside the place where it must be.
            near *= 0.4 + 0.6 * max(covered, dt / max_gap)
        found = max(found, _NEAR * near)
    return found


def _boxes_meet(a: NDArray[np.float64], b: NDArray[np.float64], reach: float) -> bool:
    return bool(((a.min(axis=0) <= b.max(axis=0) + reach) & (b.min(axis=0) <= a.max(axis=0) + reach)).all())


def _colors_alike(a: Observation, b: Observation) -> float:
    if a.colors is None or b.colors is None:
        return 1.0
    return float(a.colors @ b.colors)
