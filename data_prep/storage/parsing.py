"""JSON, npy and npz of others: whatever is wrong with them is a ValueError, and memory is taken for what is there only.

``json.loads`` fails on deep nesting with a RecursionError; ``numpy.load`` takes as much memory as a header promises, and fails on
a damaged one in six ways. Every reader of the project comes through here, and says what the file is for.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.storage.reading import open_file

_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes; the others may ask for gigabytes
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # surrogates
_LEVELS = 100
_BLOCK = 1 << 24
# numpy reads a header by Python's ast, which up to 3.11 may refuse a healthy text while another thread parses
# (SystemError: AST constructor recursion depth mismatch, github.com/python/cpython/issues/106905).
_MORE_TRIES = 4
# Arrays of scans and vectors shrink to a half or a tenth; only zeros shrink to a thousandth.
_BOMB, _MOST_TIMES = 1 << 27, 100


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deeply, or holds a key twice, an integer beyond 64 bits or half of a
            character: Python takes these, and what uses them fails far from here.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: is nested too deeply
    """
    try:
        text = (
            content if isinstance(content, str) else content.decode(json.detect_encoding(content), "strict")
        )
        _require_shallow(text)
        value = json.loads(text, parse_int=_parse_int, object_pairs_hook=_unique)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _require_shallow(text: str) -> None:
    """Refuse what takes a call or two per level from whoever walks over it."""
    if text.count("[") + text.count("{") > _LEVELS:
        depth = 0
        for start in range(0, len(text), 256):  # brackets in labels count too, but those are few or closed
            block = text[start : start + 256]
            depth += block.count("[") + block.count("{") - block.count("]") - block.count("}")
            if depth > _LEVELS:
                raise RecursionError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:i]))
        raise ValueError(f"holds the key {twice[:100]!r} twice")
    return values


def _parse_int(digits: str) -> int:
    if len(digits) < 19:
        return int(digits)
    value = int(digits) if len(digits) < 25 else 1 << 64
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"holds the integer {digits[:30]}, which has more than 64 bits")
    return value


