"""Decoding of sensor_msgs/PointCloud2 with any field order, type, offset, byte order and row padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.records import scale_colors, unit_intensity

# PointField.datatype → numpy, without byte order.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_INTENSITY = ("intensity", "intensities", "reflectivity", "i")
_COLOR = ("rgb", "rgba")


def read_pointcloud2(
    message: Any, where: str, intensity_max: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None, NDArray[np.float32] | None]:
    """Points, colors and intensity of a PointCloud2.

    Points that are not finite are dropped, and so are points at exactly (0, 0, 0): that is how drivers write
    "no return" where they have no NaN.

    Args:
        message: the decoded message.
        where: bag and topic, named in errors.
        intensity_max: the value that counts as 1; larger ones are cut. None = 1, 255 or 65535, the smallest that
            holds the message's values.

    Returns:
        points (N, 3) float64 meters in the message's frame; colors (N, 3) uint8 from packed ``rgb``/``rgba`` or from
        ``r g b``, or None; intensity (N,) float32 in 0..1 from ``intensity`` or ``reflectivity``, or None.

    Raises:
        BadFrameError: no x, y, z, an impossible layout, too few bytes, not one measured point, or values that are
            no intensity.
    """
    table = _table(message, where)
    names = table.dtype.names or ()
    points = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
    measured = np.isfinite(points).all(axis=1) & (points != 0).any(axis=1)
    if not measured.any():
        raise BadFrameError(
            f"holds no measured point among {len(points)}", source=where, field="points", fix="leave it out"
        )
    table = table[measured]
    colors = intensity = None
    if packed := [name for name in _COLOR if name in names]:
        bits = np.ascontiguousarray(table[packed[0]]).view(np.uint32)
        colors = np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)
    elif {"r", "g", "b"} <= set(names):
        colors = scale_colors(np.stack([table[name] for name in "rgb"], axis=1))
    if found := [name for name in _INTENSITY if name in names]:
        values = table[found[0]].astype(np.float64)
        if intensity_max is not None:
            intensity = (np.nan_to_num(values, posinf=np.inf) / intensity_max).clip(0, 1).astype(np.float32)
        else:
            fix = "state the value that counts as 1: intensity_max (clip2: --option intensity_max=1000)"
            intensity = unit_intensity(values, where, found[0], fix)
    return points[measured], colors, intensity


def _table(message: Any, where: str) -> NDArray:
    """(N,) records in native byte order with the fields that mean something to us, copied out of the message."""
    width, height, step, row = message.width, message.height, message.point_step, message.row_step
    order = ">" if message.is_bigendian else "<"
    fields = {field.name: field for field in message.fields}
    if missing := [axis for axis in "xyz" if axis not in fields]:
        raise BadFrameError(
            f"has fields {', '.join(fields) or 'none'}",
            source=where,
            field=missing[0],
            fix="record x, y and z",
        )
    kept = {name: fields[name] for name in (*"xyz", *_COLOR, *"rgb", *_INTENSITY) if name in fields}
    for name, field in kept.items():
        size = int(_TYPES.get(field.datatype, "x0")[1:])
        if size == 0 or field.offset + size > step:
            raise BadFrameError(
                f"is of type {field.datatype} at byte {field.offset} of {step}", source=where, field=name,
                fix="leave it out; the driver writes broken messages",
            )  # fmt: skip
        if name in _COLOR and size != 4:
            raise BadFrameError(
                f"takes {size} bytes", source=where, field=name, fix="pack colors into four bytes"
            )
    if height == 1:
        row = max(row, width * step)  # some drivers leave row_step at 0 for unorganized clouds
    needed = (height - 1) * row + width * step if width * height else 0
    if needed == 0 or row < width * step or len(message.data) < needed:
        raise BadFrameError(
            f"holds {len(message.data)} bytes for {width}x{height} points of {step} bytes in rows of {row}",
            source=where,
            field="points",
            fix="leave it out",
        )
    dtype = np.dtype(
        {
            "names": list(kept),
            "formats": [order + _TYPES[field.datatype] for field in kept.values()],
            "offsets": [field.offset for field in kept.values()],
            "itemsize": step,
        }
    )
    raw = np.ndarray((height, width), dtype, np.ascontiguousarray(message.data), strides=(row, step)).reshape(
        -1
    )
    # A packed color is four bytes, whatever its type: as a float it may be NaN, and values must not be converted.
    bare = [(name, _TYPES[field.datatype]) for name, field in kept.items()]
    table = np.empty(len(raw), bare)
    for name, _ in bare:
        table[name] = raw[name]
    return table
