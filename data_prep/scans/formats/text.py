"""Text and JSON files of datasets: a broken file is one clear error."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_file, read_text


def read_lines(path: Path, field: str) -> list[str]:
    """Lines of a text file that are not blank; ``field`` says in errors what the file is for.

    Raises:
        BadFrameError: missing, or not text.
    """
    try:
        return [line for line in read_text(path).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, field, error) from error


def read_matrix(path: Path, *shapes: tuple[int, int]) -> NDArray[np.float64]:
    """Read a text matrix, whitespace or commas between numbers, that must have one of ``shapes``; NaN passes.

    Raises:
        InputError: missing, not numbers, or another shape.
    """
    wanted = " or ".join(f"{rows}x{columns}" for rows, columns in shapes)
    lines = read_lines(path, "matrix")
    try:
        matrix = np.array([line.replace(",", " ").split() for line in lines], dtype=np.float64)
    except ValueError as error:
        raise InputError(
            f"is not a matrix of numbers ({error})", source=path, fix=f"write {wanted} numbers"
        ) from error
    if matrix.shape not in shapes:
        raise InputError(f"has shape {matrix.shape}", source=path, fix=f"write {wanted} numbers")
    return matrix


def read_json(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        content: its bytes where they lie inside another file; ``path`` then only names them in errors.

    Raises:
        InputError: missing, not JSON, or not an object.
    """
    try:
        record = parse_json(read_file(path) if content is None else content)
    except (OSError, ValueError) as error:
        raise unreadable(path, "JSON", error) from error
    if not isinstance(record, dict):
        raise InputError("is not an object with keys", source=path, fix="complete the export")
    return record


def finite_number(record: dict[str, Any], key: str, path: Path) -> float:
    """The number under ``key``.

    Raises:
        InputError: absent, not a number, or not finite.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            f"is {value!r}, not a number" if key in record else "is missing",
            source=path,
            field=key,
            fix="complete the export",
        )
    return float(value)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts 2 before 10: exports number frames without leading zeros.

    >>> sorted(["10", "2", "frame-10", "frame-2"], key=natural_order)
    ['2', '10', 'frame-2', 'frame-10']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def unreadable(path: Path, field: str, error: Exception) -> BadFrameError:
    """The error for a file that is missing or cannot be read."""
    missing = isinstance(error, FileNotFoundError)
    return BadFrameError(
        "is missing" if missing else f"cannot be read ({type(error).__name__}: {_first_line(error)})",
        source=path,
        field=field,
        fix="copy the file again" if not missing else "complete the dataset or leave this frame out",
    )


def _first_line(error: Exception) -> str:
    """What follows are traces of the library that complains, long enough to hide the fix."""
    return next(iter(str(error).splitlines()), "")
