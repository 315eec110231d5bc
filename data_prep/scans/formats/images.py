"""Reading images, matrices and raw sweeps so that a broken file is one clear error."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import BadFrameError, InputError

# What Pillow raises for files that are not images, cut short, or absurdly large.
_IMAGE_ERRORS = (
    OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, zlib.error, Image.DecompressionBombError
)  # fmt: skip


def read_image(path: Path, content: bytes | None = None) -> NDArray[np.uint8]:
    """Read an 8-bit image as (H, W, 3) uint8 RGB; gray is repeated, alpha dropped, EXIF rotation ignored
    (calibrations are for the stored pixels).

    Args:
        path: the file.
        content: its bytes where they lie inside another file; ``path`` then only names them in errors.

    Raises:
        BadFrameError: missing, unreadable, cut short, or not 8-bit.
    """
    image = _open_image(path, content)
    if image.mode.startswith(("I", "F")):
        raise BadFrameError(
            f"has {image.mode} pixels", source=path, field="image", fix="give an 8-bit color image"
        )
    return np.asarray(image.convert("RGB"))


def read_depth(path: Path) -> NDArray[np.uint16]:
    """Read a 16-bit single-channel depth image as (H, W) uint16, in the file's own units.

    Raises:
        BadFrameError: missing, unreadable, cut short, or not 16-bit single-channel.
    """
    image = _open_image(path)
    values = np.asarray(image)
    if not image.mode.startswith("I") or values.ndim != 2 or values.min() < 0 or values.max() > 65535:
        raise BadFrameError(
            f"has {image.mode} pixels",
            source=path,
            field="depth",
            fix="give a 16-bit single-channel PNG (8-bit or color-mapped depth has lost its meters)",
        )
    return values.astype(np.uint16)


def read_records(path: Path, columns: int) -> NDArray[np.float32]:
    """Read a headerless little-endian float32 file as (N, columns).

    Raises:
        BadFrameError: missing, empty, or not a whole number of records.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, "points", error) from error
    record = 4 * columns
    if not raw or len(raw) % record:
        raise BadFrameError(
            f"holds {len(raw)} bytes, not a positive multiple of {record} ({columns} float32 per point)",
            source=path,
            field="points",
            fix="copy the file again, it is cut short, or state its number of columns",
        )
    return np.frombuffer(raw, dtype="<f4").reshape(-1, columns)


def read_matrix(path: Path, *shapes: tuple[int, int]) -> NDArray[np.float64]:
    """Read a text matrix, whitespace or commas between numbers, that must have one of ``shapes``; NaN passes.

    Raises:
        InputError: missing, not numbers, or another shape.
    """
    wanted = " or ".join(f"{rows}x{columns}" for rows, columns in shapes)
    lines = read_lines(path, "matrix")
    try:
        matrix = np.array([line.replace(",", " ").split() for line in lines], dtype=np.float64)
    except ValueError as error:
        raise InputError(
            f"is not a matrix of numbers ({error})", source=path, fix=f"write {wanted} numbers"
        ) from error
    if matrix.shape not in shapes:
        raise InputError(f"has shape {matrix.shape}", source=path, fix=f"write {wanted} numbers")
    return matrix


def read_lines(path: Path, field: str) -> list[str]:
    """Lines of a text file that are not blank; ``field`` says in errors what the file is for.

    Raises:
        BadFrameError: missing, or not text.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, field, error) from error


def require_finite(points: NDArray, path: Path) -> None:
    """Refuse a cloud (N, 3) in which not one point is finite; single ones are dropped by ``Frame.build``.

    Raises:
        BadFrameError: it names ``path``.
    """
    if not np.isfinite(points).all(axis=1).any():
        raise BadFrameError(
            f"holds no finite point among {len(points)}",
            source=path,
            field="points",
            fix="write the sweep again, it is all NaN or inf",
        )


def require_centered(K: NDArray, width: int, height: int, image: Path) -> None:
    """Refuse an image whose middle is not where its camera's principal point is: it was resized or cropped.

    Calibration files of most datasets do not state the image size; this is what tells a resized copy. Across,
    real cameras stay within 0.04 of the width (KITTI, nuScenes, ScanNet, SUN RGB-D, TUM), so 0.1 is generous
    and still tells copies scaled by 0.8 or 1.3. Down, recordings are cropped by their makers (sky and bonnet:
    KITTI-360 is 0.135 of the height off), so 0.2 is left.

    Raises:
        BadFrameError: it names ``image``.
    """
    cx, cy = K[0, 2], K[1, 2]
    if abs(cx / width - 0.5) > 0.1 or abs(cy / height - 0.5) > 0.2:
        raise BadFrameError(
            f"is {width}x{height}, but its camera has the principal point ({cx:.0f}, {cy:.0f})",
            source=image,
            field="image size",
            fix="use the image that belongs to this calibration, not a resized or cropped copy",
        )


def unreadable(path: Path, field: str, error: Exception) -> BadFrameError:
    """The error for a file that is missing or cannot be read."""
    missing = isinstance(error, FileNotFoundError)
    return BadFrameError(
        "is missing" if missing else f"cannot be read ({type(error).__name__}: {_first_line(error)})",
        source=path,
        field=field,
        fix="copy the file again" if not missing else "complete the dataset or leave this frame out",
    )


def _first_line(error: Exception) -> str:
    """What follows are traces of the library that complains, long enough to hide the fix."""
    return next(iter(str(error).splitlines()), "")


def _open_image(path: Path, content: bytes | None = None) -> Image.Image:
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            image.load()
            return image
    except _IMAGE_ERRORS as error:
        raise unreadable(path, "image", error) from error
