"""Damaged files against every reader: what each case ended in.

    python -m benchmarks.siege --cases 500                 # of each target, one table
    python -m benchmarks.siege --only "text bank" --first 17 --cases 1

The readers must end in a result or in one line that says what is wrong; anything else is a failure and is printed with
the number of its case.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parent.parent / "tests"


def main(cases: int = 200, first: int = 0, only: tuple[str, ...] = (), shown: int = 20) -> None:
    """Damage files and read them.

    Args:
        cases: of each target.
        first: number of the first case.
        only: targets; empty: all.
        shown: different failures printed per target.
    """
    sys.path.insert(0, str(TESTS))  # the twins of the datasets are the tests'
    from siege.targets import TARGETS
    from siege.trial import run_cases

    console, failures = Console(), 0
    table = Table("target", "cases", "read", "refused", "failed", "slowest, s")
    with tempfile.TemporaryDirectory() as scratch:
        for name in only or TARGETS:
            outcomes = list(run_cases(name, Path(scratch) / name, range(first, first + cases)))
            kinds = Counter(outcome.kind for outcome in outcomes)
            row = [name, len(outcomes), *(kinds[kind] for kind in ("read", "refused", "failed"))]
            table.add_row(*map(str, row), f"{max(outcome.seconds for outcome in outcomes):.1f}")
            details = Counter(outcome.detail for outcome in outcomes if outcome.kind == "failed")
            example = {outcome.detail: outcome.case for outcome in reversed(outcomes)}
            for detail, count in details.most_common(shown):
                console.print(
                    f"{name} {count} x, case {example[detail]}: {detail}", markup=False, soft_wrap=True
                )
            failures += kinds["failed"]
    console.print(table)
    sys.exit(bool(failures))


if __name__ == "__main__":
    tyro.cli(main)
