"""Decoding of sensor_msgs/Image and CompressedImage to RGB or to depth in meters."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import BadFrameError
from data_prep.storage.extras import require_extra

_CHANNELS = {"rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgba", "bgra8": "bgra"}
_GRAY = ("mono8", "8UC1")
# Encodings that OpenCV converts → the name of its conversion to RGB.
_YUV = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUY2", "yuyv": "YUY2"}
_CODES = {
    **{encoding: f"COLOR_YUV2RGB_{order}" for encoding, order in _YUV.items()},
    **{f"bayer_{p}8": f"COLOR_Bayer{p.upper()}2RGB" for p in ("rggb", "bggr", "gbrg", "grbg")},
}
_DEPTH = ("16UC1", "32FC1")
SUPPORTED = ", ".join([*_CHANNELS, *_GRAY, *_CODES])
_IMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def image_kind(message: Any) -> str:
    """``color``, ``gray``, ``depth``, or the name of an encoding that is none of these."""
    if hasattr(message, "format"):
        if "compressedDepth" in message.format:
            return "depth"
        encoding = message.format.partition(";")[0].strip()
        return "gray" if encoding in _GRAY else "color"
    if message.encoding in _DEPTH:
        return "depth"
    if message.encoding in _GRAY:
        return "gray"
    return "color" if message.encoding in _CHANNELS or message.encoding in _CODES else message.encoding


def decode_image(message: Any, where: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an Image or a CompressedImage; gray is repeated, alpha dropped.

    OpenCV converts Bayer patterns (bilinear) and YUV 4:2:2 (BT.601, an even width).

    Raises:
        BadFrameError: an encoding that is no color image of ours, or too few bytes.
        InputError: Bayer or YUV without OpenCV.
    """
    if hasattr(message, "format"):
        return np.asarray(_decompress(bytes(message.data), where).convert("RGB"))
    encoding = message.encoding
    if encoding in _CHANNELS:
        order = _CHANNELS[encoding]
        pixels = _pixels(message, np.dtype(np.uint8), len(order), where)
        return np.ascontiguousarray(pixels[..., [order.index(channel) for channel in "rgb"]])
    if encoding in _GRAY:
        return np.repeat(_pixels(message, np.dtype(np.uint8), 1, where), 3, axis=2)
    if encoding in _CODES and not (encoding in _YUV and message.width % 2):
        pixels = _pixels(message, np.dtype(np.uint8), 2 if encoding in _YUV else 1, where)
        cv2 = require_extra("cv2", "ros", needed_for=where)
        converted: NDArray[np.uint8] = cv2.cvtColor(pixels, getattr(cv2, _CODES[encoding]))
        return converted
    raise BadFrameError(
        f"is {encoding!r}",
        source=where,
        field="encoding",
        fix=f"choose another topic by images=, or record one of {SUPPORTED}",
    )


def decode_depth(message: Any, where: str) -> NDArray[np.float32]:
    """(H, W) float32 meters along z, 0 = no measurement: 16UC1 in millimeters, 32FC1 in meters (REP 118), raw or
    as image_transport's compressedDepth (PNG).

    Raises:
        BadFrameError: another encoding, or too few bytes.
    """
    if hasattr(message, "format"):
        depth = _decompress_depth(message, where)
    elif message.encoding == "16UC1":
        depth = _pixels(message, np.dtype(np.uint16), 1, where)[..., 0] / np.float32(1000)
    elif message.encoding == "32FC1":
        depth = _pixels(message, np.dtype(np.float32), 1, where)[..., 0]
    else:
        raise BadFrameError(
            f"is {message.encoding!r}", source=where, field="encoding",
            fix="choose a depth topic with 16UC1 (millimeters) or 32FC1 (meters)",
        )  # fmt: skip
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)


def _pixels(message: Any, dtype: np.dtype, channels: int, where: str) -> NDArray:
    """(H, W, channels) in native byte order."""
    dtype = dtype.newbyteorder(">" if message.is_bigendian else "<")
    row = message.width * channels * dtype.itemsize
    step = max(message.step, row) if message.height == 1 else message.step
    needed = (message.height - 1) * step + row
    if message.width * message.height == 0 or step < row or len(message.data) < needed:
        raise BadFrameError(
            f"holds {len(message.data)} bytes for {message.width}x{message.height} pixels in rows of {message.step}",
            source=where,
            field=message.encoding,
            fix="leave it out",
        )
    data = np.ascontiguousarray(message.data)
    pixels = np.ndarray(
        (message.height, message.width, channels),
        dtype,
        data,
        strides=(step, channels * dtype.itemsize, dtype.itemsize),
    )
    return pixels.astype(dtype.newbyteorder("="))


def _decompress(data: bytes, where: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image
    except _IMAGE_ERRORS as error:
        raise BadFrameError(
            f"cannot be decompressed ({type(error).__name__}: {error})",
            source=where,
            field="image",
            fix="leave it out",
        ) from error


def _decompress_depth(message: Any, where: str) -> NDArray:
    encoding = message.format.partition(";")[0].strip()
    data = bytes(message.data)
    if encoding not in _DEPTH or "rvl" in message.format or len(data) < 12:
        raise BadFrameError(
            f"is {message.format!r}",
            source=where,
            field="format",
            fix="record PNG-compressed 16UC1 or 32FC1 depth",
        )
    # image_transport's ConfigHeader: an enum, then the two numbers of its inverse-depth quantization.
    _, a, b = struct.unpack_from("<iff", data)
    raw = np.asarray(_decompress(data[12:], where)).astype(np.float32)
    if raw.ndim != 2:
        raise BadFrameError("is not single-channel", source=where, field="format", fix="leave it out")
    if encoding == "16UC1":
        return raw / np.float32(1000)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(raw > 0, a / (raw - b), 0)
