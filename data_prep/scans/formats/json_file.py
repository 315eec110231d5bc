"""JSON files of datasets: read whole, complained about in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.scans.formats.images import unreadable


def read_json(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        content: its bytes where they lie inside another file; ``path`` then only names them in errors.

    Raises:
        InputError: missing, not JSON, or not an object.
    """
    try:
        record = json.loads(path.read_bytes() if content is None else content)
    except (OSError, ValueError, RecursionError) as error:
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