class ShallowStream:
    """A stream of JSON for a parser that takes quadratic time on deep nesting: such a stream is refused as it is read.

    Args:
        stream: of bytes.
        most: levels that are accepted.
    """

    def __init__(self, stream: BinaryIO, most: int = 1000) -> None:
        self._stream, self._most, self._depth = stream, most, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            ValueError: more than ``most`` brackets are open.
        """
        block = self._stream.read(size)
        self._depth += block.count(b"[") + block.count(b"{") - block.count(b"]") - block.count(b"}")
        if self._depth > self._most:
            raise ValueError("is nested too deeply")
        return block


def parse_array(content: bytes) -> NDArray:
    """The array of an npy file that lies in memory.

    Raises:
        ValueError: not an npy, damaged, cut short, or of Python objects.
    """
    return _read_member(io.BytesIO(content))


def array_bytes(array: NDArray) -> bytes:
    """An array as npy. ``numpy.save`` into a file tells a full disk by a count of items instead of the system's error."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def array_shape(content: bytes) -> tuple[int, ...]:
    """The shape of an npy file that lies in memory, from its header alone.

    Raises:
        ValueError: not an npy, or damaged.
    """
    return _read_header(io.BytesIO(content))[0]


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Shape, order and type of the npy that a stream begins with; its values follow.

    Raises:
        ValueError: not an npy, or a damaged header.
    """
    start = file.tell()
    try:
        for _ in range(_MORE_TRIES):
            with suppress(SystemError):
                return _parse_header(file, start)
        return _parse_header(file, start)
    # numpy reads the header as Python does; SystemError: a type of impossible size.
    except (
        SyntaxError,
        TokenError,
        TypeError,
        RecursionError,
        MemoryError,
        SystemError,
        OverflowError,
    ) as error:
        raise ValueError(f"has a damaged header ({error})") from error


def _parse_header(file: IO[bytes], start: int) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    file.seek(start)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"is an array of format {version}")
    shape, fortran, dtype = _HEADERS[version](file)
    return shape, "F" if fortran else "C", dtype


def read_array(path: Path, mapped: bool = False) -> NDArray:
    """The array of an npy file.

    Args:
        path: the file.
        mapped: leave the values in the file until they are used.

    Raises:
        OSError: it cannot be opened.
        ValueError: not an npy, damaged, cut short, or of Python objects.
    """
    with open_file(path) as file:
        shape, order, dtype = _read_header(file)
        promised, there = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
        if promised > there:
            raise ValueError(f"holds {there:,} of the {promised:,} bytes that its header promises")
        if mapped and promised:
            return np.memmap(file, dtype, "r", file.tell(), shape, order)
        return _text_checked(np.fromfile(file, dtype, math.prod(shape))).reshape(shape, order=order)


def read_arrays(
    file: Path | BinaryIO,
    require: Callable[[int, np.dtype], None] | None = None,
    names: Collection[str] | None = None,
    most_times: int = _MOST_TIMES,
) -> dict[str, NDArray]:
    """The arrays of an npz file by name.

    Args:
        file: path or stream.
        require: called with the number of values and the type of each array before it is unpacked; may raise.
        names: read only these; what the file lacks is left out. None: all.
        most_times: the size of the file that its arrays may unpack to.

    Raises:
        OSError: it cannot be opened.
        ValueError: not an npz, damaged, of Python objects, or larger unpacked than ``most_times`` allows.
    """
    arrays: dict[str, NDArray] = {}
    try:
        with _open_zip(file, most_times) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if names is not None and name not in names:
                    continue
                if info.compress_type not in _PLAIN:
                    raise ValueError("has a compression that numpy does not write")
                if name in arrays:
                    raise ValueError(f"holds {name!r} twice")
                with archive.open(info) as member:
                    arrays[name] = _read_member(member, require)
    # RuntimeError: a password; NotImplementedError, which is one: a zip of a later version.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error) as error:
        raise ValueError(f"is not an npz ({error})") from error
    return arrays


@contextmanager
def _open_zip(file: Path | BinaryIO, most_times: int) -> Iterator[zipfile.ZipFile]:
    """A zip whose members are not absurdly larger than itself; what a member holds beyond its stated size is not read."""
    with (
        open_file(file) if isinstance(file, Path) else nullcontext(file) as stream,
        zipfile.ZipFile(stream) as archive,
    ):
        packed = stream.seek(0, io.SEEK_END)
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > max(_BOMB, most_times * packed):
            raise ValueError(f"is {packed:,} bytes that would unpack to {unpacked:,}")
        yield archive


def _read_member(file: IO[bytes], require: Callable[[int, np.dtype], None] | None = None) -> NDArray:
    """One array of a stream; memory is taken block by block, so that a header cannot ask for more than follows."""
    shape, order, dtype = _read_header(file)
    count = math.prod(shape)
    if require is not None:
        require(count, dtype)
    size, content = count * dtype.itemsize, bytearray()
    while len(content) < size:
        block = file.read(min(_BLOCK, size - len(content)))
        if not block:
            raise ValueError(f"holds {len(content):,} of the {size:,} bytes that its header promises")
        content += block
    if file.read(1):
        raise ValueError(f"holds more than the {size:,} bytes that its header promises")
    return _text_checked(np.frombuffer(content, dtype, count)).reshape(shape, order=order)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    shape, order, dtype = read_array_header(file)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which may be programs")
    if dtype.itemsize == 0 or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"has the shape {shape} of {dtype}")
    return shape, order, dtype


def _text_checked(values: NDArray) -> NDArray:
    """Values as they are, unless they are text with numbers that no character has: Python fails on them much later."""
    if values.dtype.kind == "U" and len(values):
        codes = values.view(values.dtype.byteorder.replace("=", "<").replace("|", "<") + "u4")
        if codes.max() > 0x10FFFF:
            raise ValueError("holds text that is none")
    return values
