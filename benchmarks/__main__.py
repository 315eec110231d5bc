"""Measure everything, or some of it, beside what one would otherwise use.

    python -m benchmarks                                     # all that need no data, a table on the screen
    python -m benchmarks ops encoder --json figures.json     # some of them, kept
    python -m benchmarks --data DATA --json figures.json     # real scans where a benchmark has a use for them
    python -m benchmarks --write docs/performance.md --from figures.json gpu.json

Contenders come from the `bench` and `scatter` extras; one that is not installed is a row that says so. Targets that are missed are
marked, and do not change the exit code: a busy machine is no failure.
"""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.machine import describe, describe_machine
from benchmarks.record import Row
from benchmarks.suite import BENCHMARKS, Settings, run
from data_prep.errors import InputError
from data_prep.files import write_atomically

FORMAT, FORMAT_VERSION = "clip2-benchmarks", 1


def main(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    json: Path | None = None,
    quick: bool = False,
    repeats: int = 5,
    threads: int | None = None,
    data: Path | None = None,
    write: Path | None = None,
    from_: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")] = (),
) -> int:
    """Measure, print, and keep what was found.

    Args:
        names: of benchmarks; none: all but those that judge quality.
        json: a file for the figures.
        quick: small sizes and few turns: to see whether everything runs, not how fast.
        repeats: turns of each contender.
        threads: for torch and what can be told; as many as torch takes by itself if not given.
        data: folder that may hold kitti_object/, objects/ and so on.
        write: a Markdown page to make from the figures, with its pictures in images/ beside it.
        from_: figures of earlier runs to make the page from, instead of measuring; later files win.
    """
    try:
        figures = _combine(from_) if from_ else _measure(names, Settings(repeats, quick, data), threads)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if json is not None:
        text = json_format.dumps(figures, indent=1) + "\n"
        write_atomically(json, lambda path: path.write_text(text, encoding="utf-8"))
    if write is not None:
        report.write(write, figures)
    if not from_:
        show(figures)
    return 0


def _measure(names: Sequence[str], settings: Settings, threads: int | None) -> dict[str, Any]:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"there is no benchmark {unknown[0]!r}", fix=f"one of: {', '.join(BENCHMARKS)}")
    if threads is not None:
        torch.set_num_threads(threads)
    machine = describe_machine()
    chosen = list(names) or [name for name, benchmark in BENCHMARKS.items() if benchmark.default]
    rows: list[Row] = []
    curves = []
    console = Console(stderr=True)
    for position, name in enumerate(chosen, start=1):
        with console.status(f"{position} of {len(chosen)}: {name}, {BENCHMARKS[name].about}"):
            found, drawn = run(name, settings)
        rows += found
        curves += drawn
        console.print(f"{position} of {len(chosen)}: {name} done", highlight=False)
    now = datetime.now(timezone.utc)
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "runs": [
            {
                "date": f"{now:%Y-%m-%d}",
                "names": chosen,
                "machine": machine,
                "quick": settings.quick,
                "repeats": settings.repeats,
            }
        ],
        "about": {name: BENCHMARKS[name].about for name in chosen},
        "needs_data": [name for name in chosen if BENCHMARKS[name].needs_data or name == "recognition"],
        "rows": [row.to_json() for row in rows],
        "curves": [curve.to_json() for curve in curves],
    }


def _combine(files: Sequence[Path]) -> dict[str, Any]:
    """Figures of several runs as those of one; of a benchmark that ran twice the later file counts."""
    figures: dict[str, Any] = {}
    for file in files:
        found = _load(file)
        if not figures:
            figures = found
            continue
        again = set(found["runs"][0]["names"])
        for run_ in figures["runs"]:
            run_["names"] = [name for name in run_["names"] if name not in again]
        figures["runs"] = [run_ for run_ in figures["runs"] if run_["names"]] + found["runs"]
        for kind in ("rows", "curves"):
            kept = [record for record in figures[kind] if record["benchmark"] not in again]
            figures[kind] = kept + found[kind]
        figures["about"] |= found["about"]
        figures["needs_data"] = sorted({*figures["needs_data"], *found["needs_data"]})
    return figures


def _load(file: Path) -> dict[str, Any]:
    try:
        found = json_format.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({error})", source=file, fix="name a file that --json wrote"
        ) from None
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "does not hold figures of benchmarks", source=file, fix="name a file that --json wrote"
        )
    return found


def show(figures: dict[str, Any]) -> None:
    """Print the rows as tables."""
    # Piped into a file there is no width to keep to.
    console = Console(width=None if sys.stdout.isatty() else 170)
    for run_ in figures["runs"]:
        console.print(describe(run_["machine"]).replace("**", ""), highlight=False)
    for name in figures["about"]:
        rows = [Row.from_json(record) for record in figures["rows"] if record["benchmark"] == name]
        if not rows:
            continue
        table = Table(title=f"{name}: {figures['about'][name]}", title_justify="left", title_style="bold")
        for column in ("case", "ours", "contender", "its", "times ours", "spread", "target", ""):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*report.cells(row), style="red" if row.met is False else None)
        console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
