"""``visualization_msgs/MarkerArray`` of objects: a box and its label each, for RViz and Foxglove."""

from __future__ import annotations

from typing import Any

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D, instance_palette

_CUBE, _TEXT, _ADD, _DELETE_ALL = 1, 9, 0, 3
_TEXT_HEIGHT = 0.2  # meters


def markers(objects: Instances3D, detections: dict[str, Any]) -> dict[str, Any]:
    """Plain dicts in the layout of ``visualization_msgs/MarkerArray``; the first marker removes those of before.

    Args:
        objects: whose labels and scores are shown.
        detections: ``objects.to_ros(...)``, which has the poses, frame and stamp.

    >>> import numpy as np
    >>> one = Instances3D((np.arange(3),), np.array([[0, 0, 0, 1, 1, 1, 0.0]]), np.eye(3)[None], ("mug",), np.array([0.9]), np.zeros((1, 4)))
    >>> [marker.get("text", "") for marker in markers(one, one.to_ros())["markers"]]
    ['', '', 'mug 0.90']
    """
    header = detections["header"]
    found: list[dict[str, Any]] = [{"header": header, "action": _DELETE_ALL}]
    for i, (each, label) in enumerate(zip(detections["detections"], objects.labels, strict=True)):
        number = i if objects.track_ids is None else int(objects.track_ids[i])
        # By track, so that an object keeps its color from frame to frame.
        red, green, blue = (instance_palette(number % 256 + 1)[-1] / 255).tolist()
        alpha = 0.2 if label == UNKNOWN else 0.5
        pose, size = each["bbox"]["center"], each["bbox"]["size"]
        common = {"header": header, "id": number & 0x7FFFFFFF, "action": _ADD}
        color = {"r": red, "g": green, "b": blue, "a": alpha}
        found.append({**common, "ns": "boxes", "type": _CUBE, "pose": pose, "scale": size, "color": color})
        position = {**pose["position"], "z": pose["position"]["z"] + size["z"] / 2 + _TEXT_HEIGHT}
        text = label if label == UNKNOWN else f"{label} {objects.scores[i]:.2f}"
        found.append(
            {
                **common,
                "ns": "labels",
                "type": _TEXT,
                "pose": {"position": position, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
                "scale": {"x": 0.0, "y": 0.0, "z": _TEXT_HEIGHT},
                "color": {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0},
                "text": text,
            }
        )
    return {"markers": found}
