"""The scan from above: a picture that shows wrong axes and poses at a glance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_prep.report.overlay import depth_colors
from data_prep.scans import Frame

_BACKGROUND, _GRID, _TEXT = (250, 250, 248), (226, 226, 222), (70, 70, 70)
_SENSOR, _PATH = (20, 20, 20), (120, 120, 120)
_AXES = {"x": (214, 39, 40), "y": (44, 160, 44)}
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
