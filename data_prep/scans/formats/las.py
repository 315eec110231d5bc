"""LAS and LAZ reader (ASPRS, versions 1.0 to 1.4); headers are checked against the file before laspy reads it."""

from __future__ import annotations

import re
import signal
import struct
import subprocess  # nosec B404
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.ply import require_size
from data_prep.scans.formats.records import RawCloud, scale_colors, spread, unit_intensity
from data_prep.scans.formats.text import unreadable
from data_prep.storage.extras import require_extra
from data_prep.storage.reading import open_file

_DECOMPRESS = """
import sys, laspy
source, target, piece = sys.argv[1:]
with laspy.open(source, read_evlrs=False) as reader:
    with laspy.open(target, "w", header=reader.header, do_compress=False) as writer:
        for points in reader.chunk_iterator(int(piece)):
            writer.write_points(points)
"""
_VARIABLE_CHUNKS = 0xFFFFFFFF
_PIECE = 1_000_000  # points in memory at a time, where only some are wanted
_RECORD_HEADER = 54  # bytes before the content of a variable length record
# GeoTIFF keys and their EPSG codes (OGC 19-008r4).
_MODEL_TYPE, _HORIZONTAL_UNITS, _VERTICAL_UNITS = 1024, 3076, 4099
_GEOGRAPHIC = 2
_METERS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}
# A unit in WKT 1 and 2; ANGLEUNIT and SCALEUNIT do not match.
_UNIT = re.compile(r'\b(?:LENGTHUNIT|UNIT)\s*\[\s*"([^"]*)"\s*,\s*([0-9.eE+-]+)', re.IGNORECASE)
_ANGLES = ("degree", "radian", "grad", "gon")


def read_las(path: Path, most: int | None = None) -> RawCloud:
    """Read points in meters with their colors and intensity.

    Points that their producer flagged as withheld, that is deleted, are left out. Colors are 16 bits by the
    standard; a file with none above 255 was written with 8 bits and is taken so. Colors or intensities that are
    zero throughout were never measured: None. Units come from the file's coordinate system; without one, meters.

    Args:
        path: the file.
        most: keep so many, spread over the file, which is then read piece by piece; None: all.

    Raises:
        InputError: laspy is not installed.
        BadFrameError: not a LAS, cut short, coordinates in degrees, or no point.
    """
    laspy, errors = _laspy()
    try:
        size = path.stat().st_size
        compressed = _require_records(path, size)
        with open_file(path) as file:
            header = laspy.LasHeader.read_from(file)
        count = header.point_count
        if count == 0:
            raise BadFrameError("holds no points", source=path, field="points", fix="give at least one")
        with TemporaryDirectory(prefix="clip2-laz-") if compressed else nullcontext() as folder:
            plain = path
            if compressed:
                _require_chunks(path, header, size)
                plain = Path(str(folder)) / "points.las"
                _decompress(path, plain)
            else:
                more = bool(header.number_of_evlrs or header.start_of_waveform_data_packet_record)
                room = size - header.offset_to_point_data
                require_size(path, room, count, header.point_format.size, at_least=more)
            with laspy.open(plain, read_evlrs=False) as reader:
                pieces = _pieces(reader, path, count, most)

        def column(name: str) -> NDArray:
            return np.concatenate([np.asarray(getattr(piece, name)) for piece in pieces])

        scale = meters_per_unit(header.vlrs, path)
        points = np.stack([column(name) for name in "xyz"], axis=1) * scale
        colors = intensity = kept = None
        names = set(header.point_format.dimension_names)
        if names.issuperset(("red", "green", "blue")):
            colors = _colors(np.stack([column(name) for name in ("red", "green", "blue")], axis=1))
        if (strength := column("intensity")).any():
            intensity = unit_intensity(strength, path)
        if "withheld" in names and (withheld := column("withheld").astype(bool)).any():
            kept = ~withheld
    except InputError:
        raise
    except errors as error:
        raise unreadable(path, "points", error) from error
    cloud = RawCloud(points, colors, intensity, None if len(points) == count else count)
    if kept is None:
        return cloud
    if not kept.any():
        raise BadFrameError(
            "withholds every point",
            source=path,
            field="withheld",
            fix="clear the flag of the points you want",
        )
    return cloud[kept]


def _pieces(reader: Any, path: Path, count: int, most: int | None) -> list[Any]:
    """Point records of the file, or the chosen ones of each piece of it."""
    if most is None or count <= most:
        pieces = [reader.read().points]
        found = len(pieces[0])
    else:
        pieces, chosen, found = [], spread(count, most), 0
        for piece in reader.chunk_iterator(_PIECE):
            first, last = np.searchsorted(chosen, (found, found + len(piece)))
            pieces.append(piece[chosen[first:last] - found])
            found += len(piece)
    if found != count:
        raise _cut_short(path, f"promises {count} points, the file holds {found}")
    return pieces


