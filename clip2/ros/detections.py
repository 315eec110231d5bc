"""``vision_msgs/Detection3DArray`` and ``VisionInfo`` from and to objects; the label is in ``class_id``, ``id`` is the track."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D
from data_prep.errors import BadFrameError


def instances_from_ros(
    message: Any, T_world_frame: NDArray[np.float64] | None = None, where: str = "Detection3DArray"
) -> Instances3D:
    """Objects of any 3D detector's message, to draw, to compare, or to feed a map with.

    Args:
        message: ``vision_msgs/Detection3DArray`` of rclpy or rosbags.
        T_world_frame: (4, 4) from the message's frame to a z-up world; None: they are the same.
        where: the topic, named in errors.

    Returns:
        Boxes in world axes. Of several hypotheses the likeliest counts; one without any is ``unknown`` with score 0.
        ``track_ids`` are the message's ids if all of them are whole numbers. There are no embeddings and no points.

    Raises:
        BadFrameError: a message of another type, or boxes that are not finite, have no size or no rotation.

    >>> from clip2.ros.definitions import message
    >>> box = {"center": {"orientation": {"w": 1.0}}, "size": {"x": 1.0, "y": 1.0, "z": 2.0}}
    >>> mug = {"results": [{"hypothesis": {"class_id": "mug", "score": 0.9}}], "bbox": box, "id": "7"}
    >>> found = instances_from_ros(message("vision_msgs/msg/Detection3DArray", {"detections": [mug]}))
    >>> found.labels, found.boxes[0].tolist(), found.track_ids.tolist()
    (('mug',), [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 0.0], [7])
    """
    if not hasattr(message, "detections"):
        raise BadFrameError(
            f"is a {type(message).__name__}",
            source=where,
            field="type",
            fix="give vision_msgs/msg/Detection3DArray",
        )
    T = np.eye(4) if T_world_frame is None else np.asarray(T_world_frame, np.float64)
    rows, rotations, labels, scores, ids = [], [], [], [], []
    for number, each in enumerate(message.detections):
        center, size = each.bbox.center, each.bbox.size
        values = [_xyz(center.position), _xyz(size)]
        quaternion = np.array([getattr(center.orientation, axis) for axis in "xyzw"], np.float64)
        if not (np.isfinite([*values[0], *values[1], *quaternion]).all() and min(values[1]) > 0):
            raise BadFrameError(
                "has no finite box with a size", source=where, field=f"detections[{number}].bbox"
            )
        if np.linalg.norm(quaternion) < 1e-6:
            raise BadFrameError(
                "is no rotation",
                source=where,
                field=f"detections[{number}].bbox.center.orientation",
                fix="set w to 1 for an axis-aligned box",
            )
        R = T[:3, :3] @ Rotation.from_quat(quaternion).as_matrix()
        rows.append([*(T[:3, :3] @ values[0] + T[:3, 3]), *values[1], np.arctan2(R[1, 0], R[0, 0])])
        rotations.append(R)
        best = max((result.hypothesis for result in each.results), key=lambda h: h.score, default=None)
        labels.append(UNKNOWN if best is None else str(best.class_id))
        scores.append(0.0 if best is None else float(best.score))
        ids.append(str(each.id))
    stamp = message.header.stamp
    return Instances3D(
        indices=tuple(np.zeros(0, np.int64) for _ in rows),
        boxes=np.array(rows, np.float64).reshape(-1, 7),
        rotations=np.array(rotations, np.float64).reshape(-1, 3, 3),
        labels=tuple(labels),
        scores=np.array(scores, np.float32),
        embeddings=np.zeros((len(rows), 0), np.float32),
        track_ids=np.array(ids, np.int64) if ids and all(id.isdecimal() for id in ids) else None,
        frame_id=message.header.frame_id,
        timestamp=stamp.sec + stamp.nanosec / 1e9,
    )


def vision_info(model: str, labels: Sequence[str], header: dict[str, Any]) -> dict[str, Any]:
    """Plain dicts in the layout of ``vision_msgs/VisionInfo``: the model and the labels that may be in ``class_id``.

    Args:
        model: name of the CLIP model, :attr:`Instances3D.model`.
        labels: that were asked for. They are listed in ``database_location``; ``database_version`` changes with them.
        header: as in :meth:`Instances3D.to_ros`.

    >>> vision_info("ViT-B-32/openai", ["mug", "chair"], {})["database_location"]
    'mug, chair'
    """
    listed = ", ".join(labels)
    version = zlib.crc32(listed.encode()) & 0x7FFFFFFF
    return {
        "header": header,
        "method": f"clip2 {model}",
        "database_location": listed,
        "database_version": version,
    }


def _xyz(vector: Any) -> NDArray[np.float64]:
    return np.array([vector.x, vector.y, vector.z], np.float64)
