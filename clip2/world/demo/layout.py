"""The parts of the demo's page that other reports do not have."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
        """Add markup; whatever comes from outside must be escaped in it."""
        self._add(html)
        return self

    def notice(self, text: str) -> DemoPage:
        """Add a paragraph that nobody overlooks."""
        return self.html_part(f'<div class="notice"><p>{escape(text)}</p></div>')

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> DemoPage:
        """Add figures in large type with what they mean."""
        inner = "".join(
            f'<div class="tile"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in tiles
        )
        return self.html_part(f'<div class="tiles">{inner}</div>')

    def drawing(self, svg: str, caption: str = "") -> DemoPage:
        """Add an SVG drawing on a card."""
        return self.html_part(f"<figure>{drawing(svg)}{_caption(caption)}</figure>")

    def columns(self, *parts: str) -> DemoPage:
        """Add parts side by side, below each other where there is no room."""
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
        labels: Sequence[str],
        owners: NDArray[np.int64],
        *,
        seen_from: NDArray | None = None,
        height: int = 640,
        max_points: int = 110_000,
        caption: str = "",
    ) -> DemoPage:
        """Add a cloud with named boxes, first looked at from the direction ``seen_from``; see :meth:`Page.cloud`."""
        view, note = cloud_figure(
            points,
            colors,
            boxes,
            captions,
            labels=labels,
            owners=owners,
            max_points=max_points,
            height=height,
            seen_from=seen_from,
        )
        return self.html_part(
            f'<figure class="wide">{view}{_caption(f"{caption} {note[0].upper()}{note[1:]}.")}</figure>'
        )


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
    """A picture with captioned boxes drawn over it, sharp at every size.

    Args:
        rgb: (h, w, 3) uint8.
        boxes: (M, 4) xyxy pixels.
        captions, colors: M texts and CSS colors.
    """
    height, width = rgb.shape[:2]
    # Letters of 11 units on a drawing 560 wide, whatever the picture's pixels.
    scale = 560 / width
    parts = [
        f'<rect class="box" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" stroke="{color}"/>'
        for (x0, y0, x1, y1), color in zip(boxes * scale, colors, strict=True)
    ]
    placed: list[tuple[float, float, float]] = []
    # Large boxes first; a caption that finds no room above or inside its box is left out.
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
