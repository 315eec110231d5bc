"""The report as a page: findings, points drawn on the images, the scan from above and to turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.check.report import CheckReport
from data_prep.check.top_view import draw_top_view
from data_prep.report import Page
from data_prep.report.overlay import draw_overlay

_MARKS = {"ok": "ok", "warning": "⚠ warning", "error": "✘ error"}
_OVERLAYS = 8
_CLOUD_POINTS = 80_000


def write_check_page(report: CheckReport, path: str | Path) -> Path:
    """Write one self-contained HTML file.

    Args:
        report: with its sample.
        path: of the file.
    """
    counts = {severity: sum(f.severity == severity for f in report.findings) for severity in _MARKS}
    page = Page(
        f"Check of {Path(report.root).name}",
        f"{report.source}, {report.frames:,} frames in {report.root}; {len(report.sample.notes)} of them read. "
        f"{counts['error']} errors, {counts['warning']} warnings, {counts['ok']} checks passed.",
    )
    page.heading("Findings")
    page.table(
        ["", "check", "what was measured", "what to do"],
        [[_MARKS[f.severity], f.check, f.message, f.fix] for f in report.findings],
    )
    page.heading("What is there")
    page.table(["part", ""], [*report.there.items(), ("missing", ", ".join(report.missing) or "nothing")])
    if report.motion:
        page.heading("Do neighbouring frames agree?")
        page.paragraph(
            "Points of the first frame, moved into the second by the poses as they are given, by their inverse, "
            "without them, and so on: the median distance to what the second frame measured there, in "
            "millimetres. The right reading of the poses has the smallest."
        )
        names = list(report.motion[0].metres)
        page.table(
            ["first", "second", *names],
            [
                [pair.first, pair.second, *(_millimetres(pair.metres[name]) for name in names)]
                for pair in report.motion
            ],
        )
    _add_pictures(page, report)
    return page.write(path)


def _add_pictures(page: Page, report: CheckReport) -> None:
    frames = list(report.sample.frames.values())
    if not frames:
        return
    views = [(frame, view) for frame in frames for view in frame.views]
    if views:
        page.heading("Points on the images")
        page.paragraph("Coloured by distance. Steps in colour should run along the outlines of things.")
        for number in np.unique(np.linspace(0, len(views) - 1, _OVERLAYS).round().astype(int)):
            frame, view = views[number]
            page.image(
                draw_overlay(view.image, view.camera, frame.points), f"{frame.id}: {view.name}", width=760
            )
    page.heading("From above")
    page.paragraph(
        "All frames looked at, in the world: x to the right, y up the page, coloured by height (dark low, bright "
        "high); dots are the sensor's places. Walls should be thin and meet at corners."
    )
    page.image(draw_top_view(frames), width=900)
    page.heading("To turn")
    share = max(1, _CLOUD_POINTS // len(frames))
    chosen = [np.random.default_rng(0).permutation(len(frame.points))[:share] for frame in frames]
    points = np.concatenate([f.world_points()[c] for f, c in zip(frames, chosen, strict=True)])
    colors = [None if f.colors is None else f.colors[c] for f, c in zip(frames, chosen, strict=True)]
    known = [color for color in colors if color is not None]
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    kept = ((points >= low) & (points <= high)).all(axis=1)
    page.cloud(
        points[kept].astype(np.float32),
        np.concatenate(known)[kept] if len(known) == len(colors) else None,
        height=560,
        caption="Up on the page is z of the world.",
    )


def _millimetres(metres: float) -> str:
    return f"{1000 * metres:.1f}" if np.isfinite(metres) else "no overlap"
