"""The motion that things share because the sensor moves and nobody says how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.associate.observation import Observation
from data_prep.associate.track import Track

_MOST = 40  # objects on either side that are tried against each other


def common_drift(
    tracks: Sequence[Track],
    sightings: Sequence[Observation],
    dt: float,
    known: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(3,) meters per second by which most things have moved.

    Every displacement of one thing onto another of the same word is tried on all. It is believed only if it brings at
    least one thing more into place than standing still and the motion known so far, so that a single thing never
    invents one.

    Args:
        tracks: objects seen ``dt`` seconds ago.
        sightings: of now.
        dt: seconds, more than 0.
        known: (3,) the drift so far.
    """
    tracks = sorted(tracks, key=lambda track: -track.last.diagonal)[:_MOST]
    sightings = sorted(sightings, key=lambda sighting: -sighting.diagonal)[:_MOST]
    if len(tracks) < 2 or len(sightings) < 2:
        return known
    was = np.array([track.last.center for track in tracks])
    now = np.array([sighting.center for sighting in sightings])
    same = np.array([[t.last.label == s.label for s in sightings] for t in tracks])
    scale = 0.35 * np.array([[max(t.last.diagonal, s.diagonal) for s in sightings] for t in tracks])
    gaps = now[None] - was[:, None]  # (T, S, 3)
    tried = np.concatenate([np.zeros((1, 3)), known[None] * dt, gaps[same]])
    support = np.zeros(len(tried))
    for row, candidate in enumerate(tried):
        distance = np.linalg.norm(gaps - candidate, axis=2)
        fit = np.where(same, np.exp(-0.5 * (distance / scale) ** 2), 0)
        # Each thing counts once, on the side with fewer: one sighting must not vouch for several objects.
        support[row] = min(fit.max(axis=1).sum(), fit.max(axis=0).sum())
    best = int(np.argmax(support))
    believed = max(support[0], support[1])
    if support[best] >= believed + 1 and support[best] >= 1.8:
        return np.asarray(tried[best] / dt)
    return known if support[1] >= support[0] else np.zeros(3)
