"""Frames and clouds from request bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.server.limits import Limits
from data_prep.errors import InputError
from data_prep.geometry import Camera
from data_prep.scans import Frame
from data_prep.scans.cloud import cloud_frame
from data_prep.scans.formats.content import read_content
from data_prep.scans.formats.images import read_depth, read_image
from data_prep.scans.formats.records import TooManyPointsError
from data_prep.storage.parsing import parse_json

_RGBD = ("color", "depth", "intrinsics", "depth_scale")


@dataclass(frozen=True)
class CloudForm:
    """How the bytes of a cloud are to be read.

    Attributes:
        columns: float32 values per point of a body without a header.
        up: axis of the cloud that points up.
        scale: meters per unit.
        pose: 16 numbers, (4, 4) row by row: from the points, z-up and in meters, or the camera, to the world.
        timestamp: seconds.
    """

    columns: int | None = None
    up: str = "z"
    scale: float = 1.0
    pose: str | None = None
    timestamp: float | None = None


@dataclass(frozen=True)
class Part:
    """One part of a body: the whole of it, or a field of a multipart form.

    Attributes:
        name: of the field; ``body`` if the body is one part.
        content: bytes.
        filename: as the client calls it, only to be shown.
    """

    name: str
    content: bytes
    filename: str = ""


def read_frame(parts: list[Part], form: CloudForm, limits: Limits) -> Frame:
    """The frame of a request: a cloud, or an RGB-D image with its intrinsics.

    Args:
        parts: the body, or the fields ``color``, ``depth``, ``intrinsics``, ``depth_scale`` and perhaps ``pose``.
        form: of a cloud.
        limits: points and pixels.

    Raises:
        InputError: one line about what is wrong with it.
    """
    fields = {part.name: part.content for part in parts}
    pose = None if form.pose is None else _numbers(form.pose.encode(), "pose", (4, 4))
    if "depth" in fields or "color" in fields:
        frame = _rgbd_frame(fields, limits)
        pose = frame.T_world_points if pose is None else pose
    else:
        frame = read_frames(parts, form, limits, most=1)[0]
        pose = frame.T_world_points if pose is None else pose @ frame.T_world_points
    return replace(frame, T_world_points=pose, timestamp=form.timestamp)


def read_frames(parts: list[Part], form: CloudForm, limits: Limits, most: int | None = None) -> list[Frame]:
    """One frame per part.

    Raises:
        InputError: a part that is no cloud, or too many of them.
    """
    most = limits.max_objects if most is None else most
    if not 1 <= len(parts) <= most:
        raise InputError(f"holds {len(parts)} clouds", source="body", fix=f"send 1 to {most}")
    frames, left = [], limits.max_points
    for number, part in enumerate(parts):
        name = part.filename or (part.name if len(parts) == 1 else f"{part.name} {number}")
        cloud = read_content(part.content, name, form.columns, max(left, 1))
        left -= len(cloud.points)
        if left < 0:
            raise TooManyPointsError(
                f"holds more than {limits.max_points:,} points", source="body", fix="send fewer clouds"
            )
        frames.append(cloud_frame(f"scan{number or ''}", cloud, Path(name), form.up, form.scale))
    return frames


def _rgbd_frame(fields: dict[str, bytes], limits: Limits) -> Frame:
    if missing := [name for name in _RGBD if name not in fields]:
        raise InputError(
            "is missing",
            source="body",
            field=missing[0],
            fix="send color (image file), depth (16-bit PNG), intrinsics (fx,fy,cx,cy), depth_scale (units per meter)",
        )
    image = read_image(Path("color"), fields["color"], limits.max_points)
    raw = read_depth(Path("depth"), fields["depth"], limits.max_points)
    fx, fy, cx, cy = _numbers(fields["intrinsics"], "intrinsics", (4,))
    (units,) = _numbers(fields["depth_scale"], "depth_scale", (1,))
    if not units > 0:
        raise InputError(
            f"is {units}",
            source="body",
            field="depth_scale",
            fix="give units per meter, 1000 for millimeters",
        )
    pose = _numbers(fields["pose"], "pose", (4, 4)) if "pose" in fields else None
    height, width = raw.shape
    camera = Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), width, height)
    return Frame.from_depth("scan", camera, image, (raw / units).astype(np.float32), pose)


def _numbers(content: bytes, field: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers as JSON or separated by commas."""
    try:
        text = content.decode("ascii").strip()
        values = parse_json(text) if text.startswith("[") else text.replace(",", " ").split()
        array: NDArray[np.float64] = np.asarray(values, np.float64)
        array = array.reshape(shape)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"is not {' x '.join(map(str, shape))} numbers", source="body", field=field, fix="send 1,2,3,4"
        ) from error
    if not np.isfinite(array).all():
        raise InputError("holds NaN or inf", source="body", field=field)
    return array


def read_json(content: bytes, limits: Limits) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: too long, not JSON, or not an object.
    """
    if len(content) > limits.max_json_bytes:
        raise InputError(
            f"has {len(content):,} bytes of JSON, at most {limits.max_json_bytes:,} are accepted",
            source="body",
        )
    try:
        document = parse_json(content)
    except ValueError as error:
        raise InputError(f"is not JSON ({type(error).__name__})", source="body") from error
    if not isinstance(document, dict):
        raise InputError("is not a JSON object", source="body")
    return document
