"""Heading and speed of tracked objects from where they go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data_prep.autolabel.labels import Label3D, LabeledFrame
from data_prep.geometry import OrientedBox

_BACKWARD = np.diag([-1.0, -1.0, 1.0])  # half a turn about the box's own up axis


def turn_and_time(frames: Sequence[LabeledFrame], frame_time: float) -> list[LabeledFrame]:
    """Give objects that move a velocity, and turn their boxes so that they drive forward.

    A box fitted to points has no front: the sides are right, the heading may be off by half a turn. The velocity is the
    way between the frames before and after, over the time between them.

    Args:
        frames: in order, with tracks in a world that frames share.
        frame_time: seconds from frame to frame where they have no times.
    """
    times = [frame.position * frame_time if frame.timestamp is None else frame.timestamp for frame in frames]
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)  # track → frame and row
    for row, frame in enumerate(frames):
        for column, label in enumerate(frame.labels):
            if label.track is not None and label.moving:
                seen[label.track].append((row, column))
    labels = [list(frame.labels) for frame in frames]
    for places in seen.values():
        centers = [frames[row].labels[column].box.center for row, column in places]
        for n, (row, column) in enumerate(places):
            a, b = max(0, n - 1), min(len(places) - 1, n + 1)
            passed = times[places[b][0]] - times[places[a][0]]
            if passed > 0:
                velocity = (centers[b] - centers[a]) / passed
                labels[row][column] = _forward(frames[row].labels[column], velocity)
    return [replace(frame, labels=tuple(some)) for frame, some in zip(frames, labels, strict=True)]


def _forward(label: Label3D, velocity: np.ndarray) -> Label3D:
    box = label.box
    if box.rotation[:2, 0] @ velocity[:2] < 0:
        box = OrientedBox(box.center, box.size, box.rotation @ _BACKWARD)
    return replace(label, box=box, velocity=velocity)
