"""Page parts and SVG charts of the demo report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from data_prep.geometry import OrientedBox
from data_prep.report import Page
from data_prep.report.cloud_data import cloud_figure

GOOD, SOFT, STRONG = "#1f8a70", "#b3bac6", "#2f6fed"


class DemoPage(Page):
    """A :class:`~data_prep.report.Page` with figures in large type, bars, drawings and code."""

    def __init__(self, title: str, intro: str) -> None:
        super().__init__(title, intro)
        self.html_part(f"<style>{files('clip2.world.demo').joinpath('demo.css').read_text('utf-8')}</style>")

    def html_part(self, html: str) -> DemoPage:
        """Add markup; the caller escapes external text."""
        self._add(html)
        return self

    def notice(self, text: str) -> DemoPage:
        """Add a highlighted paragraph."""
        return self.html_part(f'<div class="notice"><p>{escape(text)}</p></div>')

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> DemoPage:
        """Add numbers in large type, each with its meaning."""
        inner = (f'<div class="tile"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in tiles)
        return self.html_part(f'<div class="tiles">{"".join(inner)}</div>')

    def drawing(self, svg: str, caption: str = "") -> DemoPage:
        """Add an SVG drawing on a card."""
        return self.html_part(f"<figure>{drawing(svg)}{_caption(caption)}</figure>")

    def columns(self, *parts: str) -> DemoPage:
        """Add parts side by side, stacked on narrow screens."""
        return self.html_part(f'<div class="columns">{"".join(f"<div>{part}</div>" for part in parts)}</div>')

    def code(self, lines: Sequence[str]) -> DemoPage:
        """Add commands; lines that begin with # are comments."""
        rows = [f"<i>{escape(row)}</i>" if row.startswith("#") else escape(row) for row in lines]
        return self.html_part("<pre>" + "\n".join(rows) + "</pre>")

    def scene(
        self,
        points: NDArray,
        colors: NDArray[np.uint8] | None,
        boxes: Sequence[OrientedBox],
        captions: Sequence[str],
        caption: str,
        **options: Any,
    ) -> DemoPage:
        """Add a large cloud with named boxes; ``options`` as for :func:`~data_prep.report.cloud_data.cloud_figure`."""
        view, note = cloud_figure(points, colors, boxes, captions, height=640, max_points=110_000, **options)
        note = f"{caption} {note[0].upper()}{note[1:]}."
        return self.html_part(f'<figure class="wide">{view}{_caption(note)}</figure>')


def table(columns: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> str:
    """A table as markup, laid out as :meth:`Page.table` does it."""
    page = Page("").table(columns, rows)
    return page._parts[-1]


def bars(groups: Sequence[tuple[str, Sequence[tuple[str, float, str]]]]) -> str:
    """Shares as bars.

    Args:
        groups: heading and rows of (name, share 0..1, color).
    """
    parts = []
    for heading, rows in groups:
        parts.append(f"<h4>{escape(heading)}</h4>")
        for name, share, color in rows:
            place = ' class="inside"' if share > 0.8 else ""
            parts.append(
                f'<span>{escape(name)}</span><i{place} style="--share:{100 * share:.1f}%;--bar:{color}">'
                f"<b>{100 * share:.1f} %</b></i>"
            )
    return f'<div class="bars">{"".join(parts)}</div>'


def drawing(svg: str) -> str:
    """An SVG on a card, as markup."""
    return f'<div class="drawing">{svg}</div>'


def picture(rgb: NDArray[np.uint8], alt: str, quality: int = 88) -> str:
    """An image element that holds its JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=quality)
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width = rgb.shape[:2]
    return (
        f'<img loading="lazy" alt="{escape(alt, quote=True)}" style="aspect-ratio:{width}/{height}" '
        f'src="data:image/jpeg;base64,{data}">'
    )


def boxed_picture(
    rgb: NDArray[np.uint8], boxes: NDArray, captions: Sequence[str], colors: Sequence[str], alt: str
) -> str:
    """An image with captioned boxes drawn over it, sharp at every size.

    Args:
        rgb: (h, w, 3) uint8.
        boxes: (M, 4) xyxy pixels.
        captions, colors: M texts and CSS colors.
    """
    height, width = rgb.shape[:2]
    # Letters of 11 units on a drawing 560 wide, independent of the image size.
    scale = 560 / width
    parts = [
        f'<rect class="box" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" stroke="{color}"/>'
        for (x0, y0, x1, y1), color in zip(boxes * scale, colors, strict=True)
    ]
    placed: list[tuple[float, float, float]] = []
    # Large boxes first; a caption is left out if it fits neither above nor inside its box.
    for row in np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1)):
        x0, y0, _, y1 = (boxes[row] * scale).tolist()
        long = 6.3 * len(captions[row]) + 6
        x = min(max(x0, 0.0), 560 - long)
        for y in (max(y0 - 15, 0.0), y0 + 1, y1 - 16):
            if all(x + long < a or a + b < x or abs(y - c) > 15 for a, b, c in placed):
                placed.append((x, long, y))
                parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{long:.1f}" height="15" rx="3" fill="rgb(12 14 18 / .8)"/>'
                    f'<text x="{x + 3:.1f}" y="{y + 11:.1f}" fill="{colors[row]}">{escape(captions[row])}</text>'
                )
                break
    view = f'<svg viewBox="0 0 560 {height * scale:.1f}">{"".join(parts)}</svg>'
    return f'<div class="boxed">{picture(rgb, alt)}{view}</div>'


def label_color(number: int) -> str:
    """The CSS color that the cloud viewer gives to the label of that number."""
    return f"hsl({(number * 137.508 + 20) % 360:.1f} 78% 64%)"


def _caption(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


CURVES = {"train/text_loss": ("text", "#2f6fed"), "train/image_loss": ("image", "#e07a1f")}


def read_curves(metrics: Path) -> dict[str, NDArray[np.float64]]:
    """Name of each term → (steps, 2) step and loss, from a run's ``metrics.jsonl``."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return {
        key: np.array([[row["step"], row[key]] for row in rows if key in row], float).reshape(-1, 2)
        for key in CURVES
    }