def _colors(values: NDArray[np.uint16]) -> NDArray[np.uint8] | None:
    if not values.any():
        return None
    return values.astype(np.uint8) if values.max() <= 255 else scale_colors(values)


def _decompress(path: Path, plain: Path) -> None:
    """Write the points of a LAZ as a LAS, in a process of its own: damaged bytes can crash the decompressor."""
    ended = subprocess.run(  # our own code, no shell  # nosec B603
        [sys.executable, "-c", _DECOMPRESS, path.absolute(), plain, str(_PIECE)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    if ended.returncode < 0:
        raise OSError(f"its decompressor ended by {signal.Signals(-ended.returncode).name}")
    if ended.returncode:
        raise OSError(next(iter(reversed(ended.stderr.splitlines())), "its decompressor failed"))


def _require_records(path: Path, size: int) -> bool:
    """Refuse a header whose variable length records cannot lie before its points: laspy would read them all.

    Returns:
        Whether the points are compressed.
    """
    with open_file(path) as file:
        header = file.read(105)
    if len(header) < 105 or not header.startswith(b"LASF"):
        raise _cut_short(path, "does not begin like a LAS file")
    header_size, points, records = struct.unpack_from("<HII", header, 94)
    if not header_size <= points <= size or records * _RECORD_HEADER > points - header_size:
        raise _cut_short(path, f"promises {records} records before byte {points} of {size}")
    return bool(header[104] & 0x80)


def _require_chunks(path: Path, header: Any, size: int) -> None:
    """Refuse a LAZ with an impossible table of chunks: the decompressor allocates what it promises.

    The first 8 bytes of the points say where the table is, or are -1 and the last 8 bytes of the file do
    (LAZ specification 1.4).
    """
    start = header.offset_to_point_data
    with open_file(path) as file:
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
    """laspy, and the exceptions it raises for damaged files."""
    laspy, lazrs = (require_extra(name, "lidar", needed_for=".las .laz") for name in ("laspy", "lazrs"))
    return laspy, (
        OSError, laspy.errors.LaspyException, lazrs.LazrsError, ValueError, EOFError, IndexError, KeyError,
        OverflowError, MemoryError, NotImplementedError, struct.error, TypeError
    )  # fmt: skip


def meters_per_unit(vlrs: Iterable[Any], path: Path) -> NDArray[np.float64]:
    """(3,) factors that turn x, y, z into meters; ones where the file states no coordinate system.

    Args:
        vlrs: the variable length records of the header.
        path: named in errors.

    Raises:
        BadFrameError: coordinates are degrees, or the unit is none that is known here.
    """
    for record in vlrs:
        if record.user_id.strip("\0") != "LASF_Projection":
            continue
        if record.record_id == 2112:
            return _from_wkt(record.string, path)
        if record.record_id == 34735:
            return _from_keys({key.id: key.value_offset for key in record.geo_keys}, path)
    return np.ones(3)


def _from_wkt(text: str, path: Path) -> NDArray[np.float64]:
    horizontal, _, vertical = re.sub("VERT(?=_CS|CRS)", "\0", text, flags=re.IGNORECASE).partition("\0")
    if "PROJC" not in horizontal.upper() and re.search("GEOGC|GEODCRS|GEOGRAPHIC", horizontal, re.IGNORECASE):
        raise _degrees(path)
    across = _last_length(horizontal) or 1.0
    return np.array([across, across, _last_length(vertical) or across])


def _last_length(text: str) -> float | None:
    """The last unit of length: those before it belong to parts of the coordinate system."""
    lengths = [
        float(size) for name, size in _UNIT.findall(text) if not any(a in name.lower() for a in _ANGLES)
    ]
    return lengths[-1] if lengths else None


def _from_keys(keys: dict[int, int], path: Path) -> NDArray[np.float64]:
    if keys.get(_MODEL_TYPE) == _GEOGRAPHIC:
        raise _degrees(path)
    across = keys.get(_HORIZONTAL_UNITS, 9001)
    up = keys.get(_VERTICAL_UNITS, across)
    for code in (across, up):
        if code not in _METERS:
            raise BadFrameError(
                f"has the unit {code}", source=path, field="GeoKeyDirectory", fix="convert the file to meters"
            )
    return np.array([_METERS[across], _METERS[across], _METERS[up]])


def _degrees(path: Path) -> BadFrameError:
    return BadFrameError(
        "is geographic: x and y are degrees",
        source=path,
        field="coordinate system",
        fix="project the file to meters, for example UTM",
    )
