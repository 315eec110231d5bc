"""Parameters of the live node: names, defaults and descriptions, in one table that the node declares and the docs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.errors import InputError


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter; its type is that of ``default``."""

    name: str
    default: str | float | int
    description: str


PARAMETERS = (
    Parameter("model", "mini-points", "Folder of clip2 export (needs no torch), a run folder, hf-hub:ORG/NAME or mini-points."),
    Parameter("labels", "", "Labels to choose from, separated by commas. Empty: all labels of the model."),
    Parameter("points_topic", "/points", "PointCloud2 topic of a LiDAR or camera. Empty: use depth_topic."),
    Parameter("depth_topic", "", "Depth Image topic, aligned to the color image."),
    Parameter("color_topic", "", "Color Image topic, with depth_topic."),
    Parameter("camera_info_topic", "", "CameraInfo topic of the color image, with depth_topic."),
    Parameter("world_frame", "map", "tf frame that does not move, z up. Objects are published in it."),
    Parameter("threshold", 0.3, "Objects whose best label is less probable are not published, 0 to 1."),
    Parameter("confirm", 3, "Frames in which an object must be seen to be confirmed."),
    Parameter("budget_ms", 0.0, "Milliseconds per frame; when behind, far objects and points are left out. 0: no limit."),
    Parameter("patience", 5.0, "Seconds after which diagnostics say what is missing."),
)  # fmt: skip


def check_parameters(values: Mapping[str, Any]) -> None:
    """Reject parameters that contradict each other, before anything is subscribed.

    Raises:
        InputError: naming the parameter and what to set.

    >>> check_parameters({"points_topic": "", "depth_topic": ""})
    Traceback (most recent call last):
    data_prep.errors.InputError: points_topic: is empty, and so is depth_topic. Fix: set one of them
    """
    points, depth = values.get("points_topic", ""), values.get("depth_topic", "")
    if not points and not depth:
        raise InputError("is empty, and so is depth_topic", field="points_topic", fix="set one of them")
    if points and depth:
        raise InputError("is set beside points_topic", field="depth_topic", fix="set one of them to ''")
    for name in ("color_topic", "camera_info_topic"):
        if depth and not values.get(name):
            raise InputError(
                "is empty", field=name, fix="set it: depth needs color images and their CameraInfo"
            )
    if not 0 <= values.get("threshold", 0) <= 1:
        raise InputError(f"is {values['threshold']}", field="threshold", fix="give 0 to 1")
