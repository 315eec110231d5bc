"""Matlab 5 reader: one array of numbers by name.

Ours on purpose: scipy's crashes the process on damaged files. Format: MathWorks, "MAT-File Format", Level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import read_file

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED, _COMPLEX = 14, 15, 0x800
_LARGEST = 1 << 30  # bytes of one array when unpacked: 170 times a 640 x 480 image of points with colors


def read_mat_array(path: Path, name: str) -> NDArray:
    """The array ``name`` of a file that Matlab or scipy saved, in any version but 7.3 (which is HDF5).

    Raises:
        BadFrameError: cannot be opened, damaged, cut short, without that array, or it holds no real numbers.
    """
    try:
        content = read_file(path)
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128], "")
        if not order or content[124:126] not in (b"\x00\x01", b"\x01\x00"):
            raise ValueError("is no Matlab 5 file")
        for kind, data in _elements(content[128:], order):
            if kind == _COMPRESSED:
                kind, data = next(_elements(_inflate(data), order), (0, b""))
            if kind == _MATRIX and (found := _array(data, order, name)) is not None:
                return found
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise unreadable(path, name, error) from error
    raise BadFrameError("is missing", source=path, field=name, fix="save it under that name")


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Types and data of the elements that follow each other."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:  # up to four bytes lie in the tag itself
            kind, size, start, step = kind & 0xFFFF, kind >> 16, place + 4, 8
        else:
            start = place + 8
            step = 8 + size if kind == _COMPRESSED else 8 + -(-size // 8) * 8
        if start + size > len(content):
            raise ValueError(f"promises {size:,} bytes, {len(content) - start:,} are there")
        yield kind, content[start : start + size]
        place += step


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, _LARGEST)
    if not stream.eof:
        raise ValueError("is cut short, or unpacks to more than a gigabyte")
    return content


def _array(data: bytes, order: str, name: str) -> NDArray | None:
    """The array of a matrix element, or None if its name is another."""
    parts = list(_elements(data, order))
    if len(parts) < 3 or parts[2][1].rstrip(b"\0").decode("latin-1") != name:
        return None
    flags, *_ = struct.unpack_from(f"{order}I", parts[0][1])
    shape = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if flags & 0xFF not in _CLASSES or flags & _COMPLEX or len(parts) != 4 or parts[3][0] not in _STORED:
        raise ValueError("is no array of real numbers")
    stored = np.dtype(order + _STORED[parts[3][0]])
    if min(shape, default=-1) < 0 or math.prod(shape) * stored.itemsize != len(parts[3][1]):
        raise ValueError(f"has the shape {shape} and {len(parts[3][1]):,} bytes of {stored}")
    return np.frombuffer(parts[3][1], stored).reshape(shape, order="F").astype(_CLASSES[flags & 0xFF])
