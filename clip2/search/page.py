"""HTML page of search hits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from clip2.search.hits import Hit
from data_prep.report import Card, Page


def write_hits(path: str | Path, title: str, intro: str, hits: Sequence[Hit]) -> Path:
    """Write a self-contained page with one card per object: crops, cloud, place, time and source.

    Args:
        path: HTML file.
        title: usually the query.
        intro: one paragraph.
        hits: best first.
    """
    return add_hits(Page(title, intro), hits).write(path)


def add_hits(page: Page, hits: Sequence[Hit]) -> Page:
    """Add one card per object to a page."""
    if not hits:
        return page.paragraph("Nothing was found.")
    return page.gallery([_card(rank, hit) for rank, hit in enumerate(hits, start=1)])


def _card(rank: int, hit: Hit) -> Card:
    one = hit.object
    x, y, z = one.box[:3]
    length, width, height = one.box[3:6]
    lines = [
        f"similarity {hit.similarity:.3f} · {one.num_points:,} points",
        f"{length:.2f} × {width:.2f} × {height:.2f} m at ({x:.1f}, {y:.1f}, {z:.1f})",
        f"{one.scan}{'' if one.timestamp is None else f' · {_moment(one.timestamp)}'}",
        one.source
        if "#" in one.source
        else f"object {one.number}{f' of {one.source}' if one.source else ''}",
    ]
    if hit.others:
        lines.append(f"seen {1 + len(hit.others)} times")
    crops = [each.crop for each in (one, *hit.others) if each.crop is not None]
    return Card(
        title=f"{rank}. {one.label or 'unnamed'}",
        lines=lines,
        image=crops[0] if crops else None,
        points=one.points,
        colors=one.colors,
        more_images=crops[1:],
    )


def _moment(timestamp: float) -> str:
    """A date; a clock that does not count from 1970, as in many datasets, is shown in seconds."""
    if timestamp < 1e8:
        return f"{timestamp:.1f} s"
    try:
        return datetime.fromtimestamp(timestamp, timezone.utc).isoformat(sep=" ", timespec="seconds")[:19]
    except (OverflowError, ValueError, OSError):
        return f"{timestamp:.1f} s"
