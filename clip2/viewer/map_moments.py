"""Moments of an object map: which objects it knew after each of its frames, and where they stood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.mapping import ObjectMap
from clip2.viewer.content import Content
from clip2.viewer.moments import Moments
from data_prep.errors import InputError

_MOST = 200  # moments on the slider
_STATES = ("confirmed", "lost")


def moments_of_map(object_map: ObjectMap) -> Moments:
    """The map after its frames, the last of them first; at most 200, evenly chosen.

    Args:
        object_map: with at least one confirmed object.

    Raises:
        InputError: a map without objects.
    """
    everything = object_map.query(states=_STATES, points=True)
    assert everything.track_ids is not None
    ids = everything.track_ids.tolist()
    if not ids:
        raise InputError("has no confirmed objects", source="map", fix="map more frames")
    histories = [object_map.objects[id].history for id in ids]
    frames = np.unique([number for history in histories for number, _, _ in history])
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MOST)).round().astype(int))]
    assert everything.points is not None
    points = everything.points

    def content(position: int) -> Content:
        frame = frames[position]
        kept, pieces, boxes = [], [], everything.boxes.copy()
        for i, history in enumerate(histories):
            past = [entry for entry in history if entry[0] <= frame]
            if past and past[-1][2] == "confirmed":
                boxes[i] = past[-1][1]
                pieces.append(points[everything.indices[i]] + boxes[i, :3] - everything.boxes[i, :3])
                kept.append(i)
        ends = np.cumsum([0, *map(len, pieces)])
        known = replace(everything, boxes=boxes, visible_boxes=boxes)[np.array(kept, np.int64)]
        known = replace(
            known,
            indices=tuple(np.arange(a, b) for a, b in pairwise(ends.tolist())),
            points=np.concatenate(pieces) if pieces else points[:1],
            frame_id=f"frame {frame}",
        )
        return Content(
            known, resembles=lambda share: _resembling(object_map, share)[np.array(kept, np.int64)]
        )

    def _resembling(asked: ObjectMap, share: float | None) -> NDArray[np.bool_]:
        named = asked.query(states=_STATES, false_alarm=share)
        assert named.track_ids is not None
        like = {
            id for id, label in zip(named.track_ids.tolist(), named.labels, strict=True) if label != UNKNOWN
        }
        return np.array([id in like for id in ids], dtype=bool)

    return Moments([f"frame {frame}" for frame in frames], content)
