"""HTML element of a photo with points and boxes for ``overlay.js``."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera
from data_prep.report.overlay import (
    OverlayObject,
    depth_colors,
    nearest_per_cell,
    object_color,
)
from data_prep.report.pictures import small_image_element

MAX_POINTS = 24_000
_IMAGE_SIDE, _IMAGE_BYTES = 1280, 160_000
_DEPTH_STEP = 2000  # of ln(depth / 1 mm): half a per mille
_RAMP = 24  # colors of the depth scale
_SUBPIXEL = 8


def overlay_view(
    image: NDArray[np.uint8], camera: Camera, points: NDArray, objects: Sequence[OverlayObject] = ()
) -> str:
    """The element.

    Args:
        image: (H, W, 3) uint8 RGB of the camera's size.
        camera: with the calibration to show.
        points: (N, 3) all points of the frame, meters.
        objects: points, box, caption of each; the key of a gallery card makes the object a link to it.
    """
    uv, depth, cell = _seen(camera, points, MAX_POINTS * 2 // 3)
    pixels, depths, owners = [uv], [depth], [np.full(len(uv), -1)]
    room = MAX_POINTS - len(uv)
    for number, item in enumerate(objects):
        uv, depth, _ = _seen(camera, item.points, room // len(objects), cell)
        pixels.append(uv)
        depths.append(depth)
        owners.append(np.full(len(uv), number))
    u, v = np.round(np.concatenate(pixels).T * _SUBPIXEL).clip(0, 65535)
    code = np.log(np.maximum(np.concatenate(depths), 1e-3) / 1e-3) * _DEPTH_STEP
    blocks = [u.astype("<u2"), v.astype("<u2"), code.clip(0, 65535).astype("<u2")]
    blocks.append(np.concatenate(owners).astype("<i2"))
    header = {
        "width": camera.width,
        "height": camera.height,
        "count": len(u),
        "cell": cell,
        "subpixel": _SUBPIXEL,
        "depthStep": _DEPTH_STEP,
        "ramp": depth_colors(np.geomspace(1, 2, _RAMP), 1, 2).tolist(),
        "objects": [
            {
                "box": None if item.box is None else [round(float(value), 1) for value in item.box],
                "caption": item.caption,
                "color": object_color(number),
                "key": item.key,
            }
            for number, item in enumerate(objects)
        ],
    }
    data = base64.b64encode(b"".join(block.tobytes() for block in blocks)).decode()
    photo = small_image_element(image, _IMAGE_SIDE, _IMAGE_BYTES)
    return (
        f'<div class="overlay" data-header="{escape(json.dumps(header), quote=True)}"><div class="photo" '
        f'style="aspect-ratio:{camera.width}/{camera.height}">{photo}</div>'
        f'<script type="text/plain">{data}</script></div>'
    )


def _seen(
    camera: Camera, points: NDArray, most: int, cell: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Pixels and depths of points in the image, and the side of the squares that keep only their nearest point."""
    uv, depth = camera.project(points)
    inside = camera.in_image(uv)
    uv, depth = uv[inside], depth[inside]
    if len(uv) > most:
        # About as many squares as points are allowed cover the area of the points.
        cell = max(cell, int(np.sqrt(np.ptp(uv, axis=0).prod() / max(most, 1)) / 1.5))
    while cell > 1 or len(uv) > most:
        kept_uv, kept_depth = nearest_per_cell(uv, depth, cell)
        if len(kept_uv) <= max(most, 1):
            return kept_uv, kept_depth, cell
        cell += 1 + cell // 8
    return uv, depth, cell
