"""An object that was followed becomes one triplet: best look first, all looks' words counted."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from data_prep.associate.observation import Observation
from data_prep.associate.track import Track
from data_prep.triplets.triplet import Look, Triplet

# What is said of each look that is kept; the rest of a provenance is the same for all of them.
_OF_A_LOOK = (
    "frame",
    "timestamp",
    "center",
    "T_world_points",
    "view",
    "view_index",
    "camera",
    "box",
    "crop",
    "label",
    "score",
    "detection",
    "attributes",
    "quality",
)


def merge_track(track: Track, max_points: int) -> Triplet:
    """One triplet of a track.

    What stands still gets the union of its clouds, thinned; what moves, whose clouds do not fit onto each other, the
    cloud of its best look. Each look keeps the part that was visible from there. A track of one sighting stays the
    triplet it was.

    Args:
        track: the object.
        max_points: of the union; more are thinned by a choice that depends on the key alone.
    """
    looks = track.best_first()
    best = looks[0]
    if len(track) == 1:
        return best.triplet
    label = max(track.votes, key=lambda word: (track.votes[word], word))
    # The texts that came with the word that won: the label's own words, then what was said of single crops.
    speakers = [track.texts[label], *(look.triplet.texts for look in looks if look.label == label)]
    texts = dict.fromkeys(text for spoken in speakers for text in spoken)
    provenance = dict(best.triplet.provenance)
    points, colors = best.triplet.points, best.triplet.colors
    if track.agreed().any():
        agreed = np.flatnonzero(track.agreed())
        kept = agreed[_choose(len(agreed), max_points, best.triplet.key)]
        center = track.union[kept].mean(axis=0)
        points = (track.union[kept] - center).astype(np.float32)
        colors = None if track.union_colors is None else np.ascontiguousarray(track.union_colors[kept])
        provenance["center"] = center.tolist()
        provenance["quality"] = {**provenance["quality"], "num_points": len(agreed)}
    provenance.update(
        label=label,
        score=float(np.mean([row[4] for row in track.record if row[3] == label])),
        views=[_record(look) for look in looks],
        sightings=[row[:3] for row in track.record],
        votes={word: float(weight) for word, weight in sorted(track.votes.items())},
        motion="moving" if track.moves else "standing",
    )
    return Triplet(
        key=best.triplet.key,
        points=points,
        colors=colors,
        crop=best.triplet.crop,
        texts=tuple(texts),
        provenance=provenance,
        looks=tuple(Look(look.triplet.points, look.triplet.colors, look.triplet.crop) for look in looks[1:]),
    )


def _record(look: Observation) -> dict[str, Any]:
    return {name: look.triplet.provenance[name] for name in _OF_A_LOOK if name in look.triplet.provenance}


def _choose(count: int, at_most: int, key: str) -> np.ndarray:
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(zlib.crc32(key.encode())).choice(count, at_most, replace=False))
