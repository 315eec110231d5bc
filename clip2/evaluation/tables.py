"""Tables of results: one model, several side by side, and the change since an earlier run, as Markdown and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clip2.evaluation.result import EvalResult, Metric
from data_prep.errors import InputError

Rows = list[list[str]]
# What stands in the name of a metric → what it means.
_MEANINGS = {
    "top-": "top-k: the true label is among the k most similar ones.",
    "class mean": "class mean: top-1 of each class, averaged over the classes.",
    "R@": "R@k: share of searches with a right answer among the first k. A label looks for objects that bear it, a cloud for "
    "other objects of its class, a crop for its own object.",
    "median rank": "Median rank: place of the first right answer, 1 at best; half of the searches do better.",
    "NDCG": "NDCG@5: how much of the first five answers is right, where the first counts most.",
    "corruptions": "Corruptions: the 15 of ModelNet40-C at 5 severities each; by name, the mean over severities.",
    "SO(3)": "Random SO(3): each object is turned arbitrarily, upside down too.",
    "-shot": "n-shot: n training objects per class, drawn ten times. The cache compares with them without training.",
    "AP25": "AP25, AP50: average precision of boxes that overlap the labeled one by a 3D IoU of 0.25 or 0.5.",
    "AUROC": "AUROC: how well scores tell labeled objects from those that no label names; 0.5 is chance.",
    "FPR95": "FPR95: share of the latter accepted when 95 % of the former are; 0 at best.",
    "ECE": "ECE: how far confidence is from the share that is right; 0 at best.",
}


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: headings.
        rows: as many cells each.
    """

    columns: list[str]
    rows: Rows

    def markdown(self) -> str:
        """As Markdown, with ``|`` in cells escaped."""
        lines = [self.columns, ["---"] + ["--:"] * (len(self.columns) - 1), *self.rows]
        return "".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
        )


def metric_table(results: Sequence[EvalResult]) -> Table:
    """Metrics as rows, one column per model; all results are of one benchmark. Last: objects, time and memory."""
    names = list(dict.fromkeys(name for result in results for name in result.metrics))
    rows = [[name, *(_text(result.metrics.get(name)) for result in results)] for name in names]
    rows.append(["counted", *(f"{result.count:,}" for result in results)])
    rows.append(["seconds", *(f"{result.seconds:.1f}" for result in results)])
    rows.append(
        ["peak memory", *(f"{result.memory / 1e6:,.0f} MB" if result.memory else "–" for result in results)]
    )
    return Table(["metric", *(result.model for result in results)], rows)


def meanings(results: Sequence[EvalResult]) -> list[str]:
    """A sentence for each kind of metric that occurs."""
    names = " | ".join(name for result in results for name in result.metrics)
    return [sentence for sign, sentence in _MEANINGS.items() if sign in names]


def class_table(results: Sequence[EvalResult]) -> Table:
    """Classes as rows: their count, and each model's numbers."""
    names = list(dict.fromkeys(name for result in results for row in result.classes for name in row.values))
    several = len(results) > 1
    columns = [f"{name}, {result.model}" if several else name for result in results for name in names]
    by_label = [{row.label: row for row in result.classes} for result in results]
    rows = []
    for label in dict.fromkeys(label for rows_of in by_label for label in rows_of):
        counts = [rows_of[label].count for rows_of in by_label if label in rows_of]
        cells = [
            _text(Metric(rows_of[label].values[name]))
            if label in rows_of and name in rows_of[label].values
            else "–"
            for rows_of in by_label
            for name in names
        ]
        rows.append([label, f"{counts[0]:,}", *cells])
    return Table(["class", "count", *columns], rows)


def markdown(results: Sequence[EvalResult]) -> str:
    """All results: one section per benchmark, models side by side, with what the numbers depend on."""
    parts = []
    for name, group in by_benchmark(results).items():
        parts += [f"## {name}\n", f"{group[0].summary}\n", metric_table(group).markdown()]
        for result in group:
            stated = [f"- {key}: {text}\n" for key, text in result.conditions.rows()]
            stated += [f"- {note}\n" for note in result.notes]
            digests = f"model {result.model_digest}, data {result.data_digest}, clip2 {result.version}, {result.device}"
            parts.append(f"{result.model}:\n\n{''.join(stated)}- {digests}\n")
        if any(result.classes for result in group):
            parts.append(class_table(group).markdown())
    return "\n".join(parts)


def by_benchmark(results: Sequence[EvalResult]) -> dict[str, list[EvalResult]]:
    """Results grouped by benchmark, in order."""
    groups: dict[str, list[EvalResult]] = {}
    for result in results:
        groups.setdefault(result.benchmark, []).append(result)
    return groups


@dataclass(frozen=True)
class Change:
    """One metric now and before.

    Attributes:
        benchmark, model, metric: what is compared.
        before, now: the two numbers.
        differences: conditions that differ; the numbers are comparable where there are none.
    """

    benchmark: str
    model: str
    metric: str
    before: Metric
    now: Metric
    differences: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """``not comparable``, ``same``, ``changed``, or whether the change leaves the earlier 95 % interval."""
        if self.differences:
            return "not comparable"
        if self.now.value == self.before.value:
            return "same"
        if self.before.low is None or self.before.high is None:
            return "changed"
        return (
            "within the interval"
            if self.before.low <= self.now.value <= self.before.high
            else "beyond the interval"
        )


def changes(now: Sequence[EvalResult], before: Sequence[EvalResult]) -> list[Change]:
    """Metrics of results against those of an earlier run.

    A result is compared with the earlier one of the same benchmark and model name, else with the only earlier one of
    the benchmark.

    Raises:
        InputError: no benchmark is in both.
    """
    found = []
    for result in now:
        same = [old for old in before if old.benchmark == result.benchmark]
        named = [old for old in same if old.model == result.model] or (same if len(same) == 1 else [])
        for old in named[:1]:
            differences = condition_differences(result, old)
            found += [
                Change(result.benchmark, result.model, name, old.metrics[name], metric, differences)
                for name, metric in result.metrics.items()
                if name in old.metrics
            ]
    if not found:
        raise InputError(
            f"holds {', '.join(sorted({old.benchmark for old in before})) or 'nothing'}",
            field="--against",
            fix="give the results.json of a run of the same benchmark, with one model or the same model name",
        )
    return found


def condition_differences(now: EvalResult, before: EvalResult) -> tuple[str, ...]:
    """What makes two results incomparable, in words."""
    old, new = dict(before.conditions.rows()), dict(now.conditions.rows())
    differences = [
        f"{key}: {old.get(key, 'not stated')} → {new.get(key, 'not stated')}"
        for key in dict.fromkeys([*old, *new])
        # How many points a model keeps is part of the model.
        if _before_model(old.get(key, "")) != _before_model(new.get(key, ""))
    ]
    if before.count != now.count:
        differences.append(f"count: {before.count} → {now.count}")
    if before.data_digest != now.data_digest and not differences:
        differences.append("data: other contents under the same conditions")
    return tuple(differences)


def change_table(found: Sequence[Change]) -> Table:
    """Changes as rows."""
    rows = [
        [
            f"{change.benchmark} {change.metric}",
            change.model,
            _text(change.before),
            _text(change.now),
            f"{change.now.value - change.before.value:+.3f}",
            change.verdict,
        ]
        for change in found
    ]
    return Table(["metric", "model", "before", "now", "change", "verdict"], rows)


def _before_model(text: str) -> str:
    return text.partition(", of which the model keeps")[0]


def _text(metric: Metric | None) -> str:
    return "–" if metric is None else metric.text()
