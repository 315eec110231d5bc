"""ScanNet's ``.sens``: an RGB-D recording in one file, read frame by frame without unpacking it.

Little-endian, version 4 (https://github.com/ScanNet/ScanNet/tree/master/SensReader)::

    u32 version, u64 n, n bytes sensor name, 4 float32 4x4 (color K, color pose, depth K, depth pose),
    i32 color compression, i32 depth compression, u32 color w, h, depth w, h, f32 depth units per meter,
    u64 frames, then per frame: float32 4x4 camera to world, u64 color time, depth time, color bytes,
    depth bytes, and those bytes; then what the motion sensor said, which is not read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, shared_by_all_frames
from data_prep.scans.formats.images import read_image, require_size
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import open_file

_VERSION = 4
_COLOR_CODED = {1: "png", 2: "jpeg"}
_RAW_DEPTH, _ZLIB_DEPTH = 0, 1
_FRAME = struct.Struct("<16f4Q")
_REST = struct.Struct("<2i4If")
_LONGEST_NAME = 1 << 16


@dataclass(frozen=True)
class SensFrame:
    """Where one frame lies in the file.

    Attributes:
        T_world_cam: (4, 4) float64 camera to world; -inf where the camera was lost.
        color_at, color_bytes, depth_at, depth_bytes: positions and lengths.
    """

    T_world_cam: NDArray[np.float64]
    color_at: int
    color_bytes: int
    depth_at: int
    depth_bytes: int


@dataclass(frozen=True)
class SensFile:
    """Header and frame index of a ``.sens`` file; images are read when asked for.

    Attributes:
        path: the file.
        K_color, K_depth: (3, 3) float64 intrinsics.
        color_size, depth_size: width and height in pixels.
        depth_scale: units per meter, 1000 in ScanNet.
        depth_coding: 0 raw, 1 zlib.
        count: frames, as the header says.
        frames_at: where the first one starts.
    """

    path: Path
    K_color: NDArray[np.float64]
    K_depth: NDArray[np.float64]
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_scale: float
    depth_coding: int
    count: int
    frames_at: int

    @classmethod
    def open(cls, path: Path) -> SensFile:
        """Read the header.

        Raises:
            BadDatasetError: another version or coding, cut short, or a header that cannot be.
        """
        with shared_by_all_frames(), _opened(path) as file:
            return _read_header(file, path)

    @cached_property
    def frames(self) -> tuple[SensFrame, ...]:
        """Where each frame lies, found in one pass that skips the images.

        Raises:
            BadDatasetError: cut short.
        """
        with shared_by_all_frames(), _opened(self.path) as file:
            return _index(file, self)

    def color(self, frame: SensFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            BadFrameError: not an image, or of another size than the header says.
        """
        image = read_image(self.path, self._bytes(frame.color_at, frame.color_bytes))
        require_size(image, self.color_size, "the header says", self.path, field="color size")
        return image

    def depth(self, frame: SensFrame) -> NDArray[np.uint16]:
        """(H, W) uint16 in the file's units, 0 = no measurement.

        Raises:
            BadFrameError: it does not unpack to an image of the header's size.
        """
        content = self._bytes(frame.depth_at, frame.depth_bytes)
        width, height = self.depth_size
        wanted = 2 * width * height
        if self.depth_coding == _ZLIB_DEPTH:
            try:
                content = zlib.decompressobj().decompress(content, wanted + 1)
            except zlib.error as error:
                raise BadFrameError(
                    f"cannot be unpacked ({error})",
                    source=self.path,
                    field="depth",
                    fix="copy the file again",
                ) from error
        if len(content) != wanted:
            raise BadFrameError(
                f"unpacks to {'more than ' if len(content) > wanted else ''}{min(len(content), wanted)} bytes, "
                f"{width}x{height} needs {wanted}",
                source=self.path,
                field="depth",
                fix="copy the file again",
            )
        return np.frombuffer(content, "<u2").reshape(height, width)

    def _bytes(self, start: int, count: int) -> bytes:
        with _opened(self.path) as file:
            file.seek(start)
            return file.read(count)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_file(path) as file:
            yield file
    except OSError as error:
        raise unreadable(path, "recording", error) from error


def _read_header(file: BinaryIO, path: Path) -> SensFile:
    def take(count: int) -> bytes:
        content = file.read(count)
        if len(content) < count:
            raise _cut_short(path, "its header")
        return content

    (version,) = struct.unpack("<I", take(4))
    if version != _VERSION:
        raise BadDatasetError(
            f"is {version}, this reader knows {_VERSION}",
            source=path,
            field="version",
            fix="give a ScanNet .sens",
        )
    (name_length,) = struct.unpack("<Q", take(8))
    if name_length > _LONGEST_NAME:
        raise BadDatasetError(
            f"is {name_length} bytes long", source=path, field="sensor name", fix="give a ScanNet .sens"
        )
    take(name_length)
    matrices = np.frombuffer(take(4 * 64), "<f4").reshape(4, 4, 4).astype(np.float64)
    for field, pose in (("color extrinsics", matrices[1]), ("depth extrinsics", matrices[3])):
        # Color takes its depth along the ray: that needs one viewpoint, which ScanNet's files state.
        if not np.allclose(pose, np.eye(4), atol=1e-4):
            raise BadDatasetError(
                "is not the identity: color and depth have two viewpoints",
                source=path,
                field=field,
                fix="register depth to color and read it as rgbd",
            )
    color_coding, depth_coding, *sizes, depth_scale = _REST.unpack(take(_REST.size))
    if color_coding not in _COLOR_CODED or depth_coding not in (_RAW_DEPTH, _ZLIB_DEPTH):
        raise BadDatasetError(
            f"is {color_coding} for color and {depth_coding} for depth",
            source=path,
            field="compression",
            fix="give a file with png or jpeg color (1, 2) and raw or zlib depth (0, 1)",
        )
    if min(sizes) <= 0 or max(sizes) > 1 << 15 or not np.isfinite(depth_scale) or depth_scale <= 0:
        raise BadDatasetError(
            f"says {sizes[0]}x{sizes[1]}, {sizes[2]}x{sizes[3]} and {depth_scale:g} units per meter",
            source=path,
            field="header",
            fix="download the file again",
        )
    (count,) = struct.unpack("<Q", take(8))
    if count * _FRAME.size > path.stat().st_size:
        raise _cut_short(path, f"one of {count} frames")
    return SensFile(
        path,
        matrices[0, :3, :3],
        matrices[2, :3, :3],
        (sizes[0], sizes[1]),
        (sizes[2], sizes[3]),
        depth_scale,
        depth_coding,
        count,
        file.tell(),
    )


def _index(file: BinaryIO, sens: SensFile) -> tuple[SensFrame, ...]:
    size = sens.path.stat().st_size
    frames = []
    start = sens.frames_at
    for number in range(sens.count):
        file.seek(start)
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise _cut_short(sens.path, f"frame {number} of {sens.count}")
        *values, _, _, color_bytes, depth_bytes = _FRAME.unpack(head)
        color_at = start + _FRAME.size
        start = color_at + color_bytes + depth_bytes
        if start > size:
            raise _cut_short(sens.path, f"frame {number} of {sens.count}")
        pose = np.array(values, dtype=np.float64).reshape(4, 4)
        frames.append(SensFrame(pose, color_at, color_bytes, color_at + color_bytes, depth_bytes))
    return tuple(frames)


def _cut_short(path: Path, what: str) -> BadDatasetError:
    return BadDatasetError(
        f"ends after {path.stat().st_size} bytes, within {what}", source=path, fix="download the file again"
    )
