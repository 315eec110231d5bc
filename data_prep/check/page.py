"""HTML page of a check: findings, points drawn on the images, a top view and a 3D view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_prep.check.report import CheckReport
from data_prep.geometry import invert, transform_points
from data_prep.report import Page
from data_prep.report.overlay import depth_colors, draw_overlay
from data_prep.scans import Frame

Picture = NDArray[np.uint8]

_MARKS = {"ok": "ok", "warning": "⚠ warning", "error": "✘ error"}
_ROWS = 4  # of pictures, two in each
_PICTURE_WIDTH, _GAP = 780, 12
_WIDE = 2.2  # width over height from which a picture has a row of its own
_CLOUD_POINTS = 60_000
_BACKGROUND, _GRID, _TEXT = (250, 250, 248), (226, 226, 222), (70, 70, 70)
_SENSOR, _PATH = (20, 20, 20), (120, 120, 120)
_AXES = {"x": (214, 39, 40), "y": (44, 160, 44)}
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
        ["", "check", "measurement", "what to do"],
        [[_MARKS[f.severity], f.check, f.message, f.fix] for f in report.findings],
    )
    page.heading("Contents")
    page.table(
        ["part", "content"], [*report.there.items(), ("missing", ", ".join(report.missing) or "nothing")]
    )
    if report.motion:
        page.heading("Agreement of neighboring frames")
        page.paragraph(
            "Points of the first frame are moved into the second by the given poses, by their inverse, without poses, "
            "and so on. Each number is the median distance to the second frame's measurement, in millimeters. The right "
            "reading of the poses has the smallest."
        )
        names = list(report.motion[0].meters)
        page.table(
            ["first", "second", *names],
            [
                [pair.first, pair.second, *(_millimeters(pair.meters[name]) for name in names)]
                for pair in report.motion
            ],
        )
    _add_pictures(page, report)
    return page.write(path)


def _add_pictures(page: Page, report: CheckReport) -> None:
    frames = list(report.sample.frames.values())
    if not frames:
        return
    rows = _rows_of_moved_points(report) or _rows_of_own_points(frames)
    if rows:
        page.heading("Points on the images")
        page.paragraph("Colored by distance. Steps in color should follow the outlines of objects.")
    for row, caption in rows:
        single = len(row) == 1 and row[0].shape[1] < _WIDE * row[0].shape[0]
        page.image(row[0] if len(row) == 1 else _side_by_side(*row), caption, width=524 if single else 1060)
    if not report.motion:  # the frames may not share a world
        frames = frames[:1]
    page.heading("Top view")
    page.paragraph(
        f"{len(frames)} frame{'s' if len(frames) > 1 else ''} in the world: x to the right, y up the page, yellow "
        "low, dark high; dots are the positions of the sensor. Walls should be thin and meet at corners."
    )
    page.image(draw_top_view(frames), width=900)
    page.heading("3D view")
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
        caption="The world's z axis points up.",
    )


def _rows_of_own_points(frames: list[Frame]) -> list[tuple[tuple[Picture, ...], str]]:
    """Each frame's points on its images."""
    views = [(frame, view) for frame in frames for view in frame.views]
    if not views:
        return []
    chosen = np.unique(np.linspace(0, len(views) - 1, 2 * _ROWS).round().astype(int))
    rows: list[tuple[tuple[Picture, ...], str]] = []
    for frame, view in (views[number] for number in chosen):
        picture = draw_overlay(view.image, view.camera, frame.points)
        caption, wide = f"{frame.id}: {view.name}", picture.shape[1] >= _WIDE * picture.shape[0]
        if rows and len(rows[-1][0]) == 1 and not wide and rows[-1][0][0].shape == picture.shape:
            rows[-1] = ((*rows[-1][0], picture), f"{rows[-1][1]}; {caption}")
        else:
            rows.append(((picture,), caption))
    return rows


def _rows_of_moved_points(report: CheckReport) -> list[tuple[tuple[Picture, ...], str]]:
    """The first frame's points on its own image, and, moved by the poses, on the second's."""
    if not report.motion:
        return []
    rows: list[tuple[tuple[Picture, ...], str]] = []
    for i, j in report.sample.pairs[:_ROWS]:
        first, second = report.sample.frames[i], report.sample.frames[j]
        if not first.views or not second.views:
            continue
        here, there = first.views[0], second.views[0]
        moved = transform_points(invert(second.T_world_points) @ first.T_world_points, first.points)
        own = draw_overlay(here.image, here.camera, first.points)
        rows.append(
            (
                (own, draw_overlay(there.image, there.camera, moved)),
                f"Left: points of {first.id} on their own image. Right: the same points, moved by the poses, on "
                f"the image of {second.id}: they should still lie on the same things.",
            )
        )
    return rows


