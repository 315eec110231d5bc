"""Recognized objects as a recording for the rerun viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D, instance_palette
from data_prep.errors import InputError
from data_prep.scans import Frame
from data_prep.storage.extras import require_extra
from data_prep.storage.files import write_atomically

_UNKNOWN_GRAY = (150, 150, 156)


def write_rerun(result: Instances3D, path: str | Path, frame: Frame | None = None) -> Path:
    """Write an ``.rrd`` file: ``world/points``, ``world/objects`` (boxes with labels and scores), and the images.

    Points and boxes are relative to whole meters near the scan's middle, which ``world/origin`` states: the viewer is
    precise to float32.

    Args:
        result: with the scan's points.
        path: of the file.
        frame: with the images that saw the points, or None.

    Raises:
        InputError: the rerun SDK is missing, or the scan's points are not there.
    """

    def log(rr: Any, recording: Any, origin: NDArray[np.float64]) -> None:
        if result.timestamp is not None:
            recording.set_time("time", timestamp=result.timestamp)
        log_points(rr, recording, result, origin)
        log_boxes(rr, recording, "world/objects", result, origin, instance_palette(len(result)))
        for number, view in enumerate(() if frame is None else frame.views):
            assert frame is not None
            T = frame.T_world_points @ view.camera.T_points_cam
            at = f"world/cameras/{number}"
            recording.log(at, rr.Transform3D(translation=T[:3, 3] - origin, mat3x3=T[:3, :3]))
            size = [view.camera.width, view.camera.height]
            recording.log(f"{at}/image", rr.Pinhole(image_from_camera=view.camera.K, resolution=size))
            recording.log(f"{at}/image", rr.Image(view.image).compress(jpeg_quality=85))

    return write_recording(path, result, log)


def write_recording(
    path: str | Path, result: Instances3D, log: Callable[[Any, Any, NDArray[np.float64]], None]
) -> Path:
    """Write an ``.rrd`` file around ``world/origin``.

    Args:
        path: of the file.
        result: with the scan's points.
        log: (rerun, recording, origin (3,) meters) → logs everything else.

    Raises:
        InputError: the rerun SDK is missing, or the scan's points are not there.
    """
    rr = require_extra("rerun", "rerun", needed_for="--rerun")
    if result.points is None:
        raise InputError(
            "are missing", field="instances.points", fix="use dataclasses.replace(result, points=...)"
        )
    origin = np.floor(np.median(result.points, axis=0)) if len(result.points) else np.zeros(3)
    recording = rr.RecordingStream("clip2", recording_id=result.frame_id or "scan")

    def write(scratch: Path) -> None:
        recording.save(scratch)
        recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        recording.log("world/origin", rr.AnyValues(meters=origin), static=True)
        log(rr, recording, origin)
        recording.disconnect()

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return path


def log_points(rr: Any, recording: Any, result: Instances3D, origin: NDArray[np.float64]) -> None:
    """Log the scan's points at ``world/points``, relative to ``origin``."""
    assert result.points is not None
    recording.log("world/points", rr.Points3D(result.points - origin, colors=result.colors))


def log_boxes(
    rr: Any,
    recording: Any,
    entity: str,
    result: Instances3D,
    origin: NDArray[np.float64],
    colors: NDArray[np.uint8],
) -> None:
    """Log the boxes of objects, with labels and scores; those of ``unknown`` objects are gray.

    Args:
        rr: the rerun module.
        recording: to log to.
        entity: path in the recording.
        result: N objects.
        origin: (3,) that boxes are relative to, meters.
        colors: (N, 3) of the boxes.
    """
    colors = colors.copy()
    colors[[i for i, label in enumerate(result.labels) if label == UNKNOWN]] = _UNKNOWN_GRAY
    texts = [
        label if label == UNKNOWN else f"{label} {score:.2f}"
        for label, score in zip(result.labels, result.scores, strict=True)
    ]
    recording.log(
        entity,
        rr.Boxes3D(
            centers=result.boxes[:, :3] - origin,
            half_sizes=result.boxes[:, 3:6] / 2,
            quaternions=Rotation.from_matrix(result.rotations).as_quat() if len(result) else None,
            colors=colors,
            labels=texts,
            show_labels=True,  # more than 30 are hidden otherwise
        ),
        rr.AnyValues(label=list(result.labels), score=result.scores),
    )
