"""What a benchmark reports: ours beside one contender, timed in turns, and the target if there is one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Work = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """What was promised.

    Attributes:
        bound: ``at least`` or ``at most``.
        value: of the ratio, or of ours where ``of`` says so.
        source: the words of the promise.
        of: what is compared with ``value``.
    """

    bound: Literal["at least", "at most"]
    value: float
    source: str
    of: Literal["ratio", "ours"] = "ratio"

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.bound == "at least" else value <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        benchmark: name that the command line takes.
        case: what is measured.
        contender: what ours stands beside; empty: nothing.
        unit: of both figures.
        ours, theirs: medians; None: not measured, see ``note``.
        ratio: how many times as good as the contender, or for what is to be small ours as a share of theirs.
        spread: smallest and largest ratio of the turns.
        target: what was promised; None: nothing.
        note: why something was not measured, or what to know about it.
    """

    benchmark: str
    case: str
    contender: str = ""
    unit: str = "ms"
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None: there is none, or nothing was measured."""
        value = None if self.target is None else (self.ratio if self.target.of == "ratio" else self.ours)
        return None if self.target is None or value is None else self.target.met_by(value)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Row:
        values = {field.name: record[field.name] for field in fields(cls)}
        target, spread = values.pop("target"), values.pop("spread")
        return cls(
            **values,
            target=None if target is None else Target(**target),
            spread=None if spread is None else (spread[0], spread[1]),
        )


@dataclass(frozen=True)
class Curve:
    """How a figure changes with size.

    Attributes:
        name: file name of its picture.
        title, x, y: words on the picture.
        series: name → points (x, y).
        benchmark: name that the command line takes.
    """

    name: str
    title: str
    x: str
    y: str
    series: dict[str, list[tuple[float, float]]]
    benchmark: str = "curves"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Curve:
        series = {name: [(x, y) for x, y in points] for name, points in record["series"].items()}
        return cls(**{**record, "series": series})


def take_turns(contenders: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender; they go one after another in every turn, and the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def compare(
    benchmark: str,
    case: str,
    seconds: Mapping[str, list[float]],
    targets: Mapping[str, Target] | None = None,
    note: str = "",
    per: float = 1.0,
) -> list[Row]:
    """Rows of ``ours`` against every other contender, in milliseconds.

    Args:
        benchmark, case: of the rows.
        seconds: from :func:`take_turns`, with ``ours`` among them.
        targets: contender → what was promised.
        note: for all rows.
        per: things done in one turn; milliseconds are of one.
    """
    ours = seconds["ours"]
    rows = []
    for name, theirs in seconds.items():
        if name == "ours":
            continue
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        rows.append(
            Row(
                benchmark,
                case,
                name,
                "ms",
                1e3 * statistics.median(ours) / per,
                1e3 * statistics.median(theirs) / per,
                statistics.median(theirs) / statistics.median(ours),
                (min(ratios), max(ratios)),
                (targets or {}).get(name),
                note,
            )
        )
    return rows or [
        Row(benchmark, case, "", "ms", 1e3 * statistics.median(ours) / per, note=note),
    ]
