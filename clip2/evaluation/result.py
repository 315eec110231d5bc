"""Evaluation results: metrics with intervals, the conditions they were measured under, and their JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.versioned import FileFormat

RESULTS_FORMAT = FileFormat("clip2-evaluation", 1)


@dataclass(frozen=True)
class Metric:
    """One number.

    Attributes:
        value: as a share 0..1 unless ``unit`` says otherwise; NaN where nothing could be counted.
        low, high: 95 % interval, or None.
        unit: for people: ``""`` for a share, ``"count"`` for a whole number, else ``"rank"``, ``"m"`` …
        spread: standard deviation over repeated draws, or None. It is no interval of the value.

    >>> Metric(0.5, 0.4, 0.6).text()
    '0.500 [0.400, 0.600]'
    >>> Metric(0.5, spread=0.1).text()
    '0.500 ± 0.100'
    """

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    spread: float | None = None

    def text(self) -> str:
        """The value with its interval or spread, three digits."""
        if not math.isfinite(self.value):
            return "–"
        if self.unit == "count":
            return f"{self.value:,.0f}"
        if self.unit == "rank":
            return f"rank {self.value:,g}"
        interval = "" if self.low is None else f" [{self.low:.3f}, {self.high:.3f}]"
        interval += "" if self.spread is None else f" ± {self.spread:.3f}"
        return f"{self.value:.3f}{interval}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True)
class ClassRow:
    """Numbers of one class.

    Attributes:
        label: its name in the class list.
        count: objects of the class that were counted.
        values: name → number, the same names in every row of a result.
    """

    label: str
    count: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """One line of a chart; curves of one ``chart`` are drawn together.

    Attributes:
        chart: title of the chart.
        name: of the line.
        x_name, y_name: of the axes.
        x, y: N values each.
        spread: N values, half the height of the band around the line; empty: no band.
        log_x: whether the x axis is logarithmic.
        unit_square: whether both axes go from 0 to 1.
        diagonal: whether the diagonal is drawn for comparison.
    """

    chart: str
    name: str
    x_name: str
    y_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...] = ()
    log_x: bool = False
    unit_square: bool = False
    diagonal: bool = False


@dataclass(frozen=True)
class Confusion:
    """Counts of predictions.

    Attributes:
        labels: K labels.
        counts: K rows of K; rows are true labels, columns predicted ones.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Conditions:
    """What a number depends on besides the model; two numbers are comparable where all of it is equal.

    Attributes:
        counted: what was counted and left out, for example ``908 test shapes, 1 empty grid left out``.
        points: points per object given to the model, for example ``10,000 drawn`` or ``all``.
        seed: of the sampling; None: nothing was drawn.
        prompts: prompt set of the label vectors, and labels asked under another name.
        color: ``none``, ``as stored``, ``left out``.
        axes: axis convention of the files and the turn that made them z-up.
        other: further facts by name.
    """

    counted: str = ""
    points: str = "all"
    seed: int | None = None
    prompts: str = ""
    color: str = ""
    axes: str = ""
    other: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        """(name, text) of everything that is stated."""
        named = [
            ("counted", self.counted),
            ("points per object", self.points),
            ("seed", "" if self.seed is None else str(self.seed)),
            ("prompts", self.prompts),
            ("color", self.color),
            ("axes", self.axes),
            *self.other.items(),
        ]
        return [(name, text) for name, text in named if text]


@dataclass(frozen=True)
class EvalResult:
    """Result of one protocol for one model.

    A protocol fills in what it measured; :func:`clip2.evaluate` adds the model, its digest, time and memory.

    Attributes:
        benchmark: name of the protocol.
        summary: the protocol in one line.
        count: objects (or scenes) counted.
        data_digest: hash of what was read, in order; equal digests mean equal data.
        metrics: name → number; the first is the headline.
        conditions: what the numbers depend on.
        classes: per-class table, possibly empty.
        confusion: or None.
        curves: possibly none.
        notes: remarks on this run, one line each: overlap with training data, classes without objects …
        model, model_digest: its name as given, and a hash of its weights and configuration.
        device: that ran it.
        seconds: of the whole protocol.
        memory: peak resident memory of the process in bytes; 0: not known.
        version: of clip2.
    """

    benchmark: str
    summary: str
    count: int
    metrics: Mapping[str, Metric]
    conditions: Conditions = Conditions()
    data_digest: str = ""
    classes: tuple[ClassRow, ...] = ()
    confusion: Confusion | None = None
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    model: str = ""
    model_digest: str = ""
    device: str = ""
    seconds: float = 0.0
    memory: int = 0
    version: str = ""

    @property
    def headline(self) -> tuple[str, Metric]:
        """Name and value of the first metric."""
        return next(iter(self.metrics.items()))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; numbers that are not finite become None."""
        document: dict[str, Any] = _plain(asdict(self))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any], source: str | Path = "result") -> EvalResult:
        """The inverse of :meth:`to_json`.

        Raises:
            InputError: a field is missing or of another shape.
        """
        try:
            values = dict(document)
            values["metrics"] = {name: Metric(**_numbers(each)) for name, each in values["metrics"].items()}
            values["conditions"] = Conditions(**values["conditions"])
            values["classes"] = tuple(
                ClassRow(row["label"], row["count"], _numbers(row["values"])) for row in values["classes"]
            )
            if values["confusion"] is not None:
                counts = tuple(tuple(map(int, row)) for row in values["confusion"]["counts"])
                values["confusion"] = Confusion(tuple(values["confusion"]["labels"]), counts)
            values["curves"] = tuple(
                Curve(**{**curve, **{key: _numbers(curve[key]) for key in ("x", "y", "spread")}})
                for curve in values["curves"]
            )
            values["notes"] = tuple(values["notes"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"is not an evaluation result ({type(error).__name__}: {error})",
                source=source,
                fix="give a results.json of clip2 eval",
            ) from error


def write_results(path: Path, results: Sequence[EvalResult]) -> None:
    """Write results as one JSON file, atomically."""
    document = {**RESULTS_FORMAT.header, "results": [result.to_json() for result in results]}
    text = json.dumps(document, indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def read_results(path: str | Path) -> tuple[EvalResult, ...]:
    """Read a file of :func:`write_results`.

    Raises:
        InputError: no such file, or not one of ours.
    """
    from data_prep.scans.formats.text import read_json

    document = read_json(Path(path))
    RESULTS_FORMAT.require(document, path, fix="give a results.json of clip2 eval")
    records = document.get("results")
    if not isinstance(records, list):
        raise InputError("is missing", source=path, field="results", fix="give a results.json of clip2 eval")
    return tuple(EvalResult.from_json(record, path) for record in records)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _numbers(values: Any) -> Any:
    """``values`` of JSON with None as NaN where a number stands; interval and spread stay None."""
    if isinstance(values, Mapping):
        return {
            key: math.nan if each is None and key not in ("low", "high", "spread") else each
            for key, each in values.items()
        }
    return tuple(math.nan if each is None else each for each in values)
