"""Motion of tracked objects: whether they move, their speed, and the heading that follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.associate.affinity import overlap
from data_prep.autolabel.labels import Label3D, LabeledFrame
from data_prep.geometry import OrientedBox

_FEWEST = 10  # points in a cloud that can be compared
_PAIRS = 8  # clouds compared per object
_BETTER = 0.1  # overlap that a shifted cloud gains where an object moves
_BACKWARD = np.diag([-1.0, -1.0, 1.0])  # half a turn about the box's own up axis


def moves(clouds: Sequence[NDArray]) -> bool:
    """Whether the clouds of one object fit onto each other better if they are shifted.

    Its middle says little: that of a parked car wanders over its visible sides as the sensor passes.

    Args:
        clouds: (n, 3) world points of each frame, in order.
    """
    step = 1
    while True:
        pairs = [(clouds[n], clouds[n + step]) for n in range(len(clouds) - step)]
        votes = [vote for a, b in pairs[:: max(1, len(pairs) // _PAIRS)] if (vote := _gain(a, b)) is not None]
        if votes:
            return float(np.median(votes)) > _BETTER
        if step >= len(clouds) - 1:
            return False
        step = min(2 * step, len(clouds) - 1)


def _gain(a: NDArray, b: NDArray) -> float | None:
    """Overlap of two clouds, the first shifted, minus that without a shift; None: too little a shift to tell."""
    if min(len(a), len(b)) < _FEWEST:
        return None
    places = [np.quantile(cloud, (0.05, 0.5, 0.95), axis=0) for cloud in (a, b)]
    spacing = max(float(np.median(cKDTree(cloud).query(cloud, k=2)[0][:, 1])) for cloud in (a, b))
    reach = max(1.5 * spacing, 0.03 * float(np.linalg.norm(places[0][2] - places[0][0])))
    shifts = places[1] - places[0]  # of the low sides, the middle, the high sides
    if np.linalg.norm(shifts, axis=1).min() < 1.5 * reach:
        return None
    still = overlap(a, b, reach)
    return max(overlap(a + shift, b, reach) for shift in shifts) - still


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


def _forward(label: Label3D, velocity: NDArray[np.float64]) -> Label3D:
    box = label.box
    if box.rotation[:2, 0] @ velocity[:2] < 0:
        box = OrientedBox(box.center, box.size, box.rotation @ _BACKWARD)
    return replace(label, box=box, velocity=velocity)
