"""Overlay drawing: points by depth on the image of their camera, which exposes a wrong calibration."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_prep.geometry import Camera

# Plasma (van der Walt and Smith, 2015) at nine stops: perceptually even, and unlike the greens and grays of most scenes.
_PLASMA = np.array(
    [(13, 8, 135), (76, 2, 161), (126, 3, 168), (169, 35, 149), (204, 71, 120), (230, 108, 92), (248, 149, 64),
     (253, 197, 39), (240, 249, 33)],
    dtype=np.float64,
)  # fmt: skip
# The background is gray, so that every color is a point, and brightened, so that edges stay visible.
_GAMMA, _BRIGHTNESS = 0.6, 0.72
_LEGEND_HEIGHT = 26


@dataclass(frozen=True)
class OverlayObject:
    """An object to mark on an image.

    Attributes:
        points: (n, 3) in the frame of ``Frame.points``, meters.
        box: (4,) xyxy pixels, or None.
        caption: text at the box.
        key: of the object's card in a gallery, or "".
    """

    points: NDArray
    box: NDArray | None = None
    caption: str = ""
    key: str = ""


def draw_overlay(
    image: NDArray[np.uint8],
    camera: Camera,
    points: NDArray | None,
    objects: Sequence[OverlayObject] = (),
    cell: int | None = None,
) -> NDArray[np.uint8]:
    """Draw a frame's points by depth, and objects on top in individual colors that match their boxes.

    Args:
        image: (H, W, 3) uint8 RGB of the camera's size.
        camera: with the calibration to show.
        points: (N, 3) all points of the frame, meters; None draws the objects' points by depth instead.
        objects: points, box and caption of each.
        cell: side of squares in pixels in which only the nearest point is drawn, so that dense depth does not hide
            the image; default: by the image's size.

    Returns:
        (H + 26, W, 3) uint8 RGB; the strip below is the depth scale, near to far, logarithmic.
    """
    cell = cell or max(4, round(max(camera.width, camera.height) / 300))
    canvas = _gray(image)
    shown = points if points is not None else np.concatenate([np.zeros((0, 3)), *(o.points for o in objects)])
    uv, depth = _visible(camera, shown)
    near, far = depth_range(depth)
    if points is not None:
        uv, depth = nearest_per_cell(uv, depth, cell)
    dot = cell // 2
    _draw_dots(canvas, uv, depth, depth_colors(depth, near, far), size=dot)
    for number, item in enumerate(objects if points is not None else ()):
        uv, depth = _visible(camera, item.points)
        uv, depth = nearest_per_cell(uv, depth, cell + 1)
        _draw_dots(
            canvas, uv, depth, np.broadcast_to(object_color(number), (len(uv), 3)).astype(np.uint8), dot + 1
        )
    return np.concatenate([_draw_boxes(canvas, objects), _legend(camera.width, near, far)])


def draw_zoom(
    image: NDArray[np.uint8],
    camera: Camera,
    points: NDArray,
    box: NDArray,
    height: int = 300,
    context: float = 0.4,
) -> NDArray[np.uint8]:
    """Enlarge the surroundings of a box, with all points there by depth on their own color scale.

    With a right calibration the step from near to far colors runs along the object's outline.

    Args:
        image, camera, points: as in :func:`draw_overlay`.
        box: (4,) xyxy pixels.
        height: of the result, pixels; its width follows the box.
        context: margin around the box, as a share of its sides.

    Returns:
        (height + 26, w, 3) uint8 RGB.
    """
    x0, y0, x1, y1 = _window(box, context, camera)
    scale = height / (y1 - y0)
    crop = Image.fromarray(_gray(image[y0:y1, x0:x1]))
    canvas = np.array(crop.resize((max(1, round((x1 - x0) * scale)), height), Image.Resampling.BICUBIC))
    uv, depth = camera.project(points)
    inside = ((uv >= (x0 - 0.5, y0 - 0.5)) & (uv < (x1 - 0.5, y1 - 0.5))).all(axis=1)
    # Pixel centers are integers in both images, hence the half pixels.
    pixels = np.rint((uv[inside] - (x0, y0) + 0.5) * scale - 0.5).astype(np.int64)
    pixels, depth = nearest_per_cell(pixels, depth[inside], 5)
    near, far = depth_range(depth)
    _draw_dots(canvas, pixels, depth, depth_colors(depth, near, far), size=3)
    return np.concatenate([canvas, _legend(canvas.shape[1], near, far)])


def depth_range(depth: NDArray) -> tuple[float, float]:
    """Meters at the ends of the color scale: the 2nd and 98th percentile, robust to outliers."""
    if len(depth) == 0:
        return 1.0, 10.0
    near, far = np.percentile(depth, [2, 98])
    return float(near), float(max(far, near * 1.01))


def depth_colors(depth: NDArray, near: float, far: float) -> NDArray[np.uint8]:
    """(N, 3) uint8 RGB of (N,) depths in meters: yellow near, blue far, logarithmic."""
    share = np.log(np.maximum(depth, 1e-6) / near) / np.log(far / near)
    position = (1 - np.clip(share, 0, 1)) * (len(_PLASMA) - 1)
    stops = np.arange(len(_PLASMA))
    channels = [np.interp(position, stops, _PLASMA[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def object_color(number: int) -> tuple[int, int, int]:
    """Bright RGB, different for consecutive numbers, in hues that the depth scale lacks."""
    hue = 0.30 + 0.32 * ((number * 0.618034) % 1)  # green to sky blue
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _window(box: NDArray, context: float, camera: Camera) -> tuple[int, int, int, int]:
    left, top, right, bottom = (float(value) for value in box)
    grow_x, grow_y = context * (right - left), context * (bottom - top)
    x0, x1 = np.clip([np.floor(left - grow_x), np.ceil(right + grow_x) + 1], 0, camera.width).astype(int)
    y0, y1 = np.clip([np.floor(top - grow_y), np.ceil(bottom + grow_y) + 1], 0, camera.height).astype(int)
    return x0, y0, x1, y1


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    luminance = image @ np.array([0.299, 0.587, 0.114]) / 255
    return np.repeat((255 * _BRIGHTNESS * luminance**_GAMMA).astype(np.uint8)[..., None], 3, axis=2)


def _visible(camera: Camera, points: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    uv, depth = camera.project(points)
    inside = camera.in_image(uv)
    return np.rint(uv[inside]).astype(np.int64), depth[inside]


def nearest_per_cell(uv: NDArray, depth: NDArray, cell: int) -> tuple[NDArray, NDArray]:
    """The nearest point of each square of ``cell`` pixels: (k, 2) pixels and (k,) depths."""
    nearest_first = np.argsort(depth, kind="stable")
    cells = uv[nearest_first] // cell
    _, first = np.unique(cells[:, 1] * 100_000 + cells[:, 0], return_index=True)
    kept = nearest_first[first]
    return uv[kept], depth[kept]


def _draw_dots(
    canvas: NDArray[np.uint8],
    uv: NDArray[np.int64],
    depth: NDArray,
    colors: NDArray[np.uint8],
    size: int,
) -> None:
    """Draw squares of ``size`` pixels, near ones over far ones."""
    steps = np.arange(size) - (size - 1) // 2
    offsets = np.array([(x, y) for y in steps for x in steps])
    # All pixels of all dots at once: far to near, so that the nearest is written last.
    order = np.argsort(-depth, kind="stable")
    pixels = (uv[order, None] + offsets[None]).reshape(-1, 2)
    values = np.repeat(colors[order], len(offsets), axis=0)
    height, width = canvas.shape[:2]
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    canvas[pixels[inside, 1], pixels[inside, 0]] = values[inside]


def _draw_boxes(canvas: NDArray[np.uint8], objects: Sequence[OverlayObject]) -> NDArray[np.uint8]:
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(11, picture.width // 90))
    for number, item in enumerate(objects):
        if item.box is None:
            continue
        x0, y0, x1, y1 = (float(value) for value in item.box)
        draw.rectangle((x0, y0, x1, y1), outline=object_color(number), width=1)
        if item.caption:
            left, top, right, bottom = draw.textbbox((0, 0), item.caption, font=font)
            x = min(max(0.0, x0), picture.width - (right - left) - 4)
            y = y0 - (bottom - top) - 5 if y0 > bottom - top + 5 else y0 + 1
            draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=(0, 0, 0))
            draw.text((x + 2 - left, y + 2 - top), item.caption, fill=object_color(number), font=font)
    return np.asarray(picture)


def _legend(width: int, near: float, far: float) -> NDArray[np.uint8]:
    strip = np.full((_LEGEND_HEIGHT, width, 3), 18, np.uint8)
    length = min(320, width - 130)
    if length > 20:
        depths = near * (far / near) ** np.linspace(0, 1, length)
        strip[8:18, 62 : 62 + length] = depth_colors(depths, near, far)
    picture = Image.fromarray(strip)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=12)
    draw.text((58, 6), f"{near:.1f} m", fill=(230, 230, 230), font=font, anchor="ra")
    if length > 20:
        draw.text((66 + length, 6), f"{far:.1f} m", fill=(230, 230, 230), font=font)
    return np.asarray(picture)
