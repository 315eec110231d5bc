"""PCD reader (PCL's format, version 0.7).

Ours on purpose: Open3D and others fill what a wrong header promises with zeros or crash; this reader checks every
promise against the file.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from data_prep.errors import BadFrameError
from data_prep.scans.formats.ply import require_size, text_table
from data_prep.scans.formats.records import RawCloud, cloud_from_fields, require_at_most
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import read_file

_KINDS = {"F": "f", "I": "i", "U": "u"}
_LONGEST_HEADER = 1 << 16


def read_pcd(path: Path, content: bytes | None = None, max_points: int | None = None) -> RawCloud:
    """Read points with their colors and intensity; ASCII, binary and compressed.

    Args:
        path: the file.
        content: its bytes if they are already in memory; ``path`` then only names them in errors.
        max_points: refuse more; None: any number.

    Raises:
        BadFrameError: not a PCD, a header that promises more or other than the file holds, no x y z, no point.
    """
    try:
        content = read_file(path) if content is None else content
    except OSError as error:
        raise unreadable(path, "points", error) from error
    header, body = _read_header(path, content)
    dtype = _record(path, header)
    count = _count(path, header)
    require_at_most(path, count, dtype.itemsize, max_points)
    size = len(content) - body
    match header["DATA"]:
        case ["ascii"]:
            table = text_table(path, content[body:], dtype, 0, count)
        case ["binary"]:
            require_size(path, size, count, dtype.itemsize)
            table = np.frombuffer(content, dtype, count, body)
        case ["binary_compressed"]:
            packed, unpacked = struct.unpack_from("<II", content, body) if size >= 8 else (0, 0)
            require_size(path, unpacked, count, dtype.itemsize)
            if packed > size - 8:
                raise _lie(path, "DATA", f"promises {packed} compressed bytes, the file holds {size - 8}")
            columns = _decompress(content[body + 8 : body + 8 + packed], unpacked, path)
            table = np.zeros(count, dtype)
            start = 0
            for name in dtype.names or ():  # compressed data lies column by column
                table[name] = np.frombuffer(columns, dtype[name], count, start)
                start += count * dtype[name].itemsize
        case other:
            raise _lie(path, "DATA", f"is {' '.join(other)!r}")
    return cloud_from_fields(table, path)


def _read_header(path: Path, content: bytes) -> tuple[dict[str, list[str]], int]:
    header: dict[str, list[str]] = {}
    position = 0
    while "DATA" not in header:
        end = content.find(b"\n", position, _LONGEST_HEADER)
        if end < 0:
            raise _lie(path, "DATA", "is missing")
        words = content[position:end].decode("ascii", errors="replace").split()
        if words and not words[0].startswith("#"):
            header[words[0].upper()] = words[1:]
        position = end + 1
    return header, position


def _record(path: Path, header: dict[str, list[str]]) -> np.dtype:
    names = header.get("FIELDS", header.get("COLUMNS", []))
    sizes, kinds = header.get("SIZE", []), header.get("TYPE", [])
    counts = header.get("COUNT", ["1"] * len(names))
    if not names or not len(names) == len(sizes) == len(kinds) == len(counts):
        raise _lie(path, "FIELDS, SIZE, TYPE, COUNT", "differ in length")
    # "_" marks padding and may repeat, so fields that we do not ask for get names of their own.
    unique = [name if names.count(name) == 1 else f"{name}{i}" for i, name in enumerate(names)]
    try:
        return np.dtype(
            [
                (name, f"<{_KINDS[kind]}{int(size)}", (int(repeat),)) if repeat != "1"
                else (name, f"<{_KINDS[kind]}{int(size)}")
                for name, size, kind, repeat in zip(unique, sizes, kinds, counts, strict=True)
            ]
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise _lie(path, "SIZE, TYPE", f"names no number type ({error})") from error


def _count(path: Path, header: dict[str, list[str]]) -> int:
    numbers = {}
    for key in ("WIDTH", "HEIGHT", "POINTS"):
        match header.get(key):
            case [text] if text.isdecimal() and len(text) < 19:
                numbers[key] = int(text)
            case None if key == "POINTS":
                numbers[key] = numbers["WIDTH"] * numbers["HEIGHT"]
            case other:
                raise _lie(path, key, f"is {other}")
    if numbers["POINTS"] != numbers["WIDTH"] * numbers["HEIGHT"]:
        raise _lie(
            path, "POINTS", f"is {numbers['POINTS']}, WIDTH x HEIGHT {numbers['WIDTH'] * numbers['HEIGHT']}"
        )
    return numbers["POINTS"]


def _decompress(packed: bytes, size: int, path: Path) -> bytes:
    """LZF as PCL writes it: runs of literals, and copies of what came before."""
    out = bytearray()
    i = 0
    try:
        while i < len(packed):
            control = packed[i]
            i += 1
            if control < 32:
                out += packed[i : i + control + 1]
                i += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[i]
                i += 1
            start = len(out) - ((control & 31) << 8) - packed[i] - 1
            i += 1
            if start < 0 or start >= len(out) or len(out) > size:
                raise IndexError
            copy = bytes(out[start : start + length + 2])
            while len(copy) < length + 2:  # a copy may overlap what it writes: the pattern repeats
                copy += copy
            out += copy[: length + 2]
    except IndexError as error:
        raise _lie(path, "DATA", "cannot be decompressed") from error
    if len(out) != size:
        raise _lie(path, "DATA", f"decompresses to {len(out)} bytes instead of {size}")
    return bytes(out)


def _lie(path: Path, field: str, problem: str) -> BadFrameError:
    return BadFrameError(
        problem, source=path, field=f"header: {field}", fix="write the file again as PCD 0.7"
    )
