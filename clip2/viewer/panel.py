"""HTML of the page's panel: legend, details of an object, lists. Everything that comes from data is escaped."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clip2.viewer.appearance import LegendRow
from clip2.viewer.session import Session

_TEXT = "font-size:12px;line-height:1.5;margin:2px 4px"
_DIM = "opacity:.65"


def legend_html(rows: Sequence[LegendRow], most: int = 24) -> str:
    """A swatch, a label, the number of objects, and the best score per row."""
    if not rows:
        return f'<div style="{_TEXT};{_DIM}">no objects</div>'
    lines = []
    for row in rows[:most]:
        score = "" if row.score is None else f"best {row.score:.2f}"
        dim = "" if row.objects else f";{_DIM}"
        lines.append(
            f'<div style="display:flex;gap:8px;align-items:center{dim}">'
            f'<span style="flex:none;width:12px;height:12px;border-radius:3px;background:rgb{row.color}"></span>'
            f'<span style="flex:1;overflow:hidden;text-overflow:ellipsis;white-space:nowrap">{escape(row.label)}</span>'
            f'<span style="{_DIM};font-variant-numeric:tabular-nums">{score}</span>'
            f'<b style="min-width:2em;text-align:right;font-variant-numeric:tabular-nums">{row.objects}</b></div>'
        )
    if len(rows) > most:
        lines.append(f'<div style="{_DIM}">and {len(rows) - most} more labels</div>')
    return f'<div style="{_TEXT}">{"".join(lines)}</div>'


def with_legend(page: str, title: str, coloring: str, rows: Sequence[LegendRow]) -> str:
    """A page of viser as HTML with title, meaning of the colors and legend in its corner; it has no panel of its own.

    Args:
        page: self-contained HTML.
        title: of the page and the browser tab.
        coloring: what the colors of the points mean.
        rows: of the legend, which also gives the colors of the boxes.
    """
    corner = (
        '<div id="clip2-legend" style="position:fixed;left:14px;top:14px;z-index:1000;width:230px;max-height:90vh;'
        "overflow:auto;padding:8px 10px;border-radius:8px;background:rgba(26,27,30,.88);color:#e9ecf2;"
        'font-family:system-ui,sans-serif">'
        f'<div style="{_TEXT}"><b>{escape(title)}</b><div style="{_DIM}">points by {escape(coloring)}</div></div>'
        f"{legend_html(rows) if rows else ''}</div>"
        # The client sets a title of its own when it starts.
        f"<script>addEventListener('load',()=>document.title={_script_text(title)})</script>"
    )
    end = page.rindex("</body>")
    return page[:end] + corner + page[end:]


def message_html(text: str, warning: bool = False) -> str:
    """One line of text; empty text gives nothing."""
    color = ";color:#e8a33d" if warning else f";{_DIM}"
    return f'<div style="{_TEXT}{color}">{escape(text)}</div>' if text else ""


def object_html(session: Session, number: int, crops: Sequence[NDArray[np.uint8]] = ()) -> str:
    """What is known of one object: labels with bars, size, distance, crops.

    Args:
        session: with the object.
        number: of the object.
        crops: (h, w, 3) uint8 images it was seen in.
    """
    naming, objects = session.naming, session.content.objects
    box = session.boxes[number]
    length, width, height = box.size
    assert objects.objectness is not None
    facts = [f"{length:.2f} × {width:.2f} × {height:.2f} m", f"{len(objects.indices[number]):,} points"]
    viewpoint = session.content.viewpoint
    if viewpoint is not None:
        facts.insert(1, f"{np.linalg.norm(box.center - viewpoint):.1f} m from the sensor")
    facts.append(f"objectness {objects.objectness[number]:.2f}")
    if number in session.edits.given:
        facts.append("label given by you")
    elif session.unknown()[number]:
        facts.append("unlike the training objects")
    named = session.is_encoded(number)
    bars = "".join(_bar(label, value) for label, value in naming.top(number)) if named else ""
    pictures = "".join(
        f'<img src="{_data_url(crop)}" alt="" style="height:84px;border-radius:4px;margin:2px">'
        for crop in crops
    )
    return (
        f'<div style="{_TEXT}"><div style="font-size:15px;font-weight:600">{escape(naming.labels[number] or "object")}'
        f' <span style="{_DIM};font-weight:400">#{number}</span></div>'
        f'<div style="{_DIM}">{" · ".join(facts)}</div><div style="margin:6px 0">{bars}</div><div>{pictures}</div></div>'
    )


def alike_html(session: Session, alike: Sequence[tuple[int, float]]) -> str:
    """Objects most alike the selected one, with their cosines."""
    if not alike:
        return ""
    lines = "".join(_bar(f"#{i} {session.naming.labels[i]}", max(cosine, 0.0)) for i, cosine in alike)
    return f'<div style="{_TEXT}"><b>most alike</b>{lines}</div>'


def _bar(label: str, value: float) -> str:
    percent = 100 * min(max(value, 0.0), 1.0)
    return (
        '<div style="display:grid;grid-template-columns:7.5em 1fr 2.6em;gap:6px;align-items:center">'
        f'<span style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap">{escape(label)}</span>'
        '<span style="height:8px;border-radius:4px;background:rgba(128,128,128,.25)">'
        f'<span style="display:block;height:8px;border-radius:4px;width:{percent:.1f}%;background:#4dabf7"></span></span>'
        f'<span style="text-align:right;font-variant-numeric:tabular-nums">{value:.2f}</span></div>'
    )


def _script_text(text: str) -> str:
    """The text in quotes for a script inside HTML, which ``</script>`` would end."""
    return json.dumps(text).replace("<", "\\u003c")


def _data_url(rgb: NDArray[np.uint8]) -> str:
    image = Image.fromarray(rgb)
    image.thumbnail((240, 168))
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
