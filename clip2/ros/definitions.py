"""Message types that bags need: those of ROS 2 and the part of ``vision_msgs`` that we write, as of its release 4."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from data_prep.storage.extras import require_extra

# Fields in their order: what CDR and the type's hash are made of.
VISION_MSGS = {
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
    ),
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id\n"
    ),
    "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
    "vision_msgs/msg/VisionInfo": (
        "std_msgs/Header header\nstring method\nstring database_location\nint32 database_version\n"
    ),
}


@cache
def typestore() -> Any:
    """A typestore of rosbags that knows ROS 2 and ``vision_msgs``.

    Raises:
        InputError: rosbags is not installed.

    >>> "vision_msgs/msg/Detection3DArray" in typestore().types
    True
    """
    require_extra("rosbags.typesys", "ros", needed_for="ROS messages")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in VISION_MSGS.items():
        store.register(get_types_from_msg(text, name))
    return store


def message(type_name: str, fields: Mapping[str, Any]) -> Any:
    """A message of rosbags from nested dicts; fields left out are zero or empty.

    Args:
        type_name: like ``vision_msgs/msg/Detection3DArray``.
        fields: as the functions of this package give them.

    Raises:
        KeyError: a field that the type does not have.

    >>> message("vision_msgs/msg/VisionInfo", {"method": "clip2"}).method
    'clip2'
    """
    store = typestore()
    known = store.fielddefs[type_name][1]
    if unknown := set(fields) - {name for name, _ in known}:
        raise KeyError(f"{type_name} has no field {sorted(unknown)[0]}")
    return store.types[type_name](**{name: _value(kind, fields.get(name)) for name, kind in known})


def cdr(type_name: str, fields: Mapping[str, Any]) -> bytes:
    """The bytes of a message, as a bag or a wire holds them."""
    return bytes(typestore().serialize_cdr(message(type_name, fields), type_name))


def _value(kind: Any, value: Any) -> Any:
    from rosbags.interfaces import Nodetype

    node, detail = kind
    if node == Nodetype.NAME:
        return message(detail, value or {})
    if node == Nodetype.BASE:
        return {"string": "", "bool": False}.get(detail[0], 0) if value is None else value
    element, length = detail
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        dtype = {"byte": "uint8", "char": "uint8", "octet": "uint8"}.get(element[1][0], element[1][0])
        filled = np.zeros(length if node == Nodetype.ARRAY else 0) if value is None else value
        return np.asarray(filled, dtype=dtype)
    return [_value(element, each) for each in (value or [])]
