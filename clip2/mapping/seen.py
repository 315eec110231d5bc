"""Objects seen in one frame: proposals, lifted 2D detections, or the boxes of another 3D detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D
from clip2.recognition.proposals import Kind, propose_objects
from clip2.recognition.proposals.lifted import propose_labeled
from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.upright_box import fit_upright_boxes
from data_prep.labels import normalize_label
from data_prep.scans import Frame

SAMPLE = 64  # points by which overlap is judged
_KEPT = 384  # points of one look that go into the object's cloud
_MARGIN = 0.05  # m around a given box: its points may stick out


@dataclass(frozen=True)
class Seen:
    """The N objects seen in one frame.

    Attributes:
        indices: N ascending arrays into the frame's points.
        clouds: N arrays (m, 3) float64 world points, thinned to a few hundred.
        boxes: around the points.
        centers: (N, 3) float64 of the boxes.
        diagonals: (N,) meters of the boxes.
        objectness: (N,) float32.
        labels: label that a detector gave, or None.
        scores: (N,) float32, the detector's.
    """

    indices: tuple[NDArray[np.int64], ...]
    clouds: tuple[NDArray[np.float64], ...]
    boxes: tuple[OrientedBox, ...]
    centers: NDArray[np.float64]
    diagonals: NDArray[np.float64]
    objectness: NDArray[np.float32]
    labels: tuple[str | None, ...]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


def see(
    frame: Frame,
    world: NDArray[np.float64],
    viewpoint: NDArray[np.float64] | None,
    detections: Sequence[Detections2D] | Instances3D | None,
    kind: Kind,
    most_range: float | None = None,
    most_points: int = 80_000,
) -> Seen:
    """Find the objects of a frame.

    Args:
        frame: the frame.
        world: (P, 3) its points in the world.
        viewpoint: (3,) position of the sensor, or None.
        detections: one ``Detections2D`` per view; or boxes of another 3D detector in world axes, whose ``indices`` may
            be empty; or None: by geometry alone.
        kind: of the proposals.
        most_range: meters from the sensor beyond which proposals are not looked for; None: none.
        most_points: of a depth image in which proposals are looked for.

    Raises:
        InputError: detections that do not fit the frame.
    """
    labels: Sequence[str | None]
    if detections is None:
        rows = _every_pixel(frame, most_points)
        if most_range is not None and viewpoint is not None:
            rows = rows[np.linalg.norm(world[rows] - viewpoint, axis=1) < most_range]
        colors = None if frame.colors is None else frame.colors.take(rows, axis=0)
        found = propose_objects(
            world.take(rows, axis=0), kind, viewpoint, colors, alternatives=False
        ).objects()
        found = replace(found, indices=tuple(rows[index] for index in found.indices))
        labels, scores = [None] * len(found), np.ones(len(found), np.float32)
    elif isinstance(detections, Instances3D):
        return _from_boxes(detections, world)
    else:
        found, given, scores = propose_labeled(frame, detections)
        labels = [normalize_label(label) for label in given]
    return _measured(world, found.indices, found.objectness, labels, scores)


def _every_pixel(frame: Frame, most: int) -> NDArray[np.int64]:
    """Rows of a frame's points: every n-th pixel of every n-th line of a large depth image, all points otherwise.

    Proposals in a depth image cost seconds per million points, and need no more than one point per centimeter.
    """
    count = len(frame.points)
    step = int(np.ceil(np.sqrt(count / most)))
    if frame.depth is None or step == 1:
        return np.arange(count)
    pixels = np.flatnonzero(frame.depth.reshape(-1) > 0)
    if len(pixels) != count:  # the points are not those of the image
        return np.arange(0, count, step**2)
    v, u = np.divmod(pixels, frame.depth.shape[1])
    return np.flatnonzero((u % step == 0) & (v % step == 0))


def _from_boxes(given: Instances3D, world: NDArray[np.float64]) -> Seen:
    boxes = given.oriented_boxes()
    outside = [index for index in given.indices if len(index) and index[-1] >= len(world)]
    if outside:
        raise InputError(
            f"name point {outside[0][-1]}, the frame has {len(world):,} points",
            field="detections.indices",
            fix="give indices into the points of this frame, or empty ones",
        )
    indices = [
        index if len(index) else np.flatnonzero(box.contains(world, _MARGIN))
        for index, box in zip(given.indices, boxes, strict=True)
    ]
    labels = [None if label == UNKNOWN else normalize_label(label) for label in given.labels]
    assert given.objectness is not None
    return _measured(world, indices, given.objectness, labels, given.scores)


def _measured(
    world: NDArray[np.float64],
    indices: Sequence[NDArray[np.int64]],
    objectness: NDArray[np.float32],
    labels: Sequence[str | None],
    scores: NDArray[np.float32],
) -> Seen:
    clouds = [world.take(thinned(index, _KEPT), axis=0) for index in indices]
    # A cloud of coincident points has no shape.
    kept = [i for i, cloud in enumerate(clouds) if len(cloud) and (cloud != cloud[0]).any()]
    clouds = [clouds[i] for i in kept]
    boxes = fit_upright_boxes(clouds)
    sizes = np.array([box.size for box in boxes]).reshape(-1, 3)
    return Seen(
        indices=tuple(indices[i] for i in kept),
        clouds=tuple(clouds),
        boxes=tuple(boxes),
        centers=np.array([box.center for box in boxes]).reshape(-1, 3),
        diagonals=np.maximum(np.linalg.norm(sizes, axis=1), 1e-3),
        objectness=np.asarray(objectness, np.float32)[kept],
        labels=tuple(labels[i] for i in kept),
        scores=np.asarray(scores, np.float32)[kept],
    )


def thinned(rows: NDArray, most: int) -> NDArray:
    """At most this many of the rows, evenly drawn."""
    if len(rows) <= most:
        return rows
    return rows.take(_even(len(rows), most), axis=0)


@lru_cache(maxsize=4096)  # the clouds of a map have few different lengths, and each is thinned in every frame
def _even(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, most).astype(np.int64)


def sample_spacing(sizes: NDArray, counts: NDArray) -> NDArray[np.float64]:
    """(N,) meters between ``counts`` points that lie evenly on the two largest sides of boxes of ``sizes`` (N, 3)."""
    ordered = np.sort(sizes, axis=1)
    area = np.maximum(ordered[:, 2] * (ordered[:, 1] + 0.5 * ordered[:, 0]), 1e-6)
    return np.asarray(np.sqrt(area / np.maximum(counts, 1)))
