"""Output folder of an evaluation: JSON, Markdown, figures, and a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clip2.evaluation.figures import draw_figures, picture, save_figure
from clip2.evaluation.result import EvalResult, write_results
from clip2.evaluation.tables import (
    Change,
    by_benchmark,
    change_table,
    class_table,
    condition_differences,
    markdown,
    meanings,
    metric_table,
)
from data_prep.report import Page
from data_prep.report.charts import Bar
from data_prep.storage.files import write_atomically

RESULTS_FILE, MARKDOWN_FILE, PAGE_FILE = "results.json", "results.md", "index.html"
_MOST_BARS, _MOST_ROWS = 60, 20


def write_folder(folder: Path, results: Sequence[EvalResult], changed: Sequence[Change] = ()) -> list[Path]:
    """Write everything about results into a folder.

    Args:
        folder: created if needed.
        results: of one or several models and benchmarks.
        changed: against an earlier run, shown first on the page.

    Returns:
        The files.

    Raises:
        InputError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / RESULTS_FILE, results)
    text = markdown(results)
    write_atomically(folder / MARKDOWN_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    page = _begin(results)
    files = [folder / RESULTS_FILE, folder / MARKDOWN_FILE]
    if changed:
        table = change_table(changed)
        page.heading("Changes since the earlier run").table(table.columns, table.rows)
        for difference in dict.fromkeys(each for change in changed for each in change.differences):
            page.paragraph(f"Not comparable: {difference}")
    for name, group in by_benchmark(results).items():
        files += _add_benchmark(page, folder, name, group)
    return [*files, page.write(folder / PAGE_FILE)]


def _begin(results: Sequence[EvalResult]) -> Page:
    models = list(dict.fromkeys(result.model for result in results))
    benchmarks = list(by_benchmark(results))
    page = Page(
        "Evaluation",
        f"{', '.join(benchmarks)}. Models: {', '.join(models)}. Numbers are shares from 0 to 1 unless a unit is stated; "
        "brackets hold 95 % intervals; after ± stands a standard deviation over repeated draws.",
    )
    if len(results) > 1:
        page.heading("Overview")
        page.table(
            ["benchmark", "model", "metric", "value", "counted"],
            [[r.benchmark, r.model, r.headline[0], r.headline[1].text(), r.count] for r in results],
        )
    return page


def _add_benchmark(page: Page, folder: Path, name: str, group: list[EvalResult]) -> list[Path]:
    page.heading(name).paragraph(f"{group[0].summary[:1].upper()}{group[0].summary[1:]}.")
    table = metric_table(group)
    page.table(table.columns, table.rows)
    page.paragraph("\n\n".join(meanings(group)))
    for difference in dict.fromkeys(d for r in group[1:] for d in condition_differences(r, group[0])):
        page.paragraph(f"These models were not measured under equal conditions: {difference}")
    files = []
    for position, result in enumerate(group):
        others = tuple(group[1:]) if position == 0 else ()
        figures = draw_figures(result, others)
        for title, figure in figures.items():
            if position and title != "confusion":
                continue  # drawn with the first model
            stem = "-".join(
                part.strip("-")
                for part in (name.replace("/", "-"), title, str(position) * (position > 0))
                if part
            )
            files += save_figure(figure, folder, stem)
            page.image(picture(figure), f"{stem}.png, {stem}.svg")
    page.paragraph("What these numbers depend on:")
    for result in group:
        rows = [*result.conditions.rows(), *(("note", note) for note in result.notes)]
        rows += [
            ("model", f"{result.model}, digest {result.model_digest}, on {result.device or 'no device'}"),
            ("data digest", result.data_digest),
            ("clip2", result.version),
        ]
        page.table(["condition", "value"], [list(row) for row in rows if row[1]])
    if group[0].classes:
        _add_classes(page, group)
    return files


def _add_classes(page: Page, group: list[EvalResult]) -> None:
    table = class_table(group)
    if len(group) == 1 and 1 < len(table.rows) <= _MOST_BARS:
        (first, *_) = group[0].classes[0].values
        counted = [row for row in group[0].classes if row.count]
        page.paragraph(f"{first} of each class:")
        page.bars(
            [Bar(row.label, float(row.values[first]), f" of {row.count:,}") for row in counted], most=1.0
        )
    # A long and narrow table stands in several columns side by side.
    blocks = 1 if len(group) > 1 else min(3, -(-len(table.rows) // _MOST_ROWS))
    height = -(-len(table.rows) // blocks)
    empty = [""] * len(table.columns)
    rows = [
        [
            cell
            for start in range(0, blocks * height, height)
            for cell in (table.rows[start:] + [empty] * height)[row]
        ]
        for row in range(height)
    ]
    page.table(table.columns * blocks, rows)
