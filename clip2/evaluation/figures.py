"""Figures of results: confusion matrices and curves as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clip2.evaluation.result import Confusion, Curve, EvalResult
from data_prep.storage.extras import require_extra
from data_prep.storage.files import write_atomically

_DPI = 110
# Above this many classes the counts in the cells are too small to read.
_MOST_WITH_NUMBERS = 20
_MOST_MARKERS = 40


def draw_figures(result: EvalResult, others: tuple[EvalResult, ...] = ()) -> dict[str, Any]:
    """Name → matplotlib figure: the confusion matrix and one chart per group of curves.

    Args:
        result: whose figures are drawn.
        others: results of other models by the same protocol; their curves are drawn into the same charts.

    Raises:
        InputError: matplotlib is not installed.
    """
    figures = {}
    if result.confusion is not None:
        figures["confusion"] = _confusion(result.confusion, f"{result.benchmark}: {result.model}")
    for chart in dict.fromkeys(curve.chart for curve in result.curves):
        lines = [(each, curve) for each in (result, *others) for curve in each.curves if curve.chart == chart]
        figures[_file_name(chart)] = _chart(chart, lines, several=bool(others))
    return figures


def save_figure(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write ``NAME.png`` and ``NAME.svg``, each atomically."""
    files = []
    for suffix in ("png", "svg"):
        content = _rendered(figure, suffix)
        files.append(folder / f"{name}.{suffix}")
        write_atomically(files[-1], lambda path, content=content: path.write_bytes(content))  # type: ignore[misc]
    return files


def picture(figure: Any) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB of a figure."""
    return np.asarray(Image.open(io.BytesIO(_rendered(figure, "png"))).convert("RGB"))


def _rendered(figure: Any, suffix: str) -> bytes:
    content = io.BytesIO()
    # Without a date two runs write the same bytes.
    metadata = {"Date": None} if suffix == "svg" else None
    figure.savefig(content, format=suffix, dpi=_DPI, bbox_inches="tight", metadata=metadata)
    return content.getvalue()


def _new_figure(width: float, height: float) -> tuple[Any, Any]:
    require_extra("matplotlib", "eval", needed_for="figures of an evaluation")
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _confusion(confusion: Confusion, title: str) -> Any:
    counts = np.array(confusion.counts, dtype=float)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    size = len(confusion.labels)
    side = min(4.0 + 0.32 * size, 14.0)
    figure, axes = _new_figure(side + 1, side)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(
        range(size),
        confusion.labels,
        rotation=90 if size > 12 else 45,
        ha="right" if size <= 12 else "center",
    )
    axes.set_yticks(range(size), confusion.labels)
    axes.tick_params(labelsize=9 if size <= 20 else 6)
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true label")
    axes.set_title(title, fontsize=10)
    if size <= _MOST_WITH_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = shares[row, column] > 0.5
            axes.text(
                column, row, f"{int(counts[row, column])}",
                ha="center", va="center", fontsize=8, color="white" if dark else "black",
            )  # fmt: skip
    figure.colorbar(image, ax=axes, label="share of the true label", shrink=0.8)
    return figure


def _chart(title: str, lines: list[tuple[EvalResult, Curve]], several: bool) -> Any:
    first = lines[0][1]
    if first.unit_square:
        figure, axes = _new_figure(5.6, 5.2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    else:
        figure, axes = _new_figure(8.6 if len(lines) > 6 else 7, 4.4)
    if first.diagonal:
        axes.plot((0, 1), (0, 1), linestyle="--", linewidth=1, color="0.6", zorder=0)
    palette = _colors(len(lines))
    for number, ((result, curve), color) in enumerate(zip(lines, palette, strict=True)):
        name = f"{curve.name} ({result.model})" if several else curve.name
        marker = "o" if len(curve.x) <= _MOST_MARKERS else None
        # The second of two colors that look alike is dashed.
        style = "--" if len(lines) > 10 and number % 2 else "-"
        axes.plot(
            curve.x, curve.y, style, marker=marker, markersize=3.5, linewidth=1.6, label=name, color=color
        )
        if curve.spread:
            middle, half = np.array(curve.y), np.array(curve.spread)
            axes.fill_between(curve.x, middle - half, middle + half, alpha=0.15, color=color, linewidth=0)
    if first.log_x:
        axes.set_xscale("log", base=2)
        ticks = sorted({x for _, curve in lines for x in curve.x})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if not first.unit_square and all(min(curve.y, default=0) >= 0 for _, curve in lines):
        axes.set_ylim(bottom=0)  # or a change of one object would fill the chart
    axes.set_xlabel(first.x_name)
    axes.set_ylabel(first.y_name)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    if len(lines) > 6:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif len(lines) > 1:
        axes.legend(fontsize=8)
    return figure


def _colors(count: int) -> list[Any]:
    from matplotlib import colormaps

    table = colormaps["tab10" if count <= 10 else "tab20"]
    return [table(i % table.N) for i in range(count)]


def _file_name(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
