"""Benchmarks of speed, memory and quality against the usual alternatives.

    python -m benchmarks                                     # all that need no data, a table on the screen
    python -m benchmarks ops encoder --json results.json     # some of them, kept
    python -m benchmarks --data DATA --json results.json     # with real scans, for benchmarks that use them
    python -m benchmarks --write docs/performance.md --from results.json gpu.json

Contenders come from the `bench` and `scatter` extras; a contender that is not installed is reported as missing. Missed targets
are marked but do not change the exit code, because a busy machine is not a failure. If a benchmark fails, the others still run
and the exit code is 1.
Results are saved after each benchmark, so Ctrl-C loses only the current one.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import report
from benchmarks import results as files
from benchmarks.record import Row, Settings
from benchmarks.results import describe, describe_machine
from benchmarks.suite import BENCHMARKS, run
from data_prep.errors import InputError

INTERRUPTED = 130  # as shells call it


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
    """Measure, print and save.

    Args:
        names: of benchmarks; none: the default ones.
        json: file for the results, written after each benchmark.
        quick: small sizes and few turns, to check that everything runs, not how fast.
        repeats: turns of each contender.
        threads: for torch and the contenders that accept it; default: as many as torch takes by itself.
        data: folder that may hold kitti_object/, objects/ and so on.
        write: Markdown page to make from the results, with its pictures in images/ beside it.
        from_: results of earlier runs to use instead of measuring; later files win.
    """
    try:
        _check(names, repeats, threads, data, from_)
        if json is not None:
            files.prepare(json, "--json")
        if write is not None:
            files.prepare(write, "--write")
            files.prepare(write.parent / report.IMAGES / "any.svg", "--write")
        if from_:
            results, code = files.combine(from_), 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not from_:
        if threads is not None:
            torch.set_num_threads(threads)
        results, code = _measure(names, Settings(repeats, quick, data), json)
    if json is not None:
        files.save(json, results)
    if write is not None:
        report.write(write, results)
    if not from_ or (json is None and write is None):
        show(results)
    return code


def _check(
    names: Sequence[str], repeats: int, threads: int | None, data: Path | None, files: Sequence[Path]
) -> None:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"there is no benchmark {unknown[0]!r}", fix=f"one of: {', '.join(BENCHMARKS)}")
    if names and files:
        raise InputError(
            f"--from measures nothing, so {names[0]!r} has no meaning", fix="leave one of them out"
        )
    for field, value in (("--repeats", repeats), ("--threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"must be at least 1, not {value}", field=field)
    if data is not None and not data.is_dir():
        raise InputError(
            "is no folder", source=data, field="--data", fix="name the folder that holds the scans"
        )


def _measure(names: Sequence[str], settings: Settings, json: Path | None) -> tuple[dict[str, Any], int]:
    """Results and exit code; saved to ``json`` after each benchmark."""
    chosen = list(dict.fromkeys(names)) or [name for name, each in BENCHMARKS.items() if each.default]
    results, code = files.begin(chosen, settings, describe_machine()), 0
    console = Console(stderr=True, highlight=False)
    for position, name in enumerate(chosen, start=1):
        said, problem = f"{position} of {len(chosen)}: {name}", None
        try:
            with console.status(f"{said}, {BENCHMARKS[name].about}"):
                for found in run(name, settings):
                    files.add(results, found)
        except KeyboardInterrupt:
            code, problem = INTERRUPTED, "interrupted"
        except (InputError, ImportError) as error:
            problem = " ".join(str(error).split())
        except Exception as error:  # noqa: BLE001  (the others are still measured; it is shown and counted)
            code, problem = 1, f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            traceback.print_exc()
        results["runs"][0]["names" if problem is None else "unfinished"].append(name)
        if problem is not None:
            rest = (
                "the rest"
                if any(row["benchmark"] == name for row in results["rows"])
                else BENCHMARKS[name].about
            )
            files.add(results, Row(name, rest, note=f"not measured: {problem}"))
        if json is not None:
            files.save(json, results)
        console.print(f"{said} {'done' if problem is None else problem}", markup=False)
        if code == INTERRUPTED:
            break
    return results, code


def show(results: dict[str, Any]) -> None:
    """Print the rows as tables."""
    # Piped into a file there is no width to keep to.
    console = Console(width=None if sys.stdout.isatty() else 170)
    for run_ in results["runs"]:
        console.print(describe(run_["machine"]).replace("**", ""), highlight=False, markup=False)
    for name in results["about"]:
        rows = [Row.from_json(record) for record in results["rows"] if record["benchmark"] == name]
        if not rows:
            continue
        table = Table(title=f"{name}: {results['about'][name]}", title_justify="left", title_style="bold")
        for column in ("case", "ours", "contender", "its", "times ours", "spread", "target", ""):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, report.cells(row)), style="red" if row.met is False else None)
        console.print(table)


if __name__ == "__main__":
    known = "\n".join(f"  {name}: {each.about}" for name, each in BENCHMARKS.items())
    sys.exit(tyro.cli(main, prog="python -m benchmarks", description=f"{__doc__}\nNames:\n\n{known}"))
