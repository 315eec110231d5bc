"""Image encodings of ROS."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.bag_twins import BagMaker, compressed_depth

from data_prep.errors import BadFrameError
from data_prep.scans.rosbag.images import decode_depth, decode_image, image_kind

MAKER = BagMaker("sqlite3")
RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
ALPHA = np.full((6, 5, 1), 7, np.uint8)


def png(pixels: np.ndarray, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    "encoding, pixels",
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], axis=2)),
    ],
)
def test_color_images(encoding: str, pixels: np.ndarray, padding: int) -> None:
    message = MAKER.image(np.ascontiguousarray(pixels), encoding, padding=padding)
    assert image_kind(message) == "color"
    np.testing.assert_array_equal(decode_image(message, "bag"), RGB)


def test_gray_is_repeated() -> None:
    message = MAKER.image(RGB[..., 0].copy(), "mono8", padding=2)
    assert image_kind(message) == "gray"
    np.testing.assert_array_equal(decode_image(message, "bag"), np.repeat(RGB[..., :1], 3, axis=2))


def test_compressed_png_is_exact_and_jpeg_is_close() -> None:
    smooth = np.zeros((32, 32, 3), np.uint8)
    smooth[..., 0], smooth[..., 1] = np.linspace(0, 255, 32), 90
    exact = decode_image(MAKER.compressed(png(smooth), "rgb8; png compressed bgr8"), "bag")
    np.testing.assert_array_equal(exact, smooth)
    close = decode_image(MAKER.compressed(png(smooth, "JPEG"), "jpeg"), "bag").astype(int)
    assert np.abs(close - smooth).mean() < 3


@pytest.mark.parametrize("encoding, luma", [("yuv422", 1), ("yuv422_yuy2", 0), ("uyvy", 1), ("yuyv", 0)])
def test_yuv_of_known_colors(encoding: str, luma: int) -> None:
    # BT.601: white, black and pure red in limited range are (235, 128, 128), (16, 128, 128), (81, 90, 240).
    pairs = [[(235, 128, 128)] * 2, [(16, 128, 128)] * 2, [(81, 90, 240)] * 2]
    pixels = np.zeros((1, 6, 2), np.uint8)
    for k, pair in enumerate(pairs):
        pixels[0, 2 * k : 2 * k + 2, luma] = [y for y, _, _ in pair]
        pixels[0, 2 * k : 2 * k + 2, 1 - luma] = pair[0][1:]
    image = decode_image(MAKER.image(pixels, encoding), "bag")
    expected = np.repeat([[255, 255, 255], [0, 0, 0], [255, 0, 0]], 2, axis=0)
    np.testing.assert_allclose(image[0].astype(int), expected, atol=2)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_of_one_color_and_of_a_ramp(pattern: str) -> None:
    color = np.array([200, 100, 30])
    ramp = np.arange(8)[:, None, None] * 5 + np.zeros((8, 8, 1), int)
    for scene in (np.broadcast_to(color, (8, 8, 3)), np.repeat(ramp, 3, axis=2)):
        raw = np.zeros((8, 8), np.uint8)
        for k, letter in enumerate(pattern):
            raw[k // 2 :: 2, k % 2 :: 2] = scene[k // 2 :: 2, k % 2 :: 2, "rgb".index(letter)]
        image = decode_image(MAKER.image(raw, f"bayer_{pattern}8"), "bag")
        # Linear interpolation is exact on flat and linear scenes, away from the mirrored border.
        np.testing.assert_allclose(image[1:-1, 1:-1], scene[1:-1, 1:-1], atol=1)


METERS = np.array([[0.5, 1.234, 0], [65.0, 2.0, 9.999]], np.float32)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_in_millimeters_and_meters(order: str, padding: int) -> None:
    millimeters = np.rint(METERS * 1000).astype(f"{order}u2")
    message = MAKER.image(millimeters, "16UC1", padding=padding)
    assert image_kind(message) == "depth"
    np.testing.assert_allclose(decode_depth(message, "bag"), METERS, atol=1e-6)
    floats = METERS.astype(f"{order}f4")
    floats[0, 2] = np.nan
    np.testing.assert_array_equal(decode_depth(MAKER.image(floats, "32FC1", padding=padding), "bag"), METERS)


def test_compressed_depth() -> None:
    raw = np.rint(METERS * 1000).astype(np.uint16)
    message = MAKER.compressed(compressed_depth(png(raw)), "16UC1; compressedDepth png")
    assert image_kind(message) == "depth"
    np.testing.assert_allclose(decode_depth(message, "bag"), METERS, atol=1e-6)
    # 32FC1 is stored as a / depth + b.
    inverse = np.where(METERS > 0, np.rint(10_000 / np.maximum(METERS, 0.1) + 1), 0).astype(np.uint16)
    message = MAKER.compressed(compressed_depth(png(inverse), 10_000.0, 1.0), "32FC1; compressedDepth")
    np.testing.assert_allclose(decode_depth(message, "bag"), METERS, rtol=0.01)


REFUSED = {
    "infrared": (decode_image, MAKER.image(np.zeros((2, 2), "<u2"), "mono16"), "encoding: is 'mono16'"),
    "depth as color": (decode_image, MAKER.image(np.zeros((2, 2), "<u2"), "16UC1"), "encoding: is '16UC1'"),
    "color as depth": (decode_depth, MAKER.image(RGB, "rgb8"), "encoding: is 'rgb8'"),
    "YUV without its partner": (decode_image, MAKER.image(RGB[..., :2].copy(), "yuyv"), "encoding: is 'yuyv'"),
    "cut short": (decode_image, MAKER.image(RGB[:, :2].copy(), "rgba8"), "rgba8: holds 36 bytes"),
    "not an image": (decode_image, MAKER.compressed(b"\xff\xd8nothing", "jpeg"), "cannot be decompressed"),
    "empty": (decode_image, MAKER.compressed(b"", "png"), "cannot be decompressed"),
    "RVL depth": (decode_depth, MAKER.compressed(bytes(40), "16UC1; compressedDepth rvl"), "is '16UC1; compressed"),
    "no depth": (decode_depth, MAKER.compressed(b"", "16UC1; compressedDepth png"), "format: is"),
    "color PNG as depth": (
        decode_depth, MAKER.compressed(compressed_depth(png(RGB)), "16UC1; compressedDepth png"), "single-channel"
    ),
}  # fmt: skip


@pytest.mark.parametrize("decode, message, complaint", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_decoded_is_one_clear_line(decode: object, message: object, complaint: str) -> None:
    with pytest.raises(BadFrameError) as caught:
        decode(message, "drive.bag: /cam")  # type: ignore[operator]
    assert str(caught.value).startswith("drive.bag: /cam: ")
    assert complaint in str(caught.value)
    assert caught.value.fix
