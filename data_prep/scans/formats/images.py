"""Image files of datasets: color, depth, and a check that an image belongs to its camera."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import BadFrameError
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import read_file

# Formats of cameras and datasets; Pillow would also start a PostScript interpreter for an image of that kind.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
_MOST_SINGLE = 100_000
# What Pillow raises for files that are not images, cut short, or absurdly large.
_IMAGE_ERRORS = (
    OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, zlib.error, Image.DecompressionBombError
)  # fmt: skip


def read_image(path: Path, content: bytes | None = None, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Read an 8-bit image as (H, W, 3) uint8 RGB; gray is repeated, alpha dropped, EXIF rotation ignored
    (calibrations are for the stored pixels).

    Args:
        path: the file.
        content: its bytes where they lie inside another file; ``path`` then only names them in errors.
        max_pixels: refuse more before they are unpacked; None: any number that Pillow takes.

    Raises:
        BadFrameError: missing, unreadable, cut short, or not 8-bit.
    """
    image = _open_image(path, content, max_pixels)
    if image.mode.startswith(("I", "F")):
        raise BadFrameError(
            f"has {image.mode} pixels", source=path, field="image", fix="give an 8-bit color image"
        )
    return np.asarray(image.convert("RGB"))


def read_depth(path: Path, content: bytes | None = None, max_pixels: int | None = None) -> NDArray[np.uint16]:
    """Read a 16-bit single-channel depth image as (H, W) uint16, in the file's own units.

    Args:
        path, content, max_pixels: as in :func:`read_image`.

    Raises:
        BadFrameError: missing, unreadable, cut short, or not 16-bit single-channel.
    """
    image = _open_image(path, content, max_pixels)
    values = np.asarray(image)
    if not image.mode.startswith("I") or values.ndim != 2 or values.min() < 0 or values.max() > 65535:
        raise BadFrameError(
            f"has {image.mode} pixels",
            source=path,
            field="depth",
            fix="give a 16-bit single-channel PNG (8-bit or color-mapped depth has lost its meters)",
        )
    return values.astype(np.uint16)


def require_size(
    image: NDArray,
    size: tuple[float, ...],
    stated_by: str,
    path: Path,
    *,
    field: str = "image size",
    fix: str = "use the original files, not resized, cropped or turned copies",
) -> None:
    """Refuse an image (H, W, …) that is not of the (width, height) that something else states.

    Raises:
        BadFrameError: it names ``path`` and ``field``.
    """
    found = image.shape[1::-1]
    if found != tuple(size):
        raise BadFrameError(
            f"is {found[0]}x{found[1]}, {stated_by} {size[0]:.0f}x{size[1]:.0f}",
            source=path,
            field=field,
            fix=fix,
        )


def require_centered(K: NDArray, width: int, height: int, image: Path, down: float = 0.2) -> None:
    """Refuse an image whose middle is not where its camera's principal point is: it was resized or cropped.

    Calibration files of most datasets do not state the image size; this is what tells a resized copy. Across,
    real cameras stay within 0.04 of the width (KITTI, nuScenes, ScanNet, SUN RGB-D, TUM), so 0.1 is generous
    and still tells copies scaled by 0.8 or 1.3. Down, recordings are cropped by their makers (sky and bonnet:
    KITTI-360 is 0.135 of the height off), so ``down`` is 0.2 of the height.

    Raises:
        BadFrameError: it names ``image``.
    """
    cx, cy = K[0, 2], K[1, 2]
    if abs(cx / width - 0.5) > 0.1 or abs(cy / height - 0.5) > down:
        raise BadFrameError(
            f"is {width}x{height}, but its camera has the principal point ({cx:.0f}, {cy:.0f})",
            source=image,
            field="image size",
            fix="use the image that belongs to this calibration, not a resized or cropped copy",
        )


class _Markers(io.BytesIO):
    """Bytes of an image. Pillow looks for the next marker of a JPEG one byte at a time, through megabytes if they are zeros."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._single = 0

    def read(self, size: int | None = -1) -> bytes:
        if size == 1:
            self._single += 1
            if self._single > _MOST_SINGLE:
                raise OSError("no image data follows its header")
        return super().read(size)


def _open_image(path: Path, content: bytes | None = None, max_pixels: int | None = None) -> Image.Image:
    try:
        data = _Markers(read_file(path) if content is None else content)
        with Image.open(data, formats=_FORMATS) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise BadFrameError(
                    f"has {image.width} x {image.height} pixels, at most {max_pixels:,} are accepted",
                    source=path,
                    field="image",
                    fix="send a smaller image",
                )
            image.load()
            return image
    except BadFrameError:
        raise
    except _IMAGE_ERRORS as error:
        raise unreadable(path, "image", error) from error
