"""PLY reader: vertices, ASCII or binary.

Ours on purpose: trimesh and Open3D fill what a wrong header promises with zeros or crash; this reader checks every
promise against the file.
"""

from __future__ import annotations

import mmap
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.records import RawCloud, cloud_from_fields, mapped, require_at_most, spread
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import read_file

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_BYTE_ORDER = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 16


@dataclass
class _Element:
    name: str
    count: int
    fields: list[tuple[str, str]]
    has_list: bool = False


def read_ply(
    path: Path, content: bytes | None = None, max_points: int | None = None, most: int | None = None
) -> RawCloud:
    """Read the vertices with their colors and intensity; faces are left aside.

    Args:
        path: the file.
        content: its bytes if they are already in memory; ``path`` then only names them in errors.
        max_points: refuse more; None: any number.
        most: keep so many, spread over the file, of which a binary one is then not held in memory; None: all.

    Raises:
        BadFrameError: not a PLY, a header that promises more or other than the file holds, no x y z, no vertex.
    """
    try:
        if content is not None:
            data: bytes | mmap.mmap = content
        else:
            data = read_file(path) if most is None else mapped(path)
    except OSError as error:
        raise unreadable(path, "points", error) from error
    order, elements, body = _read_header(path, data)
    position = [element.name for element in elements].index("vertex")
    before, vertex, after = elements[:position], elements[position], elements[position + 1 :]
    if vertex.has_list or any(element.has_list for element in before):
        raise BadFrameError(
            "holds a list before its end",
            source=path,
            field="element vertex",
            fix="write vertices first, without lists",
        )
    dtype = np.dtype([(name, order + kind) for name, kind in vertex.fields])
    require_at_most(path, vertex.count, dtype.itemsize, max_points)
    if order == "=":
        table = text_table(path, data[body:], dtype, sum(e.count for e in before), vertex.count)
        return cloud_from_fields(table, path).thinned(most)
    start = body + sum(e.count * np.dtype([(n, order + k) for n, k in e.fields]).itemsize for e in before)
    if not after:
        require_size(path, len(data) - start, vertex.count, dtype.itemsize)
    elif len(data) - start < vertex.count * dtype.itemsize + sum(e.count for e in after):
        require_size(path, len(data) - start, vertex.count, dtype.itemsize, at_least=True)
        raise BadFrameError(
            f"promises {after[0].count} of {after[0].name}, the file ends before",
            source=path,
            field=f"header: element {after[0].name}",
            fix="write the file again, it is cut short",
        )
    table = np.frombuffer(data, dtype, vertex.count, start)
    if most is None:
        return cloud_from_fields(table, path)
    return cloud_from_fields(table[spread(vertex.count, most)], path).thinned(most, vertex.count)


def text_table(path: Path, text: bytes, dtype: np.dtype, skip: int, count: int) -> NDArray:
    """``count`` rows of numbers after ``skip`` rows as a structured array.

    Raises:
        BadFrameError: fewer rows, more or fewer numbers in a row, or something that is not a number.
    """
    lines = [line for line in text.decode("ascii", errors="replace").splitlines() if line.strip()]
    lines = lines[skip : skip + count]
    if len(lines) < count:
        raise BadFrameError(
            f"promises {count} points, the file holds {len(lines)}",
            source=path,
            field="header: number of points",
            fix="write the file again, it is cut short",
        )
    if not lines:
        return np.zeros(0, dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns where a line holds no number
            values = np.loadtxt(lines, dtype=np.float64, ndmin=2, comments=None)
    except (ValueError, UserWarning) as error:
        raise BadFrameError(
            f"holds a row that is not numbers ({error})",
            source=path,
            field="points",
            fix="write the file again",
        ) from error
    width = sum(dtype[name].shape[0] if dtype[name].shape else 1 for name in dtype.names or ())
    if values.shape[1] != width:
        raise BadFrameError(
            f"promises {width} values per point, rows have {values.shape[1]}",
            source=path,
            field="header: properties",
            fix="name every column",
        )
    table = np.zeros(count, dtype)
    column = 0
    for name in dtype.names or ():
        shape = dtype[name].shape
        table[name] = values[:, column : column + shape[0]] if shape else values[:, column]
        column += shape[0] if shape else 1
    return table


def require_size(path: Path, size: int, count: int, record: int, at_least: bool = False) -> None:
    """Compare the header's promise with the size of the data.

    Raises:
        BadFrameError: ``size`` bytes do not hold ``count`` records, or hold one more.
    """
    if size < count * record or (not at_least and size >= (count + 1) * record):
        raise BadFrameError(
            f"promises {count} points of {record} bytes, the file holds {size // record}",
            source=path,
            field="header: number of points",
            fix="write the file again, it is cut short or its header is not its own",
        )


def _read_header(path: Path, content: bytes | mmap.mmap) -> tuple[str, list[_Element], int]:
    """Byte order, elements in file order, and where the data begins."""
    end = content.find(b"end_header", 0, _LONGEST_HEADER)
    newline = content.find(b"\n", end)
    if content[:3] != b"ply" or end < 0 or newline < 0:
        raise _lie(path, "is not a PLY header")
    order = None
    elements: list[_Element] = []
    for line in content[:end].decode("ascii", errors="replace").splitlines()[1:]:
        match line.split():
            case ["format", name, *_] if name in _BYTE_ORDER:
                order = _BYTE_ORDER[name]
            case ["element", name, count] if count.isdigit() and len(count) < 19:
                elements.append(_Element(name, int(count), []))
            case ["property", "list", *_] if elements:
                elements[-1].has_list = True
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].fields.append((name, _TYPES[kind]))
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise _lie(path, f"holds the line {line.strip()[:60]!r}")
    names = [element.name for element in elements]
    if order is None or names.count("vertex") != 1:
        raise _lie(path, "states no format or not one element vertex")
    fields = [name for name, _ in elements[names.index("vertex")].fields]
    if not fields or len(set(fields)) != len(fields):
        raise _lie(path, f"gives the vertex properties {fields}")
    return order, elements, newline + 1


def _lie(path: Path, problem: str) -> BadFrameError:
    return BadFrameError(problem, source=path, field="header", fix="write the file again as PLY 1.0")
