"""JSON, npy and npz of others: whatever is wrong with them is a ValueError, and memory is taken for what is there only.

``json.loads`` fails on deep nesting with a RecursionError; ``numpy.load`` takes as much memory as a header promises, and fails on
a damaged one in six ways. Every reader of the project comes through here, and says what the file is for.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes; the others may ask for gigabytes
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BLOCK = 1 << 24


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: it is not JSON, not UTF-8, or nested too deeply.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: is nested too deeply
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def parse_array(content: bytes) -> NDArray:
    """The array of an npy file.

    Raises:
        ValueError: not an npy, damaged, cut short, or of Python objects.
    """
    return _read(io.BytesIO(content), math.inf)


def read_array(path: Path, max_values: float = math.inf) -> NDArray:
    """The array of an npy file.

    Args:
        path: the file.
        max_values: refuse more.

    Raises:
        OSError: it cannot be opened.
        ValueError: not an npy, damaged, cut short, or of Python objects.
    """
    with path.open("rb") as file:
        return _read(file, max_values)


def read_arrays(path: Path | BinaryIO, max_values: float = math.inf) -> dict[str, NDArray]:
    """The arrays of an npz file by name.

    Args:
        path: the file, or its stream.
        max_values: refuse an array of more.

    Raises:
        OSError: it cannot be opened.
        ValueError: not an npz, damaged, or of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for info in archive.infolist():
                if info.compress_type not in _PLAIN:
                    raise ValueError("has a compression that numpy does not write")
                with archive.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = _read(member, max_values)
            return arrays
    # RuntimeError: a password; NotImplementedError: a zip of a later version.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error) as error:
        raise ValueError(f"is not an npz ({error})") from error


def _read(file: Any, max_values: float) -> NDArray:
    """One array; its header is believed as far as bytes follow."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"is an array of format {version}")
        shape, fortran, dtype = _HEADERS[version](file)
    # numpy parses the header as Python; SystemError: a type of impossible size.
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError, SystemError, OverflowError) as error:
        raise ValueError(f"has a damaged header ({error})") from error
    if dtype.hasobject:
        raise ValueError("holds Python objects, which may be programs")
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"has the shape {shape}")
    count = math.prod(shape)
    if count > max_values:
        raise ValueError(f"holds {count:,} values, at most {max_values:,.0f} are accepted")
    size, blocks, done = count * dtype.itemsize, [], 0
    while done < size:
        block = file.read(min(_BLOCK, size - done))
        if not block:
            raise ValueError(f"holds {done:,} of the {size:,} bytes that its header promises")
        blocks.append(block)
        done += len(block)
    if dtype.itemsize == 0:
        raise ValueError(f"holds values of no size ({dtype})")
    values = np.frombuffer(bytearray().join(blocks), dtype, count)
    return values.reshape(shape, order="F" if fortran else "C")
