"""E57 reader (ASTM E2807): one or more scans, each with a pose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import transform_points
from data_prep.geometry.transforms import quaternion_pose
from data_prep.scans.formats.records import RawCloud, unit_intensity
from data_prep.scans.formats.text import unreadable
from data_prep.storage.extras import require_extra

_CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
_SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
_COLORS = ("colorRed", "colorGreen", "colorBlue")
_INVALID = ("cartesianInvalidState", "sphericalInvalidState")


def read_e57(path: Path, scan: int | None = None) -> RawCloud:
    """Read points in the file's common frame, with their colors and intensity.

    Points marked invalid are left out. Intensity is scaled by the limits that the scan states, colors to 8 bits.
    Several scans become one cloud; colors and intensity stay only if all of them have them.

    Args:
        path: the file.
        scan: number of one scan, from 0; None = all.

    Raises:
        InputError: pye57 is not installed.
        BadFrameError: not an E57, cut short (it has checksums), no such scan, no point, a pose that is no rotation.
    """
    pye57, errors = _pye57()
    if not path.is_file():
        raise unreadable(path, "points", FileNotFoundError(path))
    try:
        with pye57.E57(str(path)) as file:
            if scan is not None and not 0 <= scan < file.scan_count:
                there = "one scan: give 0" if file.scan_count == 1 else f"scans 0 to {file.scan_count - 1}"
                raise BadFrameError(
                    f"{scan} is not there", source=path, field="scan", fix=f"the file has {there}"
                )
            numbers = range(file.scan_count) if scan is None else [scan]
            clouds = [_read_scan(file, number, path, pye57.libe57) for number in numbers]
    except InputError:
        raise
    except errors as error:
        raise unreadable(path, "points", error) from error
    clouds = [cloud for cloud in clouds if len(cloud.points)]
    if not clouds:
        raise BadFrameError("holds no valid point", source=path, field="points", fix="give at least one")
    return RawCloud(
        np.concatenate([cloud.points for cloud in clouds]),
        _joined([cloud.colors for cloud in clouds]),
        _joined([cloud.intensity for cloud in clouds]),
    )


def _read_scan(file: Any, number: int, path: Path, libe57: Any) -> RawCloud:
    header = file.get_header(number)
    field = f"scan {number}"
    present = set(header.point_fields)
    axes = _CARTESIAN if present.issuperset(_CARTESIAN) else _SPHERICAL
    if not present.issuperset(axes):
        raise BadFrameError(
            "has no cartesianX Y Z and no spherical ones", source=path, field=field, fix="export points"
        )
    names = [*axes, *(name for name in ("intensity", *_COLORS, *_INVALID) if name in present)]
    count = header.point_count
    if count == 0:
        return RawCloud(np.zeros((0, 3)))
    columns = {name: np.empty(count, np.uint16 if name in _COLORS else np.float64) for name in names}
    buffers = libe57.VectorSourceDestBuffer()
    for name, column in columns.items():
        buffers.append(libe57.SourceDestBuffer(file.image_file, name, column, count, True, True))
    reader = header.points.reader(buffers)
    got = reader.read()
    reader.close()
    if got != count:
        raise BadFrameError(
            f"promises {count} points, the file holds {got}",
            source=path,
            field=field,
            fix="copy the file again, it is cut short",
        )
    points = np.stack([columns[name] for name in axes], axis=1)
    if axes is _SPHERICAL:
        points = _cartesian(points)
    points = transform_points(_pose(header.node, path, field), points)
    colors = intensity = None
    if present.issuperset(_COLORS):
        colors = _colors(np.stack([columns[name] for name in _COLORS], axis=1), header.node)
    if "intensity" in columns:
        intensity = _intensity(columns["intensity"], header.node, path)
    valid = np.ones(count, bool)
    for name in _INVALID:
        valid &= columns[name] == 0 if name in columns else True
    return RawCloud(points, colors, intensity)[valid]


def _pose(node: Any, path: Path, field: str) -> NDArray[np.float64]:
    if not node.isDefined("pose"):
        return np.eye(4)
    pose = node["pose"]
    rotation = (
        [pose["rotation"][name].value() for name in "wxyz"] if pose.isDefined("rotation") else [1, 0, 0, 0]
    )
    shift = (
        [pose["translation"][name].value() for name in "xyz"] if pose.isDefined("translation") else [0, 0, 0]
    )
    return quaternion_pose(rotation, shift, source=path, field=f"{field}: pose")


def _cartesian(spherical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Range, azimuth counter-clockwise from x, elevation above the xy plane, radians."""
    distance, azimuth, elevation = spherical.T
    level = distance * np.cos(elevation)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), distance * np.sin(elevation)], axis=1)


def _colors(values: NDArray[np.uint16], node: Any) -> NDArray[np.uint8]:
    limits = _limits(node, "color", "Red")
    top = limits[1] if limits else (255 if values.max() <= 255 else 65535)
    return np.rint(values * (255 / top if top > 255 else 1.0)).clip(0, 255).astype(np.uint8)


def _intensity(values: NDArray[np.float64], node: Any, path: Path) -> NDArray[np.float32]:
    limits = _limits(node, "intensity", "")
    if limits is None or limits[1] <= limits[0]:
        return unit_intensity(values, path)
    low, high = limits
    return ((values - low) / (high - low)).clip(0, 1).astype(np.float32)


def _limits(node: Any, kind: str, channel: str) -> tuple[float, float] | None:
    """``intensityLimits`` or ``colorLimits`` of a scan; None where it states none."""
    if not node.isDefined(f"{kind}Limits"):
        return None
    limits = node[f"{kind}Limits"]
    ends = [f"{kind}{channel}{end}" for end in ("Minimum", "Maximum")]
    if not all(limits.isDefined(end) for end in ends):
        return None
    low, high = (limits[end] for end in ends)
    return tuple(float(n.scaledValue() if hasattr(n, "scaledValue") else n.value()) for n in (low, high))  # type: ignore[return-value]


def _joined(parts: list[Any]) -> Any:
    return None if any(part is None for part in parts) else np.concatenate(parts)


def _pye57() -> tuple[Any, tuple[type[Exception], ...]]:
    """pye57, and the exceptions it raises for damaged files."""
    pye57 = require_extra("pye57", "lidar", needed_for=".e57")
    return pye57, (
        OSError,
        pye57.libe57.E57Exception,
        MemoryError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
    )
