"""Observation: one object in one frame, with points, crop, detection, camera and pose."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.geometry import Camera
from data_prep.geometry.transforms import transform_points
from data_prep.lift import LiftQuality, ObjectCloud
from data_prep.scans import Frame


@dataclass(frozen=True, eq=False)
class Observation:
    """An object that a frame shows, or one merged from several such observations.

    Attributes:
        key: unique over the whole set (:func:`observation_key`).
        source: name of the scan's reader.
        frame: id of the frame.
        timestamp: seconds, or None.
        T_world_points: (4, 4) float64, from the frame's points to the z-up world.
        view, view_index: name of the image and index into ``Frame.views``.
        camera: the view's camera.
        box: (4,) float32 xyxy pixels of the detection.
        window: x0, y0 and past-the-end x1, y1 of the crop, pixels.
        label, score: the detector's; of a merged object the label with most votes and its mean score.
        detection: annotation id.
        attributes: further columns of the detections.
        quality: of the lifted cloud.
        points: (n, 3) float32 meters in world axes, relative to ``center``.
        center: (3,) float64 world position, meters.
        colors: (n, 3) uint8 RGB or None.
        crop: (h, w, 3) uint8 RGB.
        texts: labels and captions for the object, best first.
        association: what was merged; None: a single detection.

    >>> from data_prep import create_lifter, open_scan
    >>> scan = open_scan("procedural", "room", frames=1)
    >>> frame, found = scan[0], scan.detections(0)
    >>> cloud = create_lifter("auto").lift(frame, found).objects[0]
    >>> seen = observe(frame, cloud, found[0], texts=("table",), source="room", margin=0.1, max_points=64)
    >>> seen.points.shape, seen.label == found[0].labels[cloud.detection]
    ((64, 3), True)
    """

    key: str
    source: str
    frame: str
    timestamp: float | None
    T_world_points: NDArray[np.float64]
    view: str
    view_index: int
    camera: Camera
    box: NDArray[np.float32]
    window: tuple[int, int, int, int]
    label: str
    score: float
    detection: int
    attributes: Mapping[str, Any]
    quality: LiftQuality
    points: NDArray[np.float32]
    center: NDArray[np.float64]
    colors: NDArray[np.uint8] | None
    crop: NDArray[np.uint8]
    texts: tuple[str, ...]
    association: Association | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Frame, view index and annotation id."""
        return self.frame, self.view_index, self.detection


@dataclass(frozen=True, eq=False)
class Association:
    """Observations that were merged into one object.

    Attributes:
        views: the observations kept, best first.
        places: :attr:`Observation.place` of all observations, in order.
        votes: label → sum of scores.
        moving: the object was seen whole in places further apart than half its size.
    """

    views: tuple[Observation, ...]
    places: tuple[tuple[str, int, int], ...]
    votes: Mapping[str, float]
    moving: bool


def observe(
    frame: Frame,
    cloud: ObjectCloud,
    detections: Detections2D,
    *,
    texts: tuple[str, ...],
    source: str,
    margin: float,
    max_points: int,
) -> Observation | None:
    """Observation of one lifted object; None if no pixel of its crop lies in the image.

    Args:
        frame: the frame it was lifted from.
        cloud: its points.
        detections: those of ``frame.views[cloud.view]``.
        texts: labels and captions, best first.
        source: name of the scan's reader.
        margin: context around the box in the crop, as a share of its width and height, on every side.
        max_points: larger clouds keep a random choice of this many, the same in every run.
    """
    view, row = frame.views[cloud.view], cloud.detection
    window = crop_window(detections.boxes[row], view.camera.width, view.camera.height, margin)
    if window is None:
        return None
    x0, y0, x1, y1 = window
    assert detections.ids is not None
    number = int(detections.ids[row])
    key = observation_key(source, frame.id, cloud.view, number)
    kept = choose_points(len(cloud), max_points, key)
    # Float64 until the center is subtracted: float32 has no millimeters left far from the world's origin.
    world = transform_points(frame.T_world_points, cloud.points[kept].astype(np.float64))
    center = world.mean(axis=0)
    columns = ((name, column[row].tolist()) for name, column in sorted(detections.attributes.items()))
    return Observation(
        key=key,
        source=source,
        frame=frame.id,
        timestamp=frame.timestamp,
        T_world_points=frame.T_world_points,
        view=view.name,
        view_index=cloud.view,
        camera=view.camera,
        box=detections.boxes[row],
        window=window,
        label=detections.labels[row],
        score=float(detections.scores[row]),
        detection=number,
        # NaN is "not given" in detection files.
        attributes={name: value for name, value in columns if value is not None and value == value},
        quality=cloud.quality,
        points=(world - center).astype(np.float32),
        center=center,
        colors=None if cloud.colors is None else np.ascontiguousarray(cloud.colors[kept]),
        crop=np.ascontiguousarray(view.image[y0:y1, x0:x1]),
        texts=texts,
    )


def crop_window(
    box: NDArray[np.float32], width: int, height: int, margin: float
) -> tuple[int, int, int, int] | None:
    """Pixels whose centers lie in the grown box and in the image: x0, y0 and past-the-end x1, y1; None if none do.

    >>> crop_window(np.array([10, 20, 30, 40]), width=100, height=50, margin=0.0)
    (10, 20, 31, 41)
    >>> crop_window(np.array([10, 20, 30, 40]), width=100, height=42, margin=0.1)
    (8, 18, 33, 42)
    """
    left, top, right, bottom = (float(value) for value in box)
    grow_x, grow_y = margin * (right - left), margin * (bottom - top)
    x0, x1 = max(0, int(np.ceil(left - grow_x))), min(width, int(np.floor(right + grow_x)) + 1)
    y0, y1 = max(0, int(np.ceil(top - grow_y))), min(height, int(np.floor(bottom + grow_y)) + 1)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def observation_key(source: str, frame: str, view: int, detection: int) -> str:
    """``source-frame-view-detection``, safe in tar member names, different for different arguments.

    >>> observation_key("kitti", "000007", 0, 12)
    'kitti-000007-0-12'
    """
    return f"{_safe(source)}-{_safe(frame)}-{view}-{detection}"


def choose_points(count: int, at_most: int, key: str) -> NDArray[np.int64]:
    """Ascending rows of at most ``at_most`` points, a random choice that depends on the key alone."""
    if count <= at_most:
        return np.arange(count)
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    return np.sort(generator.choice(count, at_most, replace=False))


def _safe(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if plain == name and len(name) <= 80:
        return name
    # Two names may become one when letters are replaced or cut; the digest keeps them apart.
    return f"{plain[:80]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
