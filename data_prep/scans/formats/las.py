"""Points of a LAS or LAZ file (ASPRS, versions 1.0 to 1.4) whose header is not taken at its word."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.images import unreadable
from data_prep.scans.formats.las_units import meters_per_unit
from data_prep.scans.formats.ply import require_size
from data_prep.scans.formats.records import RawCloud, scale_colors, unit_intensity

_VARIABLE_CHUNKS = 0xFFFFFFFF
_RECORD_HEADER = 54  # bytes before the content of a variable length record


def read_las(path: Path) -> RawCloud:
    """Read points in meters with their colors and intensity.

    Points that their producer flagged as withheld, that is deleted, are left out. Colors are 16 bits by the
    standard; a file with none above 255 was written with 8 bits and is taken so. Colors or intensities that are
    zero throughout were never measured: None. Units come from the file's coordinate system; without one, meters.

    Raises:
        InputError: laspy is not installed.
        BadFrameError: not a LAS, cut short, coordinates in degrees, or no point.
    """
    laspy, errors = _laspy()
    try:
        size = path.stat().st_size
        _require_records(path, size)
        with laspy.open(path, read_evlrs=False) as reader:
            header = reader.header
            count = header.point_count
            if count == 0:
                raise BadFrameError("holds no points", source=path, field="points", fix="give at least one")
            if header.are_points_compressed:
                _require_chunks(path, header, size)
            else:
                more = bool(header.number_of_evlrs or header.start_of_waveform_data_packet_record)
                room = size - header.offset_to_point_data
                require_size(path, room, count, header.point_format.size, at_least=more)
            las = reader.read()
        if len(las.points) != count:
            raise _cut_short(path, f"promises {count} points, the file holds {len(las.points)}")
        scale = meters_per_unit(header.vlrs, path)
        points = np.stack([las.x, las.y, las.z], axis=1) * scale
        colors = intensity = kept = None
        names = set(header.point_format.dimension_names)
        if names.issuperset(("red", "green", "blue")):
            colors = _colors(np.stack([las.red, las.green, las.blue], axis=1))
        if (strength := np.asarray(las.intensity)).any():
            intensity = unit_intensity(strength, path)
        if "withheld" in names and (withheld := np.asarray(las.withheld).astype(bool)).any():
            kept = ~withheld
    except InputError:
        raise
    except errors as error:
        raise unreadable(path, "points", error) from error
    if kept is None:
        return RawCloud(points, colors, intensity)
    if not kept.any():
        raise BadFrameError(
            "withholds every point",
            source=path,
            field="withheld",
            fix="clear the flag of the points you want",
        )
    return RawCloud(
        points[kept],
        None if colors is None else colors[kept],
        None if intensity is None else intensity[kept],
    )


def _colors(values: NDArray[np.uint16]) -> NDArray[np.uint8] | None:
    if not values.any():
        return None
    return values.astype(np.uint8) if values.max() <= 255 else scale_colors(values)


def _require_records(path: Path, size: int) -> None:
    """Refuse a header whose variable length records cannot lie before its points: laspy would read them all."""
    with path.open("rb") as file:
        header = file.read(104)
    if len(header) < 104 or not header.startswith(b"LASF"):
        raise _cut_short(path, "does not begin like a LAS file")
    header_size, points, records = struct.unpack_from("<HII", header, 94)
    if not header_size <= points <= size or records * _RECORD_HEADER > points - header_size:
        raise _cut_short(path, f"promises {records} records before byte {points} of {size}")


def _require_chunks(path: Path, header: Any, size: int) -> None:
    """Refuse a LAZ whose table of chunks cannot be its own: the decompressor takes it at its word and allocates.

    The first 8 bytes of the points say where the table is, or are -1 and the last 8 bytes of the file do
    (LAZ specification 1.4).
    """
    start = header.offset_to_point_data
    with path.open("rb") as file:
        file.seek(start)
        (table,) = struct.unpack("<q", file.read(8))
        if table == -1:
            file.seek(size - 8)
            (table,) = struct.unpack("<q", file.read(8))
        if not start + 8 <= table <= size - 8:
            raise _cut_short(path, f"puts the table of its chunks at byte {table} of {size}")
        file.seek(table)
        _, chunks = struct.unpack("<II", file.read(8))
    (description,) = header.vlrs.get("LasZipVlr") or [None]
    if description is None:
        raise _cut_short(path, "does not say how it is compressed")
    (per_chunk,) = struct.unpack_from("<I", description.record_data_bytes(), 12)
    fits = chunks <= table - start
    if fits and per_chunk != _VARIABLE_CHUNKS:
        fits = per_chunk > 0 and chunks == -(-header.point_count // per_chunk)
    if not fits:
        raise _cut_short(path, f"promises {header.point_count} points in {chunks} chunks of {per_chunk}")


def _cut_short(path: Path, problem: str) -> BadFrameError:
    return BadFrameError(
        problem, source=path, field="header", fix="copy the file again, it is cut short or damaged"
    )


def _laspy() -> tuple[Any, tuple[type[Exception], ...]]:
    """laspy, and what it raises for files that are damaged."""
    try:
        import laspy
        import lazrs
    except ImportError as error:
        raise InputError(
            "needs laspy, which is not installed", field=".las .laz", fix="pip install 'clip2[lidar]'"
        ) from error
    return laspy, (
        OSError, laspy.errors.LaspyException, lazrs.LazrsError, ValueError, EOFError, IndexError, KeyError,
        OverflowError, MemoryError, NotImplementedError, struct.error, TypeError
    )  # fmt: skip
