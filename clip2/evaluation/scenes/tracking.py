"""Tracking scores: which detections of many frames are held to be one object, and whether it is named right.

Purity and completeness are asked of each detection; IDF1 (Ristani et al. 2016) is the field's number: identities of labels and of
tracks are paired one to one so that most detections agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from clip2.evaluation.scenes.objects import SceneObjects
from data_prep.errors import InputError
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.geometry.matching import match_by_overlap

NOBODY = -1  # true id of a detection that shows no labeled object
_OVERLAP = 0.25  # 3D IoU from which a tracked box shows a labeled object


@dataclass(frozen=True)
class TrackedDetection:
    """One detection of one frame.

    Attributes:
        track: number of the object that it was put into.
        true: id of the labeled object that it shows; -1 (``NOBODY``): none, or not known. Those vote for the label of
            their track and are not scored.
        label: what it was detected as; "" for no name.
        score: weight of its vote for the label of its track.
    """

    track: int
    true: int
    label: str = ""
    score: float = 1.0


def score_tracks(
    frames: Sequence[Iterable[TrackedDetection]],
    labels: dict[int, str] | None = None,
    objects: int | None = None,
    detections: int | None = None,
) -> dict[str, float]:
    """Score the tracks of some frames.

    Args:
        frames: detections of each frame, in order.
        labels: true id → its label; None: names are not scored.
        objects: labeled objects over all frames, found or not; None: the detections that show one.
        detections: tracked detections over all frames, of an object or not; None: those that show one.

    Returns:
        ``detections`` and ``ids`` that were scored; ``objects``, tracks that hold any of them; ``purity``, share of
        detections that belong to the id most frequent in their track; ``completeness``, mean over ids of the share
        of its detections in the track that holds most of them; ``switches``, number of times an id moves from one
        track to another; ``fragments``, tracks that an id is spread over beyond the first; ``idf1``; with ``labels``
        also ``labels_before``, share of detections with the right label, and ``labels``, the same after each track
        has voted.

    >>> walk = [[TrackedDetection(0, 7)], [TrackedDetection(0, 7)], [TrackedDetection(1, 7)]]
    >>> found = score_tracks(walk)
    >>> found["purity"], round(found["completeness"], 3), found["switches"], round(found["idf1"], 3)
    (1.0, 0.667, 1.0, 0.667)
    """
    members: dict[int, Counter[int]] = defaultdict(Counter)
    history: dict[int, list[int]] = defaultdict(list)
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    judged: list[TrackedDetection] = []
    for frame in frames:
        for seen in frame:
            votes[seen.track][seen.label] += seen.score  # type: ignore[assignment]
            if seen.true != NOBODY:
                members[seen.track][seen.true] += 1
                history[seen.true].append(seen.track)
                judged.append(seen)
    if not judged:
        raise InputError("no detection shows a labeled object", field="tracks")
    total = len(judged) if objects is None else objects
    given = len(judged) if detections is None else detections
    figures = {
        "detections": float(len(judged)),
        "ids": float(len(history)),
        "objects": float(len(members)),
        "purity": sum(max(count.values()) for count in members.values()) / len(judged),
        "completeness": float(np.mean([max(Counter(h).values()) / len(h) for h in history.values()])),
        "switches": float(sum(a != b for h in history.values() for a, b in pairwise(h))),
        "fragments": float(sum(len(set(h)) - 1 for h in history.values())),
        "idf1": 2 * _agreeing(members, list(history)) / (total + given),
    }
    if labels:
        voted = {track: max(count, key=lambda w: (count[w], w)) for track, count in votes.items()}
        figures["labels"] = float(np.mean([labels[one.true] == voted[one.track] for one in judged]))
        figures["labels_before"] = float(np.mean([labels[one.true] == one.label for one in judged]))
    return figures


def matched_tracks(
    predicted: Sequence[SceneObjects], labeled: Sequence[SceneObjects], threshold: float = _OVERLAP
) -> list[list[TrackedDetection]]:
    """Detections of tracked boxes; a box shows the labeled object that it overlaps, one to one in each frame.

    Args:
        predicted, labeled: of the same frames, with tracks.
        threshold: least 3D IoU.

    Raises:
        InputError: boxes or labels without tracks.
    """
    frames = []
    for guess, truth in zip(predicted, labeled, strict=True):
        for name, objects in (("predicted", guess), ("labeled", truth)):
            if objects.tracks is None:
                raise InputError("have no track_id", field=f"objects.{name}", fix="give every object one")
        match = match_by_overlap(box_iou_3d(guess.boxes, truth.boxes)[0], threshold)
        frames.append(
            [
                TrackedDetection(
                    int(guess.tracks[row]),  # type: ignore[index]
                    int(truth.tracks[column]) if column >= 0 else NOBODY,  # type: ignore[index]
                    guess.labels[row],
                    float(guess.scores[row]),
                )
                for row, column in enumerate(match.tolist())
            ]
        )
    return frames


def _agreeing(members: dict[int, Counter[int]], ids: Sequence[int]) -> int:
    """Detections that agree under the best pairing of tracks and ids."""
    table = np.array([[count[one] for one in ids] for count in members.values()])
    return int(table[linear_sum_assignment(-table)].sum())
