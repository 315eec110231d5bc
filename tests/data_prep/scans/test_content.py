"""Clouds from bytes: known by their header, refused before they take memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from siege.damage import damaged

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.content import read_content
from data_prep.scans.formats.records import TooManyPointsError

POINTS = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
COLORS = np.random.default_rng(1).integers(0, 256, (50, 3)).astype(np.uint8)
PLY = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 50\nproperty float x\nproperty float y\n"
    b"property float z\nend_header\n" + POINTS.tobytes()
)
PCD = (
    b"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 50\nHEIGHT 1\n"
    b"POINTS 50\nDATA binary\n" + POINTS.tobytes()
)


def npz(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


KINDS = {
    "ply": (PLY, None),
    "pcd": (PCD, None),
    "pcd without comment": (PCD.split(b"\n", 1)[1], None),
    "npz": (npz(points=POINTS, colors=COLORS), None),
    "compressed npz": (npz(True, points=POINTS, colors=COLORS), None),
    "bare": (POINTS.tobytes(), 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_points_come_out_of_every_format(kind):
    content, columns = KINDS[kind]
    cloud = read_content(content, columns=columns)
    assert np.array_equal(cloud.points, POINTS.astype(np.float64))
    assert (cloud.colors is not None) == ("npz" in kind)


@pytest.mark.parametrize("kind", KINDS)
def test_more_points_than_accepted_are_refused(kind):
    content, columns = KINDS[kind]
    assert len(read_content(content, columns=columns, max_points=50).points) == 50
    with pytest.raises(TooManyPointsError, match="body: points: holds 50 points, at most 49"):
        read_content(content, columns=columns, max_points=49)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_a_cloud_or_one_line(kind):
    content, columns = KINDS[kind]
    rng = np.random.default_rng(7)
    for _ in range(40):
        problem = "body: "
        try:
            read_content(damaged(content, rng), columns=columns, max_points=1000)
        except InputError as error:
            problem = str(error)
        assert problem.startswith("body: ")


def header_of(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(data: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as file:
        file.writestr("points.npy", data)
    return stream.getvalue()


def lzf_bomb(count: int) -> bytes:
    header = PCD[: PCD.index(b"DATA")].replace(b"50", b"%d" % count) + b"DATA binary_compressed\n"
    return header + struct.pack("<II", 100, 12 * count) + bytes(100)


BOMBS = {
    "zip bomb": archive(header_of((40_000_000, 3)) + bytes(480_000_000)),
    "promised points": archive(header_of((10**12, 3))),
    "negative shape": archive(header_of((-1, 3)) + bytes(10_000_000)),
    "compressed pcd": lzf_bomb(300_000_000),
    "wide points": PCD.replace(b"COUNT", b"").replace(
        b"WIDTH", b"COUNT 1 1 100000000\nWIDTH"
    ),
    "ply of a trillion": PLY.replace(b"vertex 50", b"vertex 1000000000000"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_no_memory(bomb):
    tracemalloc.start()
    try:
        with pytest.raises(BadFrameError):
            read_content(BOMBS[bomb], max_points=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


LIES = {
    "fewer bytes than promised": archive(header_of((100, 3)) + bytes(1100)),
    "more bytes than promised": archive(header_of((100, 3)) + bytes(1300)),
    "a compression that may ask for gigabytes": archive(header_of((1, 3)) + bytes(12), zipfile.ZIP_LZMA),
    "no numpy array": archive(b"hello"),
    "a picture": b"\x89PNG\r\n\x1a\n" + zlib.compress(b"0"),
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_line(lie):
    with pytest.raises(BadFrameError, match=r"^body: "):
        read_content(LIES[lie], max_points=1000)


def test_values_without_a_header_need_their_columns():
    with pytest.raises(BadFrameError, match="send one of these, or bare float32 with columns=3"):
        read_content(POINTS.tobytes())
    with pytest.raises(InputError, match="columns: is 2"):
        read_content(POINTS.tobytes(), columns=2)
