"""A raw file does not say how wide its points are: either its content does, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep import BadFrameError, open_scan

COUNT = 2 * 3 * 5 * 7 * 20  # any width from 3 to 8 divides the size of every file here


def street(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3) points around a car: far in x, less so in y, low in z."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 3)) * [20, 10, 0.7] + [5, 0, -1]).astype(np.float32)


def room(count: int) -> np.ndarray:
    """(count, 3) points of a corner that has no negative coordinate, as after moving a map to its corner."""
    return (np.random.default_rng(1).random((count, 3)) * [6, 4, 2.5]).astype(np.float32)


def columns(kind: str, count: int = COUNT) -> np.ndarray:
    rng = np.random.default_rng(2)
    return {
        "xyz": street(count),
        "kitti": np.c_[street(count), rng.beta(1, 3, count)],
        "kitti, intensity to 255": np.c_[street(count), rng.integers(0, 256, count)],
        "nuscenes": np.c_[street(count), rng.integers(0, 256, count), np.arange(count) % 32],
        "rgb to 1": np.c_[room(count), rng.beta(2, 2, (count, 3))],
        "rgb to 255": np.c_[room(count), rng.integers(0, 256, (count, 3))],
    }[kind].astype("<f4")


WIDTHS = {
    "xyz": 3, "kitti": 4, "kitti, intensity to 255": 4, "nuscenes": 5, "rgb to 1": 6, "rgb to 255": 6
}  # fmt: skip


@pytest.mark.parametrize("kind, width", WIDTHS.items(), ids=WIDTHS)
def test_content_tells_the_width_where_the_size_does_not(tmp_path: Path, kind: str, width: int) -> None:
    table = columns(kind)
    assert table.shape == (COUNT, width)
    table.tofile(tmp_path / "a.bin")
    frame = open_scan("cloud", tmp_path / "a.bin")[0]
    np.testing.assert_array_equal(frame.points, table[:, :3])
    if width == 6:
        scale = 255 if kind == "rgb to 1" else 1
        np.testing.assert_allclose(frame.colors, table[:, 3:] * scale, atol=0.51)
        assert frame.intensity is None
    else:
        assert frame.colors is None
        assert (frame.intensity is None) == (width == 3)


def test_points_in_any_order_tell_the_same(tmp_path: Path) -> None:
    table = columns("rgb to 1")[np.argsort(columns("rgb to 1")[:, 1])]  # as a scanner sweeps
    table.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(open_scan("cloud", tmp_path / "a.bin")[0].points, table[:, :3])


def test_columns_that_cannot_be_told_apart_are_refused_with_the_option(tmp_path: Path) -> None:
    np.random.default_rng(0).random(12 * 1000, dtype=np.float32).tofile(tmp_path / "a.bin")
    with pytest.raises(
        BadFrameError,
        match=r"a\.bin: columns: could have 3 or 4 or 5 or 6 .* Fix: state .*--option columns=6",
    ):
        open_scan("cloud", tmp_path / "a.bin")[0]
    assert len(open_scan("cloud", tmp_path / "a.bin", columns=4)[0].points) == 3000


def test_seven_columns_are_not_taken_for_four(tmp_path: Path) -> None:
    table = np.c_[columns("rgb to 255"), np.full(COUNT, -7.0)].astype("<f4")
    table.tofile(tmp_path / "a.bin")
    with pytest.raises(BadFrameError, match="looks like 7 float32 values per point"):
        open_scan("cloud", tmp_path / "a.bin")[0]


def test_a_sweep_cut_short_to_the_size_of_another_width_is_refused(tmp_path: Path) -> None:
    raw = columns("kitti").tobytes()
    (tmp_path / "a.bin").write_bytes(raw[: 4 * 4999 * 3])  # 4999 whole points of three values
    with pytest.raises(BadFrameError, match="looks like 4 float32 values per point"):
        open_scan("cloud", tmp_path / "a.bin")[0]


@pytest.mark.parametrize("size", [0, 4 * 7 * 11 + 1, 4 * 7 * 11])
def test_sizes_that_no_width_fits_are_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(size))
    with pytest.raises(BadFrameError, match=r"a\.bin: points: holds \d+ bytes"):
        open_scan("cloud", tmp_path / "a.bin")[0]


@pytest.mark.parametrize(
    "name, width",
    [
        ("kitti_object/training/velodyne/000000.bin", 4),
        ("kitti_tracking/training/velodyne/0001/000004.bin", 4),
        ("scannet/points/scene0000_00.bin", 6),
        ("sunrgbd/mmdet3d_000017/points/000017.bin", 6),
    ],
)
@pytest.mark.parametrize("keep", [1, 60])
def test_real_clouds_tell_their_width(
    real_data: Path, tmp_path: Path, name: str, width: int, keep: int
) -> None:
    table = np.fromfile(real_data / name, "<f4").reshape(-1, width)[::keep]
    table = table[: len(table) // 210 * 210]  # every width divides the size
    table.tofile(tmp_path / "a.bin")
    frame = open_scan("cloud", tmp_path / "a.bin")[0]
    np.testing.assert_array_equal(frame.points, table[:, :3])
    assert (frame.colors is not None) == (width == 6)


def test_a_real_nuscenes_sweep_under_another_name_tells_its_width(real_data: Path, tmp_path: Path) -> None:
    (sweep,) = (real_data / "nuscenes/samples/LIDAR_TOP").glob("*.bin")
    (tmp_path / "a.bin").write_bytes(sweep.read_bytes())
    by_name, by_content = (open_scan("cloud", path)[0] for path in (sweep, tmp_path / "a.bin"))
    np.testing.assert_array_equal(by_name.points, by_content.points)
