"""PointCloud2 in the shapes that drivers give it."""

from __future__ import annotations

import numpy as np
import pytest
from support.bag_twins import BagMaker

from data_prep.errors import BadFrameError
from data_prep.scans.rosbag.pointcloud2 import read_pointcloud2

XYZ = np.array([[1.5, -2.25, 0.5], [10.0, 20.0, -30.0], [0.125, 4.0, 8.0], [7.0, -7.0, 1.0]])
MAKER = BagMaker("sqlite3")


def table_of(dtype: object, **columns: object) -> np.ndarray:
    table = np.zeros(len(XYZ), dtype)
    for k, axis in enumerate("xyz"):
        table[axis] = XYZ[:, k]
    for name, values in columns.items():
        table[name] = values
    return table


def padded(names: str, formats: list[str], offsets: list[int], itemsize: int) -> np.dtype:
    return np.dtype({"names": names.split(), "formats": formats, "offsets": offsets, "itemsize": itemsize})


LAYOUTS = {
    "velodyne": padded("x y z intensity ring time", ["<f4"] * 4 + ["<u2", "<f4"], [0, 4, 8, 12, 16, 18], 22),
    "ouster": padded("x y z intensity t reflectivity", ["<f4"] * 4 + ["<u4", "<u2"], [0, 4, 8, 16, 20, 24], 48),
    "doubles, backwards": padded("z y x", ["<f8"] * 3, [0, 8, 16], 24),
    "odd offsets": padded("y z x", ["<f4"] * 3, [3, 21, 11], 29),
    "big-endian": padded("x y z intensity", [">f4"] * 3 + [">u2"], [0, 4, 8, 12], 14),
}  # fmt: skip


@pytest.mark.parametrize("dtype", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("height, padding", [(1, 0), (2, 0), (2, 5)])
def test_points_are_found_wherever_they_lie(dtype: np.dtype, height: int, padding: int) -> None:
    message = MAKER.cloud(table_of(dtype), height=height, padding=padding)
    points, colors, _ = read_pointcloud2(message, "bag")
    np.testing.assert_array_equal(points, XYZ)
    assert colors is None


@pytest.mark.parametrize("kind", ["i1", "i2", "<i4"])
def test_integer_coordinates(kind: str) -> None:
    whole = np.rint(XYZ)
    message = MAKER.cloud(
        table_of([(axis, kind) for axis in "xyz"], x=whole[:, 0], y=whole[:, 1], z=whole[:, 2])
    )
    np.testing.assert_array_equal(read_pointcloud2(message, "bag")[0], whole)


def test_no_return_is_no_point() -> None:
    table = table_of(
        [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")], intensity=[1, 2, 3, 255]
    )
    table["y"][1] = np.nan
    table[2] = 0
    points, _, intensity = read_pointcloud2(MAKER.cloud(table, height=2), "bag")
    np.testing.assert_array_equal(points, XYZ[[0, 3]])
    np.testing.assert_allclose(intensity, [1 / 255, 1])


RED, TEAL = 0xFF0000, 0x1080F0


@pytest.mark.parametrize("name, kind", [("rgb", "<f4"), ("rgb", "<u4"), ("rgba", "<u4"), ("rgb", ">f4")])
def test_packed_colors(name: str, kind: str) -> None:
    order = kind[0]
    # With alpha 255 the float that they are typed as is NaN: bits must not be touched by arithmetic.
    words = np.array([RED, TEAL, 0xFF000000 | TEAL, 0], f"{order}u4")
    table = table_of([*((axis, f"{order}f4") for axis in "xyz"), (name, kind)])
    table[name] = words.view(kind)
    colors = read_pointcloud2(MAKER.cloud(table), "bag")[1]
    np.testing.assert_array_equal(colors, [[255, 0, 0], [16, 128, 240], [16, 128, 240], [0, 0, 0]])


@pytest.mark.parametrize("kind, full", [("u1", 255), ("<u2", 65535), ("<f4", 1.0)])
def test_colors_in_three_fields(kind: str, full: float) -> None:
    dtype = [*((axis, "<f4") for axis in "xyz"), *((channel, kind) for channel in "bgr")]
    colors = read_pointcloud2(MAKER.cloud(table_of(dtype, r=full, b=[0, full, 0, 0])), "bag")[1]
    np.testing.assert_array_equal(colors, [[255, 0, 0], [255, 0, 255], [255, 0, 0], [255, 0, 0]])


def test_intensity_beyond_16_bits_needs_a_scale() -> None:
    message = MAKER.cloud(
        table_of(
            [*((axis, "<f4") for axis in "xyz"), ("intensity", "<u4")],
            intensity=[0, 50_000, 100_000, 200_000],
        )
    )
    with pytest.raises(BadFrameError, match=r"intensity: runs from 0 to 2e\+05.*intensity_max"):
        read_pointcloud2(message, "bag")
    np.testing.assert_allclose(read_pointcloud2(message, "bag", 100_000.0)[2], [0, 0.5, 1, 1])


def test_row_step_left_at_zero() -> None:
    message = MAKER.cloud(table_of([(axis, "<f4") for axis in "xyz"]), row_step=0)
    np.testing.assert_array_equal(read_pointcloud2(message, "bag")[0], XYZ)


def _broken(**changes: object) -> object:
    message = MAKER.cloud(table_of([(axis, "<f4") for axis in "xyz"]))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def _field(name: str, offset: int, datatype: int) -> object:
    return MAKER.type("sensor_msgs/msg/PointField")(name=name, offset=offset, datatype=datatype, count=1)


F4 = [_field("x", 0, 7), _field("y", 4, 7)]
BROKEN = {
    "cut short": (_broken(data=np.zeros(40, np.uint8)), "points: holds 40 bytes for 4x1 points"),
    "rows shorter than their points": (_broken(height=2, width=2, row_step=20), "in rows of 20"),
    "no points": (_broken(width=0), "points: holds 48 bytes for 0x1"),
    "no z": (_broken(fields=F4), "z: has fields x, y"),
    "no fields": (_broken(fields=[]), "x: has fields none"),
    "unknown type": (_broken(fields=[*F4, _field("z", 8, 9)]), "z: is of type 9"),
    "beyond the point": (_broken(fields=[*F4, _field("z", 10, 7)]), "z: is of type 7 at byte 10 of 12"),
    "nothing measured": (_broken(data=np.zeros(48, np.uint8)), "no measured point among 4"),
    "color of two bytes": (_broken(fields=[*F4, _field("z", 8, 7), _field("rgb", 0, 4)]), "rgb: takes 2 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("message, complaint", BROKEN.values(), ids=BROKEN)
def test_a_broken_cloud_is_one_clear_line(message: object, complaint: str) -> None:
    with pytest.raises(BadFrameError) as caught:
        read_pointcloud2(message, "drive.bag: /points")
    assert str(caught.value).startswith("drive.bag: /points: ")
    assert complaint in str(caught.value)
    assert caught.value.fix
