"""Sensor messages from arrays. The other direction is :mod:`data_prep.scans.rosbag`, whose readers take rclpy's messages too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, rigid

_FLOAT32 = 7  # sensor_msgs/PointField
_ENCODINGS = {("uint8", 3): "rgb8", ("uint8", 1): "mono8", ("uint16", 1): "16UC1", ("float32", 1): "32FC1"}
_DISTORTIONS = {"none": "plumb_bob", "radtan": "plumb_bob", "fisheye": "equidistant"}


def header(stamp: int, frame_id: str) -> dict[str, Any]:
    """``std_msgs/Header`` as plain dicts.

    Args:
        stamp: nanoseconds.
        frame_id: tf frame.
    """
    return {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": frame_id}


def pointcloud2(
    points: NDArray[np.floating],
    colors: NDArray[np.uint8] | None = None,
    intensity: NDArray[np.float32] | None = None,
    *,
    stamp: int = 0,
    frame_id: str = "map",
) -> dict[str, Any]:
    """``sensor_msgs/PointCloud2`` as plain dicts: x y z float32, packed rgb, intensity.

    Args:
        points: (N, 3) meters in ``frame_id``.
        colors: (N, 3) RGB, or None.
        intensity: (N,) or None.
        stamp: nanoseconds.
        frame_id: tf frame.

    >>> cloud = pointcloud2(np.zeros((5, 3)), np.zeros((5, 3), np.uint8))
    >>> cloud["width"], cloud["point_step"], [field["name"] for field in cloud["fields"]]
    (5, 16, ['x', 'y', 'z', 'rgb'])
    """
    columns: dict[str, Any] = {axis: points[:, i] for i, axis in enumerate("xyz")}
    if colors is not None:
        red, green, blue = colors.astype(np.uint32).T
        columns["rgb"] = (red << 16 | green << 8 | blue).view(np.float32)
    if intensity is not None:
        columns["intensity"] = intensity
    table = np.empty(len(points), [(name, "<f4") for name in columns])
    for name, values in columns.items():
        # A packed color is moved bit by bit: as a number it may be a NaN that a conversion would change.
        table[name].view("<u4")[:] = np.asarray(values, "<f4").view("<u4")
    fields = [
        {"name": name, "offset": 4 * i, "datatype": _FLOAT32, "count": 1} for i, name in enumerate(columns)
    ]
    step = table.dtype.itemsize
    return {
        "header": header(stamp, frame_id),
        "height": 1,
        "width": len(points),
        "fields": fields,
        "is_bigendian": False,
        "point_step": step,
        "row_step": step * len(points),
        "data": np.frombuffer(table.tobytes(), np.uint8),
        "is_dense": bool(np.isfinite(points).all()),
    }


def image(pixels: NDArray, *, stamp: int = 0, frame_id: str = "camera") -> dict[str, Any]:
    """``sensor_msgs/Image`` as plain dicts.

    Args:
        pixels: (H, W, 3) uint8 RGB, (H, W) uint8 gray, or depth (H, W): float32 meters, or uint16 millimeters.
        stamp: nanoseconds.
        frame_id: tf frame, with the camera's optical axes.

    Raises:
        InputError: another shape or type.
    """
    kind = (str(pixels.dtype), pixels.shape[2] if pixels.ndim == 3 else 1)
    if pixels.ndim not in (2, 3) or kind not in _ENCODINGS:
        raise InputError(
            f"is {pixels.dtype} of shape {pixels.shape}",
            field="pixels",
            fix="give (H, W, 3) uint8, (H, W) uint8, or depth (H, W) float32 or uint16",
        )
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return {
        "header": header(stamp, frame_id),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": _ENCODINGS[kind],
        "is_bigendian": 0,
        "step": little.strides[0],
        "data": np.frombuffer(little.tobytes(), np.uint8),
    }


def compressed_image(data: bytes, format: str, *, stamp: int = 0, frame_id: str = "camera") -> dict[str, Any]:
    """``sensor_msgs/CompressedImage`` as plain dicts; ``data`` is a whole JPEG or PNG file, ``format`` says which."""
    return {"header": header(stamp, frame_id), "format": format, "data": np.frombuffer(data, np.uint8)}


def camera_info(camera: Camera, *, stamp: int = 0, frame_id: str = "camera") -> dict[str, Any]:
    """``sensor_msgs/CameraInfo`` as plain dicts, of an image that is not rectified.

    Args:
        camera: its intrinsics; the place belongs into tf.
        stamp: nanoseconds.
        frame_id: tf frame, with the camera's optical axes.
    """
    K = np.asarray(camera.K, np.float64)
    D = list(camera.distortion.coefficients) or [0.0] * 5
    return {
        "header": header(stamp, frame_id),
        "height": camera.height,
        "width": camera.width,
        "distortion_model": _DISTORTIONS[camera.distortion.model],
        "d": D + [0.0] * (5 - len(D)) if camera.distortion.model != "fisheye" else D,
        "k": K.flatten(),
        "r": np.eye(3).flatten(),
        "p": np.column_stack([K, np.zeros(3)]).flatten(),
    }


def transform(T_parent_child: NDArray[np.float64], parent: str, child: str, stamp: int = 0) -> dict[str, Any]:
    """``geometry_msgs/TransformStamped`` as plain dicts.

    Args:
        T_parent_child: (4, 4) rigid.
        parent, child: tf frames.
        stamp: nanoseconds.
    """
    turn = Rotation.from_matrix(T_parent_child[:3, :3]).as_quat()
    return {
        "header": header(stamp, parent),
        "child_frame_id": child,
        "transform": {
            "translation": dict(zip("xyz", T_parent_child[:3, 3].tolist(), strict=True)),
            "rotation": dict(zip("xyzw", turn.tolist(), strict=True)),
        },
    }


def matrix(stamped: Any, where: str = "tf") -> NDArray[np.float64]:
    """(4, 4) ``T_parent_child`` of a ``geometry_msgs/TransformStamped``.

    Raises:
        BadFrameError: not a finite rotation and translation.
    """
    t, q = stamped.transform.translation, stamped.transform.rotation
    values = np.array([t.x, t.y, t.z, q.x, q.y, q.z, q.w], np.float64)
    if not np.isfinite(values).all() or np.linalg.norm(values[3:]) < 1e-6:
        raise BadFrameError(
            "is not a rotation and a translation",
            source=where,
            field=f"{stamped.header.frame_id} > {stamped.child_frame_id}",
            fix="leave these frames out",
        )
    return rigid(Rotation.from_quat(values[3:]).as_matrix(), values[:3])


def stamp_of(message: Any) -> int:
    """Nanoseconds of a message's header."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