def _side_by_side(left: Picture, right: Picture) -> Picture:
    """Two pictures at one width."""
    scaled = []
    for picture in (left, right):
        height = round(picture.shape[0] * _PICTURE_WIDTH / picture.shape[1])
        scaled.append(Image.fromarray(picture).resize((_PICTURE_WIDTH, height), Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (2 * _PICTURE_WIDTH + _GAP, max(s.height for s in scaled)), "white")
    sheet.paste(scaled[0], (0, 0))
    sheet.paste(scaled[1], (_PICTURE_WIDTH + _GAP, 0))
    return np.asarray(sheet)


def _millimeters(meters: float) -> str:
    return f"{1000 * meters:.1f}" if np.isfinite(meters) else "no overlap"


def draw_top_view(frames: list[Frame], width: int = 900, max_points: int = 150_000) -> NDArray[np.uint8]:
    """Points of all frames in the world, x to the right and y up, colored by height; sensors as dots, in order.

    Args:
        frames: at least one.
        width: of the picture, pixels; its height follows the scene, up to the same.
        max_points: of all frames together; more are thinned at random.

    Returns:
        (h, width, 3) uint8 RGB.
    """
    share = max(1, max_points // len(frames))
    clouds = []
    for frame in frames:
        points = frame.world_points()
        chosen = np.random.default_rng(0).permutation(len(points))[:share]
        clouds.append(points[chosen])
    world = np.concatenate(clouds)
    sensors = np.array([frame.T_world_points[:3, 3] for frame in frames])
    low, high = np.percentile(world[:, :2], [1, 99], axis=0)
    low, high = np.minimum(low, sensors[:, :2].min(axis=0)), np.maximum(high, sensors[:, :2].max(axis=0))
    center, size = (low + high) / 2, np.maximum(high - low, 1e-3) * 1.08
    scale = min(width / size[0], width / size[1])
    height = int(np.clip(size[1] * scale, 0.3 * width, width))
    middle = np.array([width / 2, height / 2])

    def pixels(points: NDArray) -> NDArray[np.int64]:
        return np.rint(middle + (points[:, :2] - center) * scale * [1, -1]).astype(np.int64)

    canvas = np.full((height, width, 3), _BACKGROUND, np.uint8)
    step = next((s for s in _STEPS if s * scale >= 60), _STEPS[-1])
    extent = middle / scale
    for axis in (0, 1):
        first, last = np.ceil((center[axis] - extent[axis]) / step), (center[axis] + extent[axis]) / step
        for value in np.arange(first, last) * step:
            at = pixels(np.array([[value, value]]))[0][axis]
            if axis == 0 and 0 <= at < width:
                canvas[:, at] = _GRID
            elif axis == 1 and 0 <= at < height:
                canvas[at] = _GRID
    _scatter(canvas, pixels(world), world[:, 2])
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=14)
    path = [tuple(spot) for spot in pixels(sensors).tolist()]
    if len(path) > 1:
        draw.line(path, fill=_PATH, width=2)
    for x, y in path:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_SENSOR)
    corner = np.array([34, height - 34])
    for name, way in (("x", (1, 0)), ("y", (0, -1))):
        tip = corner + 44 * np.array(way)
        draw.line((*corner, *tip), fill=_AXES[name], width=3)
        draw.text((tip + 9 * np.array(way)).tolist(), name, fill=_AXES[name], font=font, anchor="mm")
    draw.line((width - 20 - step * scale, height - 18, width - 20, height - 18), fill=_TEXT, width=3)
    draw.text((width - 20, height - 24), f"{step:g} m", fill=_TEXT, font=font, anchor="rb")
    return np.asarray(picture)


def _scatter(canvas: NDArray[np.uint8], pixels: NDArray[np.int64], heights: NDArray) -> None:
    """Points low to high, so that the highest is seen, on a linear scale of height."""
    low, high = np.percentile(heights, [2, 98])
    shade = np.clip((heights - low) / max(high - low, 1e-6), 0, 1)
    colors = depth_colors(1 + 9 * shade, 1.0, 10.0)
    order = np.argsort(heights, kind="stable")
    spots, colors = pixels[order], colors[order]
    inside = (spots >= 0).all(axis=1) & (spots[:, 0] < canvas.shape[1]) & (spots[:, 1] < canvas.shape[0])
    canvas[spots[inside, 1], spots[inside, 0]] = colors[inside]
