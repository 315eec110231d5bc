"""Outline of an object in an image, and the image around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data_prep.geometry import Camera

_FEWEST = 5  # points of an object in an image that shows it
_MARGIN = 0.25  # of an object's longer side, around its crop
_OUTLINE = (255, 209, 102)


def outline(camera: Camera, points: NDArray) -> tuple[NDArray[np.float64] | None, int]:
    """Box around the points of an object in an image, and how many of them are in it.

    Args:
        camera: of the image.
        points: (n, 3) in the axes of the frame's points, meters.

    Returns:
        (4,) xyxy pixels of all but the outermost 1 % of the points, None where fewer than five are in the image; and their
        number.
    """
    uv, _ = camera.project(points)
    uv = uv[camera.in_image(uv)]
    return (np.percentile(uv, [1, 99], axis=0).ravel() if len(uv) >= _FEWEST else None), len(uv)


def outlined_crop(image: NDArray[np.uint8], box: NDArray) -> NDArray[np.uint8]:
    """The image around an object, which is outlined.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) xyxy pixels.
    """
    margin = _MARGIN * max(box[2] - box[0], box[3] - box[1]) + 4
    low = np.maximum(box[:2] - margin, 0).astype(int)
    high = np.minimum(box[2:] + margin, (image.shape[1], image.shape[0])).astype(int)
    drawn = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    ImageDraw.Draw(drawn).rectangle((box - np.tile(low, 2)).tolist(), outline=_OUTLINE, width=2)
    return np.asarray(drawn)
