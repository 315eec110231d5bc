"""Tracks of mined objects: which detections show the same thing, and its name, motion and cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.associate import AssociationConfig, Associator, Observation
from data_prep.associate.measured import SAMPLE
from data_prep.autolabel.motion import moves
from data_prep.errors import BadDatasetError
from data_prep.lift import LiftQuality
from data_prep.scans import Scan
from data_prep.triplets import Triplet

Place = tuple[str, int, int]
_POINTS = 4096  # of a cloud that is united over frames


@dataclass(frozen=True, eq=False)
class TrackedObject:
    """One object over all frames.

    Attributes:
        number: in the order of first detections.
        label: with most votes.
        moving: in the world; None: seen in one frame, so that nobody can tell.
        best: :attr:`Observation.place` of its best view.
        points: (n, 3) float64 world points, united over the frames; None of an object that moves.
    """

    number: int
    label: str
    moving: bool | None
    best: Place
    points: NDArray[np.float64] | None


@dataclass(frozen=True)
class Tracks:
    """All objects of a scan, by :attr:`Observation.place` of their detections.

    Attributes:
        objects: place → object; detections that belong to none are absent.
        left_out: reason → number of these.
        posed: the sensor's motion is known, so that what stands still can be told from what moves.
    """

    objects: dict[Place, TrackedObject] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    posed: bool = False


def has_poses(scan: Scan) -> bool:
    """Whether poses of the scan lead to a world that frames share."""
    return any(scan.world_of(position) is not None for position in range(min(2, len(scan))))


def observation_of(triplet: Triplet) -> Observation:
    """The observation that a triplet of a single detection was made from; its crop has gone through JPEG.

    Raises:
        BadDatasetError: the provenance lacks what mining writes.
    """
    found = triplet.provenance
    if (
        found.camera is None
        or found.box is None
        or found.center is None
        or found.T_world_points is None
        or found.view_index is None
        or found.detection is None
        or found.quality is None
        or found.crop is None
        or triplet.crop is None
    ):
        raise BadDatasetError("was not mined from a frame", source=triplet.key, fix="mine the scan again")
    known: dict[str, Any] = {
        name: np.nan if value is None else value for name, value in vars(found.quality).items()
    }
    quality = LiftQuality(**{name: known[name] for name in LiftQuality.__dataclass_fields__})
    return Observation(
        key=triplet.key,
        source=found.source,
        frame=found.frame,
        timestamp=found.timestamp,
        T_world_points=np.array(found.T_world_points),
        view=found.view or "",
        view_index=found.view_index,
        camera=found.camera.camera(),
        box=np.array(found.box, np.float32),
        window=found.crop,
        label=found.label,
        score=1.0 if found.score is None else found.score,
        detection=found.detection,
        attributes=found.attributes,
        quality=quality,
        points=triplet.points,
        center=np.array(found.center),
        colors=triplet.colors,
        crop=triplet.crop,
        texts=triplet.texts,
    )


def by_frame(
    triplets: Iterable[Triplet], ids: Sequence[str]
) -> Iterator[tuple[str, tuple[Observation, ...]]]:
    """Ids of all frames with their observations, none for some.

    Args:
        triplets: in the order of the frames.
        ids: of all frames, in order.
    """
    groups = groupby(map(observation_of, triplets), key=lambda seen: seen.frame)
    waiting = next(groups, None)
    for id in ids:
        if waiting is not None and waiting[0] == id:
            yield id, tuple(waiting[1])
            waiting = next(groups, None)
        else:
            yield id, ()


def follow(
    frames: Iterable[tuple[str, tuple[Observation, ...]]],
    sequences: Iterable[str],
    config: AssociationConfig,
    posed: bool,
) -> Tracks:
    """Find out which observations show the same object.

    Args:
        frames: id and observations of each frame, in order.
        sequences: name of each frame's sequence; nothing is followed from one into another.
        config: of the association.
        posed: see :class:`Tracks`.
    """
    associator = Associator(config, max_points=_POINTS)
    finished: list[tuple[Observation, bool | None]] = []
    order: dict[Place, int] = {}
    clouds: dict[Place, NDArray] = {}  # of the objects that are followed at the moment

    def finish(objects: Sequence[Observation]) -> None:
        for one in objects:
            places = _places(one)
            seen = [clouds.pop(place) for place in places]
            moving: bool | None = None
            if one.association is not None and len({frame for frame, _, _ in places}) > 1:
                moving = one.association.moving or (posed and moves(seen))
            finished.append((without_pictures(one), moving))

    before: str | None = None
    for (_, seen), sequence in zip(frames, sequences, strict=True):
        if sequence != before:
            finish(associator.close())
            clouds.clear()
            before = sequence
        for one in seen:
            order[one.place] = len(order)
            clouds[one.place] = _sample(one)
        finish(associator.push(seen))
    finish(associator.close())
    finished.sort(key=lambda one: order[_places(one[0])[0]])
    tracks = Tracks(left_out=associator.take_left_out(), posed=posed)
    for number, (one, moving) in enumerate(finished):
        points = None if moving else one.points.astype(np.float64) + one.center
        followed = TrackedObject(number, one.texts[0], moving, one.place, points)
        tracks.objects.update(dict.fromkeys(_places(one), followed))
    return tracks


def _sample(one: Observation) -> NDArray[np.float64]:
    rows = np.linspace(0, len(one.points) - 1, min(len(one.points), SAMPLE)).astype(np.int64)
    return one.points[rows].astype(np.float64) + one.center


def _places(observation: Observation) -> tuple[Place, ...]:
    return (observation.place,) if observation.association is None else observation.association.places


def without_pictures(observation: Observation) -> Observation:
    """The observation without crop and colors, and without the clouds of single views."""
    merged = observation.association
    return replace(
        observation,
        crop=np.zeros((0, 0, 3), np.uint8),
        colors=None,
        association=None if merged is None else replace(merged, views=()),
    )