def curves_svg(curves: Mapping[str, NDArray[np.float64]], size: tuple[int, int] = (560, 300)) -> str:
    """Losses by step: measured (faint) and smoothed."""
    width, height = size
    left, right, top, low = 34, 70, 12, height - 34
    drawn = {key: curve for key, curve in curves.items() if len(curve)}
    last = max(curve[-1, 0] for curve in drawn.values())
    high = np.ceil(max(curve[:, 1].max() for curve in drawn.values()) * 2) / 2

    def up(loss: Any) -> Any:
        return low - loss / high * (low - top)

    def place(points: NDArray) -> str:
        x = left + points[:, 0] / last * (width - left - right)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, up(points[:, 1]), strict=True))

    parts = []
    for level in np.linspace(0, high, 5):
        y = up(level)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{level:.1f}</text>')
    for share in np.linspace(0, 1, 5):
        x = left + share * (width - left - right)
        parts.append(f'<text x="{x:.1f}" y="{low + 16}" text-anchor="middle">{share * last:.0f}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 3}" text-anchor="middle">step</text>')
    for key, curve in drawn.items():
        (name, color), smooth = CURVES[key], _smooth(curve)
        parts.append(f'<polyline points="{place(curve)}" fill="none" stroke="{color}" stroke-opacity=".25"/>')
        line = f'fill="none" stroke="{color}" stroke-width="2.4" stroke-linejoin="round"'
        parts.append(f'<polyline points="{place(smooth)}" {line}/>')
        at = f'x="{width - right + 7}" y="{up(smooth[-1, 1]) + 4:.1f}"'
        parts.append(f'<text {at} style="fill:{color};font-weight:600">{name}</text>')
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="training curves">{inner}</svg>'


def confusion_svg(
    confusion: NDArray[np.int64], words: Sequence[str], groups: Sequence[Sequence[str]], cell: float = 13.0
) -> str:
    """Confusion matrix: rows are true labels, columns are given labels, shades are shares of the row.

    Labels that are neither true nor given anywhere are left out. Within each group, confused labels are adjacent.

    Args:
        confusion: (K, K) counts, rows true.
        words: K labels.
        groups: labels that belong together, for instance those of rooms and those of streets.
        cell: side of a cell, in SVG units.
    """
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    order: list[int] = []
    cuts = []
    for group in groups:
        order += _neighbors_first(confusion, [row for row in map(words.index, group) if occurs[row]])
        cuts.append(len(order))
    counts = confusion[np.ix_(order, order)]
    there = counts.sum(axis=1)
    share = counts / np.maximum(there, 1)[:, None]
    left, top, right = 112, 112, 34
    side = cell * len(order)
    parts = [f'<rect class="frame" x="{left}" y="{top}" width="{side}" height="{side}"/>']
    for cut in cuts[:-1]:
        at = cut * cell
        parts.append(f'<line class="grid" x1="{left}" x2="{left + side}" y1="{top + at}" y2="{top + at}"/>')
        parts.append(f'<line class="grid" x1="{left + at}" x2="{left + at}" y1="{top}" y2="{top + side}"/>')
    for row, word in enumerate(order):
        name, middle = escape(words[word]), (row + 0.5) * cell
        parts.append(f'<text x="{left - 6}" y="{top + middle + 3.5:.1f}" text-anchor="end">{name}</text>')
        turn = f"translate({left + middle + 3.5:.1f} {top - 6}) rotate(-90)"
        parts.append(f'<text transform="{turn}">{name}</text>')
        parts.append(f'<text x="{left + side + 6}" y="{top + middle + 3.5:.1f}">{there[row]}</text>')
        for column in np.flatnonzero(counts[row]):
            kind = "right" if column == row else "wrong"
            said = f"{words[word]} called {words[order[column]]}: {counts[row, column]} of {there[row]}"
            parts.append(
                f'<rect class="{kind}" x="{left + column * cell + 0.5:.1f}" y="{top + row * cell + 0.5:.1f}" '
                f'width="{cell - 1}" height="{cell - 1}" rx="2" fill-opacity="{0.15 + 0.85 * share[row, column]:.2f}">'
                f"<title>{escape(said)}</title></rect>"
            )
    size = f"0 0 {left + side + right:.0f} {top + side + 4:.0f}"
    return f'<svg class="matrix" viewBox="{size}" role="img" aria-label="confusion matrix">{"".join(parts)}</svg>'


def _smooth(curve: NDArray[np.float64], share: float = 0.08) -> NDArray[np.float64]:
    """Gaussian smoothing, with a width proportional to the length of the curve."""
    width = max(1.0, share * len(curve) / 2)
    distance = np.arange(len(curve))[:, None] - np.arange(len(curve))[None]
    weight = np.exp(-0.5 * (distance / width) ** 2)
    return np.stack([curve[:, 0], weight @ curve[:, 1] / weight.sum(axis=1)], axis=1)


def _neighbors_first(confusion: NDArray[np.int64], rows: list[int]) -> list[int]:
    """The rows in an order that puts confused labels side by side."""
    if len(rows) < 3:
        return rows
    counts = confusion[np.ix_(rows, rows)].astype(float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distance = 1 - (share + share.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [rows[i] for i in leaves_list(tree)]
