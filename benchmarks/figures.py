"""What a run of the benchmarks found, as one JSON object: kept while it grows, read again, put together from several runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.record import Curve, Row
from benchmarks.suite import BENCHMARKS, Settings
from data_prep.errors import InputError
from data_prep.storage.files import require_writable, write_atomically

FORMAT, FORMAT_VERSION = "clip2-benchmarks", 1


def begin(names: Iterable[str], settings: Settings, machine: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run that has not measured anything yet."""
    chosen = list(names)
    uses_data = [name for name in chosen if BENCHMARKS[name].needs_data or BENCHMARKS[name].takes_data]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "runs": [
            {
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                "names": [],
                "unfinished": [],
                "machine": machine,
                "quick": settings.quick,
                "repeats": settings.repeats,
            }
        ],
        "about": {name: BENCHMARKS[name].about for name in chosen},
        "needs_data": uses_data,
        "rows": [],
        "curves": [],
    }


def add(figures: dict[str, Any], found: Row | Curve) -> None:
    """Take up one row or curve."""
    figures["rows" if isinstance(found, Row) else "curves"].append(found.to_json())


def save(path: Path, figures: dict[str, Any]) -> None:
    """Write them, whole or not at all."""
    text = json.dumps(figures, indent=1) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def prepare(path: Path, field: str) -> None:
    """Make sure, before minutes of measuring, that ``path`` can be written afterwards.

    Raises:
        InputError: it cannot, or it is a folder.
    """
    if path.is_dir():
        raise InputError("is a folder", source=path, field=field, fix="name a file")
    require_writable(path.parent, field)
    path.parent.mkdir(parents=True, exist_ok=True)


def load(file: Path) -> dict[str, Any]:
    """Figures that ``--json`` wrote.

    Raises:
        InputError: they are not that, or only a part of it.
    """
    fix = "name a file that --json wrote"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=file, fix=fix) from None
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, FORMAT_VERSION):
        raise InputError("does not hold figures of benchmarks", source=file, fix=fix)
    try:
        for run in found["runs"]:
            run["names"], run["machine"]["cpu"], run["quick"]
        for name in _benchmarks(found):
            found["about"][name]
        found["needs_data"] = list(found["needs_data"])
        for row in found["rows"]:
            Row.from_json(row)
        for curve in found["curves"]:
            Curve.from_json(curve)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"lacks a part ({type(error).__name__}: {error})", source=file, fix="measure again"
        ) from None
    return found


def combine(files: Sequence[Path]) -> dict[str, Any]:
    """Figures of several runs as those of one; of a benchmark that ran twice the later file counts.

    Unless the later one was cut off, or found nothing to measure, as on a machine without a GPU: then the earlier one does.
    """
    figures, *others = (load(file) for file in files)
    for found in others:
        known = _measured(figures)
        new = {name for name in _benchmarks(found) if name in _measured(found) or name not in known}
        new -= {name for run in found["runs"] for name in run.get("unfinished", ()) if name in known}
        for run in figures["runs"]:
            _keep(run, new, False)
        for run in found["runs"]:
            _keep(run, new, True)
        figures["runs"] = [run for run in figures["runs"] + found["runs"] if _of_run(run)]
        for kind in ("rows", "curves"):
            kept = [record for record in figures[kind] if record["benchmark"] not in new]
            figures[kind] = kept + [record for record in found[kind] if record["benchmark"] in new]
        figures["about"] |= found["about"]
        figures["needs_data"] = sorted({*figures["needs_data"], *found["needs_data"]})
    return figures


def _of_run(run: dict[str, Any]) -> list[str]:
    return [*run["names"], *run.get("unfinished", ())]


def _benchmarks(figures: dict[str, Any]) -> list[str]:
    return [name for run in figures["runs"] for name in _of_run(run)]


def _measured(figures: dict[str, Any]) -> set[str]:
    found = {row["benchmark"] for row in figures["rows"] if row["ours"] is not None}
    return found | {curve["benchmark"] for curve in figures["curves"]}


def _keep(run: dict[str, Any], names: set[str], inside: bool) -> None:
    for kind in ("names", "unfinished"):
        run[kind] = [name for name in run.get(kind, ()) if (name in names) is inside]
