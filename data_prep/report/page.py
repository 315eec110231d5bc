"""Self-contained HTML page: text, tables, charts, images, 3D point clouds.

A page must open from a USB stick, a mail attachment or a CI artifact, years later and without a network. Its three views
are therefore plain JavaScript without third-party code, kept on purpose: ``cloud.js`` (WebGL point cloud with boxes),
``explorer.js`` (gallery to search and filter) and ``overlay.js`` (points and boxes on a photo).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import Camera, OrientedBox
from data_prep.report.cards import Card, CardSize, Measure, card_element, explorer_element
from data_prep.report.charts import Bar, Spread, bar_chart, spread_chart
from data_prep.report.cloud_data import cloud_figure
from data_prep.report.overlay import OverlayObject
from data_prep.report.overlay_view import overlay_view
from data_prep.report.pictures import image_element
from data_prep.storage.files import write_atomically

MAX_IMAGE_SIDE = 1600


class FormField(NamedTuple):
    """A text field: its name in the query, what is written on it, its text, and texts to offer."""

    name: str
    label: str
    text: str = ""
    offered: Sequence[str] = ()


class Page:
    """A report that is built from top to bottom and opens in any browser.

    >>> page = Page("Objects", intro="Three chairs.")
    >>> html = page.heading("Counts").table(["label", "objects"], [["chair", 3]]).html()
    >>> "<td" in html and "http" not in html
    True

    Args:
        title: of the page and its browser tab.
        intro: one paragraph under the title.
    """

    def __init__(self, title: str, intro: str = "") -> None:
        self.title = title
        self._needs = ["cloud"]
        self._parts: list[str] = [f"<header><h1>{escape(title)}</h1>"]
        self._parts.append(f'<p class="intro">{escape(intro)}</p></header>' if intro else "</header>")

    def heading(self, text: str) -> Page:
        """Start a section."""
        return self._add(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> Page:
        """Add running text; blank lines separate paragraphs."""
        return self._add("".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip()))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Page:
        """Add a table; numbers are right-aligned, floats have three digits.

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

    def links(self, targets: Sequence[tuple[str, str]]) -> Page:
        """Add a list of links to pages beside this one: (relative path, text) each."""
        items = "".join(f'<li><a href="{escape(path)}">{escape(text)}</a></li>' for path, text in targets)
        return self._add(f"<ul>{items}</ul>")

    def form(self, fields: Sequence[FormField], button: str) -> Page:
        """Add a form; its button opens the page's own address with the fields as the query."""
        return self._add(
            f'<form class="ask">{"".join(map(_field, fields))}<button>{escape(button)}</button></form>'
        )

    def image(self, rgb: NDArray[np.uint8], caption: str = "", width: int | None = None) -> Page:
        """Add an (h, w, 3) uint8 RGB image; ``width`` in CSS pixels (default: its own, at most the page's)."""
        return self._add(
            f"<figure>{image_element(rgb, MAX_IMAGE_SIDE, width, caption)}{_caption(caption)}</figure>"
        )

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
        gray: Sequence[str] = (),
        spans: Sequence[tuple[float, float]] | None = None,
        values: Sequence[float] | None = None,
        value: str = "",
        places: Sequence[tuple[str, NDArray]] = (),
        caption: str = "",
    ) -> Page:
        """Add a point cloud to rotate (drag), zoom (wheel, pinch) and reset (double click).

        Args:
            points: (N, 3) meters, z-up.
            colors: (N, 3) uint8 RGB, or None: colored by height.
            boxes: drawn as lines, in the points' frame.
            captions: text at each box; as many as boxes, or none.
            height: of the view, CSS pixels.
            max_points: more points are thinned to this many at random; the caption says so.
            labels: legend entry of each box; a click on an entry hides its boxes. Default: captions.
            owners: (N,) index of the box of each point, -1 for none; the legend can then highlight objects.
            gray: labels whose boxes are gray, and whose objects each have a pale color of their own.
            spans: first frame in which each box is there, and the first in which it is no more; a slider then chooses
                the frame.
            values: number 0..1 of each box; a button then colors objects by it.
            value: what the numbers are, for the button.
            places: names to write at points (3,), like the parts of a room.
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
            gray=gray,
            spans=spans,
            values=values,
            value=value,
            places=places,
            max_points=max_points,
            height=height,
        )
        text = ". ".join(part.rstrip(".") for part in (caption, note) if part)
        return self._add(f'<figure class="wide">{view}{_caption(text)}</figure>')

    def gallery(self, cards: Sequence[Card]) -> Page:
        """Add objects side by side: crop beside cloud, title and facts below. Clouds are thinned to 2,500 points."""
        return self._add(
            f'<div class="gallery">{"".join(card_element(card, CardSize()) for card in cards)}</div>'
        )

    def bars(self, bars: Sequence[Bar], most: float | None = None) -> Page:
        """Add a bar chart; a click on a bar with a query filters the page's :meth:`explorer`.

        Args:
            bars: from above.
            most: value of a full bar, 1 for shares; None: the largest.
        """
        return self._add(bar_chart(bars, most)) if bars else self

    def spreads(self, spreads: Sequence[Spread], unit: str) -> Page:
        """Add a chart of the spread of values in groups, on one logarithmic scale in ``unit``."""
        return self._add(spread_chart(spreads, unit))

    def explorer(self, cards: Sequence[Card], measures: Sequence[Measure] = ()) -> Page:
        """Add a gallery with search, filters and enlargement, at most one per page. Clouds are thinned to 1,000 points.

        Args:
            cards: each with a unique key.
            measures: numbers of the cards to sort and filter by.

        Raises:
            InputError: two cards share a key, or one has none.
        """
        return self._add(explorer_element(cards, measures), needs="explorer")

    def overlay(
        self,
        image: NDArray[np.uint8],
        camera: Camera,
        points: NDArray,
        objects: Sequence[OverlayObject] = (),
        caption: str = "",
    ) -> Page:
        """Add a photo with a frame's points by depth and its objects, with toggles and zoom.

        Args:
            image: (H, W, 3) uint8 RGB of the camera's size.
            camera: with the calibration to show.
            points: (N, 3) all points of the frame, meters; thinned to 24,000.
            objects: points, box and caption of each.
            caption: text under it.
        """
        view = overlay_view(image, camera, points, objects)
        return self._add(f'<figure class="wide">{view}{_caption(caption)}</figure>', needs="overlay")

    def html(self) -> str:
        """The whole page as text."""
        here = files("data_prep.report")
        # Order matters: cloud.js comes before the scripts that create clouds.
        names = ["page.css", "charts.css", *(f"{name}.css" for name in self._needs[1:])]
        css = "".join(here.joinpath(name).read_text("utf-8") for name in names)
        script = "".join(here.joinpath(f"{name}.js").read_text("utf-8") for name in self._needs)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{css}</style></head>\n<body><main>\n"
            + "\n".join(self._parts)
            + f"\n</main><script>{script}</script></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page atomically."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        html = self.html()
        write_atomically(path, lambda scratch: scratch.write_text(html, encoding="utf-8"))
        return path

    def _add(self, html: str, needs: str = "cloud") -> Page:
        if needs not in self._needs:
            self._needs.append(needs)
        self._parts.append(html)
        return self


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return f"<td>{escape(str(value))}</td>"
    text = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.3f}"
    return f'<td class="number">{text}</td>'


def _field(field: FormField) -> str:
    options = "".join(f'<option value="{escape(text)}">' for text in field.offered)
    return (
        f'<label>{escape(field.label)} <input type="search" name="{escape(field.name)}" value="{escape(field.text)}" '
        f'list="offered-{escape(field.name)}" autocomplete="off"></label>'
        f'<datalist id="offered-{escape(field.name)}">{options}</datalist>'
    )


def _caption(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""
