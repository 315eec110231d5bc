"""One lifted object becomes a triplet: crop, world axes, words, provenance."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.geometry.transforms import transform_points
from data_prep.lift import ObjectCloud
from data_prep.scans import Frame, View
from data_prep.triplets.triplet import Triplet


def cut_triplet(
    frame: Frame,
    cloud: ObjectCloud,
    detections: Detections2D,
    *,
    texts: tuple[str, ...],
    source: str,
    margin: float,
    max_points: int,
    lifter: Mapping[str, Any],
) -> Triplet | None:
    """Make the triplet of one object; None if no pixel of its crop lies in the image.

    Args:
        frame: the frame it was lifted from.
        cloud: its points.
        detections: those of ``frame.views[cloud.view]``.
        texts: its words, best first.
        source: name of the scan's reader.
        margin: context around the box, as a share of its width and height, on every side.
        max_points: larger clouds keep a random choice of this many, the same in every run.
        lifter: name and settings of the lifter, for the provenance.
    """
    view, row = frame.views[cloud.view], cloud.detection
    window = crop_window(detections.boxes[row], view.camera.width, view.camera.height, margin)
    if window is None:
        return None
    x0, y0, x1, y1 = window
    assert detections.ids is not None
    number = int(detections.ids[row])
    key = triplet_key(source, frame.id, cloud.view, number)
    kept = _choose(len(cloud), max_points, key)
    # Float64 until the center is gone: a world far from its origin has no millimeters left in float32.
    world = transform_points(frame.T_world_points, cloud.points[kept].astype(np.float64))
    center = world.mean(axis=0)
    provenance: dict[str, Any] = {
        "source": source,
        "frame": frame.id,
        "timestamp": frame.timestamp,
        "center": center.tolist(),
        "T_world_points": frame.T_world_points.tolist(),
        "view": view.name,
        "view_index": cloud.view,
        "camera": _camera_record(view),
        "box": detections.boxes[row].tolist(),
        "crop": [x0, y0, x1, y1],
        "label": detections.labels[row],
        "score": float(detections.scores[row]),
        "detection": number,
        "attributes": {
            name: value
            for name, column in sorted(detections.attributes.items())
            if (value := _finite(column[row].tolist())) is not None
        },
        "quality": {name: _finite(value) for name, value in asdict(cloud.quality).items()},
        "lifter": dict(lifter),
    }
    return Triplet(
        key=key,
        points=(world - center).astype(np.float32),
        colors=None if cloud.colors is None else np.ascontiguousarray(cloud.colors[kept]),
        crop=np.ascontiguousarray(view.image[y0:y1, x0:x1]),
        texts=texts,
        provenance=provenance,
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


def triplet_key(source: str, frame: str, view: int, detection: int) -> str:
    """``source-frame-view-detection``, safe in tar member names, different for different arguments.

    >>> triplet_key("kitti", "000007", 0, 12)
    'kitti-000007-0-12'
    """
    return f"{_safe(source)}-{_safe(frame)}-{view}-{detection}"


def _safe(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if plain == name and len(name) <= 80:
        return name
    # Two names may become one when letters are replaced or cut; the digest keeps them apart.
    return f"{plain[:80]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _choose(count: int, at_most: int, key: str) -> NDArray[np.int64]:
    if count <= at_most:
        return np.arange(count)
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    return np.sort(generator.choice(count, at_most, replace=False))


def _camera_record(view: View) -> dict[str, Any]:
    camera = view.camera
    return {
        "K": camera.K.tolist(),
        "width": camera.width,
        "height": camera.height,
        "T_points_cam": camera.T_points_cam.tolist(),
        "distortion": {
            "model": camera.distortion.model,
            "coefficients": list(camera.distortion.coefficients),
        },
    }


def _finite(value: Any) -> Any:
    """None for NaN, which detectors' files use for "not given" and JSON cannot hold."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
