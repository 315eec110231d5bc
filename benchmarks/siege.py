"""Sieges: damaged files, kills, full disks, long work. Each prints one table and ends with 1 if something did not hold.

python -m benchmarks.siege files --cases 500           # damaged files, of each reader
python -m benchmarks.siege files --only "text bank" --first 17 --cases 1
python -m benchmarks.siege kills                       # 116 kills of 14 jobs
python -m benchmarks.siege kills --only prep --kills 3 --seed 7
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parent.parent / "tests"


def _chosen(only: Iterable[str], there: Iterable[str]) -> list[str]:
    """The names of ``only``, or all; one that is unknown ends the program with those there are."""
    names = list(there)
    if unknown := sorted(set(only) - set(names)):
        sys.exit(f"unknown: {', '.join(unknown)}. There are: {', '.join(names)}")
    return list(only) or names


def files(cases: int = 200, first: int = 0, only: tuple[str, ...] = (), shown: int = 20) -> None:
    """Damage files and read them: a result or one line that says what is wrong.

    Anything else is a failure and is printed with the number of its case.

    Args:
        cases: of each target.
        first: number of the first case.
        only: targets; empty: all.
        shown: different failures printed per target.
    """
    from siege.targets import TARGETS
    from siege.trial import run_cases

    console, progress, failures = Console(), Console(stderr=True), 0
    table = Table("target", "cases", "read", "refused", "failed", "slowest, s")
    with tempfile.TemporaryDirectory() as scratch:
        for name in _chosen(only, TARGETS):
            outcomes = list(run_cases(name, Path(scratch) / name, range(first, first + cases)))
            kinds = Counter(outcome.kind for outcome in outcomes)
            row = [name, len(outcomes), *(kinds[kind] for kind in ("read", "refused", "failed"))]
            table.add_row(*map(str, row), f"{max(outcome.seconds for outcome in outcomes):.1f}")
            progress.print(*row, f"{sum(outcome.seconds for outcome in outcomes):.1f} s")
            details = Counter(outcome.detail for outcome in outcomes if outcome.kind == "failed")
            example = {outcome.detail: outcome.case for outcome in reversed(outcomes)}
            for detail, count in details.most_common(shown):
                console.print(
                    f"{name} {count} x, case {example[detail]}: {detail}", markup=False, soft_wrap=True
                )
            failures += kinds["failed"]
    console.print(table)
    sys.exit(bool(failures))


def kills(only: tuple[str, ...] = (), kills: int | None = None, seed: int = 0) -> None:
    """Kill jobs at random moments, continue each with the same command, and compare with an undisturbed run.

    Args:
        only: jobs; empty: all.
        kills: of each job; default: 116 in all.
        seed: of moments and victims.
    """
    from siege.kills import JOBS, Siege, make_inputs

    console, failures = Console(), 0
    table = Table("job", "kills", "whom", "not the same result")
    with tempfile.TemporaryDirectory() as scratch:
        inputs = make_inputs(Path(scratch) / "inputs")
        for name in _chosen(only, JOBS):
            siege = Siege(name, inputs, Path(scratch) / f"job-{len(table.rows)}", seed)
            outcomes = []
            for outcome in siege.kills(JOBS[name].kills if kills is None else kills):
                outcomes.append(outcome)
                if outcome.problem:
                    where = f"{outcome.victim or 'nobody'} after {outcome.moment:.2f} s"
                    console.print(f"{name}, {where}: {outcome.problem}", markup=False, soft_wrap=True)
            whom = Counter(outcome.victim for outcome in outcomes if outcome.victim)
            failed = sum(bool(outcome.problem) for outcome in outcomes)
            told = ", ".join(f"{victim} {count}" for victim, count in sorted(whom.items()))
            table.add_row(name, str(whom.total()), told, str(failed))
            console.print(f"{name}: {told}; {failed} not the same", style="dim")
            failures += failed
    console.print(table)
    sys.exit(bool(failures))


def disk(
    only: tuple[str, ...] = (), jobs: tuple[str, ...] = (), seed: int = 0, scratch: Path | None = None
) -> None:
    """Fill the disk, forbid it, remove the folder, start a second writer, take descriptors away, turn the clock back.

    Each job ends in its result or in one line, and the same command then gives the bytes of an undisturbed run. A small
    tmpfs is mounted; where that is not permitted, its rows are left out.

    Args:
        only: hardships; empty: all.
        jobs: empty: all.
        seed: of moments.
        scratch: folder for the runs.
    """
    from siege.hardships import HARDSHIPS, JOB_NAMES, run_hardships
    from siege.kills import make_inputs

    console, failures = Console(), 0
    hardships = _chosen(only, HARDSHIPS)
    table = Table("job", *hardships)
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        Path(place).chmod(0o755)  # who may not write reads the inputs
        inputs = make_inputs(Path(place) / "inputs")
        for name in _chosen(jobs, JOB_NAMES):
            row = []
            for hardship, problems in run_hardships(
                name, inputs, Path(place) / f"job-{len(table.rows)}", only, seed
            ):
                for problem in problems or ():
                    console.print(f"{name}, {hardship}: {problem}", markup=False, soft_wrap=True)
                row.append("not permitted" if problems is None else "bad" if problems else "ok")
            failures += row.count("bad")
            table.add_row(name, *row)
            console.print(f"{name}: {', '.join(row)}", style="dim")
    console.print(table)
    sys.exit(bool(failures))


def soak(only: tuple[str, ...] = (), share: float = 1.0) -> None:
    """Work for long in one process: memory stays within noise, open files and threads are constant.

    Args:
        only: jobs; empty: all.
        share: of the full count.
    """
    from siege.soak import JOBS, WARM
    from siege.soak import soak as soak_one

    console, failures = Console(), 0
    table = Table(
        "work", "count", "MB after warming", "MB at the end", "growth, MB", "files", "threads", "flat"
    )
    for name in _chosen(only, JOBS):
        count = int(share * JOBS[name][1])
        held = soak_one(name, count)
        settled = int(WARM * len(held.megabytes))
        memory = (held.megabytes[settled], held.megabytes[-1], held.growth)
        others = (f"{values[settled]} → {values[-1]}" for values in (held.files, held.threads))
        table.add_row(name, f"{count:,}", *(f"{value:.1f}" for value in memory), *others, str(held.flat))
        console.print(f"{name}: {held.growth:+.1f} MB", style="dim")
        failures += not held.flat
    console.print(table)
    sys.exit(bool(failures))


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))  # the twins of the datasets are the tests'
    tyro.extras.subcommand_cli_from_dict({"files": files, "kills": kills, "disk": disk, "soak": soak})
