"""Affinity of an observation and a known object by place, colors and label; common drift of all objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.associate.measured import Measured
from data_prep.associate.track import Track

Similarity = Callable[[Measured, Measured], float]

_LOOSE = 0.35  # of the diagonal: drift of the visible part's middle as the visible side changes
_UNKNOWN_SPEED, _CHANGE_OF_SPEED = 2.0, 0.5  # diagonals per second
_NEAR = 0.7  # nearness to the expected place counts less than covering the same surface
_MOST = 40  # objects on either side whose displacements are tried


def affinity(
    track: Track,
    seen: Measured,
    dt: float,
    drift: NDArray[np.float64],
    max_gap: float,
    posed: bool = True,
    similarity: Similarity | None = None,
) -> float:
    """Affinity of an object and an observation, 0..1.

    Place: the larger of the overlap where the object was, the overlap where its velocity has carried it, and, for a
    short time, nearness to that place on the scale of the object's size. Overlap counts mostly from the side that is
    covered better, so a part of an object matches the whole. Other labels and colors lower the affinity, neither
    rules a match out.

    Args:
        track: the object.
        seen: the observation.
        dt: seconds since the object was seen; 0: another camera at the same moment.
        drift: (3,) meters per second, the motion assumed of objects whose own is unknown.
        max_gap: seconds for which a velocity can be trusted.
        posed: the sensor's motion is known; otherwise an object that should have left its place is not expected
            there.
        similarity: compares two observations, 0..1, instead of color histograms; a CLIP model's for instance.
    """
    place = _place(track, seen, dt, drift, max_gap, posed)
    if place == 0:
        return 0.0
    agreement = track.votes[seen.label] / max(sum(track.votes.values()), 1e-9)
    if similarity is not None:
        alike = max(similarity(view, seen) for view in track.views)
    else:
        alike = max(float(view.colors @ seen.colors) for view in (*track.views, track.last))
    return place * (0.4 + 0.6 * agreement) * (0.4 + 0.6 * alike)


def shift(track: Track, dt: float, drift: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) meters that an object is expected to have moved since it was seen."""
    return (drift if track.velocity is None else track.velocity) * dt


def has_left(track: Track, dt: float, drift: NDArray[np.float64]) -> bool:
    """Whether the object is expected more than a quarter of its size from where it was seen."""
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


def common_drift(
    tracks: Sequence[Track],
    seen: Sequence[Measured],
    dt: float,
    known: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(3,) meters per second, the motion that objects share because an unposed sensor moves.

    The displacement of every object onto every observation with its label is tried on all. It is accepted only if it
    explains at least one object more than both no motion and the known drift, so that no single object causes a drift.

    Args:
        tracks: objects seen ``dt`` seconds ago.
        seen: the present observations.
        dt: seconds, more than 0.
        known: (3,) the drift so far.
    """
    tracks = sorted(tracks, key=lambda track: -track.last.diagonal)[:_MOST]
    seen = sorted(seen, key=lambda one: -one.diagonal)[:_MOST]
    if len(tracks) < 2 or len(seen) < 2:
        return known
    was = np.array([track.last.center for track in tracks])
    now = np.array([one.center for one in seen])
    same = np.array([[t.last.label == s.label for s in seen] for t in tracks])
    scale = 0.35 * np.array([[max(t.last.diagonal, s.diagonal) for s in seen] for t in tracks])
    gaps = now[None] - was[:, None]  # (T, S, 3)
    tried = np.concatenate([np.zeros((1, 3)), known[None] * dt, gaps[same]])
    support = np.zeros(len(tried))
    for row, candidate in enumerate(tried):
        distance = np.linalg.norm(gaps - candidate, axis=2)
        fit = np.where(same, np.exp(-0.5 * (distance / scale) ** 2), 0)
        # Each object counts once, on the side with fewer: one observation must not vouch for several objects.
        support[row] = min(fit.max(axis=1).sum(), fit.max(axis=0).sum())
    best = int(np.argmax(support))
    believed = max(support[0], support[1])
    if support[best] >= believed + 1 and support[best] >= 1.8:
        return np.asarray(tried[best] / dt)
    return known if support[1] >= support[0] else np.zeros(3)


def _place(
    track: Track, seen: Measured, dt: float, drift: NDArray[np.float64], max_gap: float, posed: bool
) -> float:
    last = track.last
    small, large = sorted((float(np.max(track.sizes[-5:])), seen.diagonal))
    moved = shift(track, dt, drift)
    speed = _UNKNOWN_SPEED if track.velocity is None else _CHANGE_OF_SPEED
    loose = large * (_LOOSE + min(dt, max_gap) * speed)
    reach = max(2 * last.spacing, 2 * seen.spacing, 0.05 * small)
    found = 0.0
    standing = track.standing
    may_stand = posed or not has_left(track, dt, drift)
    if may_stand and _boxes_meet(standing, seen.sample, reach):
        found = overlap(standing, seen.sample, reach)
    if 0 < dt <= max_gap:
        carried, covered = last.sample + moved, 0.0
        if _boxes_meet(carried, seen.sample, reach):
            covered = overlap(carried, seen.sample, reach)
        found = max(found, covered)
        distance = float(np.linalg.norm(last.center + moved - seen.center))
        near = float(np.exp(-0.5 * (distance / loose) ** 2) * np.sqrt(small / large))
        if track.velocity is not None:
            # Its velocity is known: soon after it was seen it cannot be far from the predicted place.
            near *= 0.4 + 0.6 * max(covered, dt / max_gap)
        found = max(found, _NEAR * near)
    return found


def _boxes_meet(a: NDArray[np.float64], b: NDArray[np.float64], reach: float) -> bool:
    return bool(((a.min(axis=0) <= b.max(axis=0) + reach) & (b.min(axis=0) <= a.max(axis=0) + reach)).all())
