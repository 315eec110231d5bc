"""One self-contained HTML page: text, tables, images, point clouds to turn. No network, no third-party code."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import InputError
from data_prep.files import write_atomically
from data_prep.geometry import OrientedBox
from data_prep.report.cloud_data import cloud_figure

MAX_IMAGE_SIDE = 1600
CARD_IMAGE_SIDE = 256
CARD_POINTS = 2500


@dataclass(frozen=True)
class Card:
    """One object of a gallery.

    Attributes:
        title: the card's heading, a word for instance.
        lines: short facts under it.
        image: (h, w, 3) uint8 RGB, shown beside the cloud, or None.
        points: (n, 3) metres, z-up, or None.
        colors: (n, 3) uint8 RGB of the points, or None: coloured by height.
        seen_from: (3,) direction from the points to where they are first looked at from, or None.
    """

    title: str
    lines: Sequence[str] = ()
    image: NDArray[np.uint8] | None = None
    points: NDArray | None = None
    colors: NDArray[np.uint8] | None = None
    seen_from: NDArray | None = None


class Page:
    """A report that is written top to bottom and opened in any browser.

    >>> page = Page("Objects", intro="Three chairs.")
    >>> html = page.heading("Counts").table(["word", "objects"], [["chair", 3]]).html()
    >>> "<td" in html and "http" not in html
    True

    Args:
        title: of the page and its browser tab.
        intro: one paragraph under the title.
    """

    def __init__(self, title: str, intro: str = "") -> None:
        self.title = title
        self._parts: list[str] = [f"<header><h1>{escape(title)}</h1>"]
        self._parts.append(f'<p class="intro">{escape(intro)}</p></header>' if intro else "</header>")

    def heading(self, text: str) -> Page:
        """Start a section."""
        return self._add(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> Page:
        """Add running text; blank lines part paragraphs."""
        return self._add("".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip()))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Page:
        """Add a table; numbers are set flush right, floats with three digits.

        Raises:
            InputError: a row is not as long as ``columns``.
        """
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                raise InputError(
                    f"has {len(row)} cells for {len(columns)} columns", field=f"table row {number}"
                )
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        return self._add(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def image(self, rgb: NDArray[np.uint8], caption: str = "", width: int | None = None) -> Page:
        """Add an (h, w, 3) uint8 RGB image; ``width`` is on the page, in CSS pixels (default: its own, at most the page's)."""
        return self._add(f"<figure>{_image(rgb, MAX_IMAGE_SIDE, width, caption)}{_caption(caption)}</figure>")

    def cloud(
        self,
        points: NDArray,
        colors: NDArray[np.uint8] | None = None,
        boxes: Sequence[OrientedBox] = (),
        captions: Sequence[str] = (),
        height: int = 480,
        max_points: int = 60000,
        *,
        labels: Sequence[str] | None = None,
        owners: NDArray | None = None,
        grey: Sequence[str] = (),
        caption: str = "",
    ) -> Page:
        """Add a cloud that can be turned (drag), zoomed (wheel, pinch) and reset (double click).

        Args:
            points: (N, 3) metres, z-up.
            colors: (N, 3) uint8 RGB, or None: coloured by height.
            boxes: drawn as lines, in the points' frame.
            captions: text at each box; as many as boxes, or none.
            height: of the view, CSS pixels.
            max_points: more points are thinned to this many at random; the caption says so.
            labels: per box, the legend entry it belongs to; a click on an entry hides its boxes. Default: captions.
            owners: (N,) index of the box each point belongs to, -1 for none; lets the legend light objects up.
            grey: labels that get no colour of their own.
            caption: text under the view.

        Raises:
            InputError: shapes that do not fit together, values that are not finite.
        """
        view, note = cloud_figure(
            points,
            colors,
            boxes,
            captions,
            labels=labels,
            owners=owners,
            grey=grey,
            max_points=max_points,
            height=height,
        )
        text = ". ".join(part.rstrip(".") for part in (caption, note) if part)
        return self._add(f'<figure class="wide">{view}{_caption(text)}</figure>')

    def gallery(self, cards: Sequence[Card]) -> Page:
        """Add objects side by side: crop beside cloud, title and facts below. Clouds are thinned to 2,500 points."""
        return self._add(f'<div class="gallery">{"".join(map(_card, cards))}</div>')

    def html(self) -> str:
        """The whole page as text."""
        here = files("data_prep.report")
        css, script = (here.joinpath(name).read_text("utf-8") for name in ("page.css", "cloud.js"))
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{css}</style></head>\n<body><main>\n"
            + "\n".join(self._parts)
            + f"\n</main><script>{script}</script></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page; a killed run leaves the old file or the new one, never half of it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        html = self.html()
        write_atomically(path, lambda scratch: scratch.write_text(html, encoding="utf-8"))
        return path

    def _add(self, html: str) -> Page:
        self._parts.append(html)
        return self


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return f"<td>{escape(str(value))}</td>"
    text = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.3f}"
    return f'<td class="number">{text}</td>'


def _caption(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


def _card(card: Card) -> str:
    media = []
    if card.image is not None:
        media.append(_image(card.image, CARD_IMAGE_SIDE, None, card.title))
    if card.points is not None:
        view, _ = cloud_figure(
            card.points, card.colors, max_points=CARD_POINTS, height=170, seen_from=card.seen_from
        )
        media.append(view)
    lines = "".join(f"<li>{escape(line)}</li>" for line in card.lines)
    return (
        f'<article class="card"><div class="media">{"".join(media)}</div>'
        f"<h3>{escape(card.title)}</h3><ul>{lines}</ul></article>"
    )


def _image(rgb: NDArray[np.uint8], max_side: int, width: int | None, alt: str) -> str:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise InputError(f"is {rgb.dtype} {rgb.shape}", field="image", fix="give (h, w, 3) uint8 RGB")
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    shown_width = width or picture.width
    picture.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    # Full chroma resolution: points drawn on an image are single coloured pixels.
    picture.save(buffer, "JPEG", quality=88, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img loading="lazy" width="{shown_width}" alt="{escape(alt, quote=True)}" '
        f'style="aspect-ratio:{picture.width}/{picture.height}" src="data:image/jpeg;base64,{data}">'
    )
