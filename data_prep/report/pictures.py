"""Images embedded in a page as JPEG, with size limits."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import InputError

_QUALITIES = (82, 70, 55, 40, 25)


def image_element(rgb: NDArray[np.uint8], max_side: int, width: int | None = None, alt: str = "") -> str:
    """An image element; ``width`` in CSS pixels (default: its own)."""
    picture = _picture(rgb)
    shown_width = width or picture.width
    picture.thumbnail((max_side, max_side))
    # Full chroma resolution: points drawn on an image are single colored pixels.
    return _element(_jpeg(picture, 88, subsampling=0), picture, shown_width, alt)


def small_image_element(rgb: NDArray[np.uint8], max_side: int, max_bytes: int, alt: str = "") -> str:
    """An image element with a limited file size: first the quality is reduced, then the size.

    Args:
        rgb: (h, w, 3) uint8.
        max_side: longest side, pixels.
        max_bytes: limit of the JPEG file.
        alt: alternative text.
    """
    picture = _picture(rgb)
    picture.thumbnail((max_side, max_side))
    while True:
        for quality in _QUALITIES:
            data = _jpeg(picture, quality, subsampling=2)
            if len(data) <= max_bytes:
                return _element(data, picture, picture.width, alt)
        if max(picture.size) < 16:
            raise InputError(f"{max_bytes} bytes cannot hold an image", field="max_bytes", fix="give more")
        picture.thumbnail((max(picture.size) * 2 // 3,) * 2)


def _picture(rgb: NDArray[np.uint8]) -> Image.Image:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise InputError(f"is {rgb.dtype} {rgb.shape}", field="image", fix="give (h, w, 3) uint8 RGB")
    return Image.fromarray(np.ascontiguousarray(rgb))


def _jpeg(picture: Image.Image, quality: int, subsampling: int) -> bytes:
    buffer = io.BytesIO()
    # Not optimize=True: Pillow then gives the encoder one byte per pixel, which is too little for dense pictures.
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def _element(data: bytes, picture: Image.Image, width: int, alt: str) -> str:
    return (
        f'<img loading="lazy" width="{width}" alt="{escape(alt, quote=True)}" '
        f'style="aspect-ratio:{picture.width}/{picture.height}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
    )
