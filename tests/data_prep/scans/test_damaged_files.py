"""Damage any file at random: the reader returns a frame or one clear line, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import laspy
import numpy as np
import open3d as o3d
import pye57
import pytest
import trimesh
from scipy.io import savemat
from support.nuscenes_twin import NuscenesTwin
from support.scan_twins import write_image, write_kitti

from data_prep import InputError, open_scan

ROUNDS = 25


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, overwrite or insert."""
    data = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        place = int(rng.integers(len(data)))
        return bytes(data[:place] + rng.bytes(20) + data[place:])
    reach = len(data) if kind == 2 else min(len(data), 300)  # headers deserve more than their share
    for place in rng.integers(0, reach, rng.integers(1, 9)):
        data[place] = rng.integers(256)
    return bytes(data)


def assert_frame_or_line(path: Path, read: Callable[[], object], seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = path.read_bytes()
    read()
    refused = []
    for _ in range(ROUNDS):
        path.write_bytes(damage(whole, rng))
        try:
            read()
        except InputError as error:
            refused.append(error)
    assert refused
    assert all("\n" not in str(error) and error.source is not None for error in refused)


def write_open3d(path: Path, **options: bool) -> None:
    points = o3d.utility.Vector3dVector(np.random.default_rng(0).random((50, 3)))
    cloud = o3d.geometry.PointCloud(points)
    cloud.colors = points
    o3d.io.write_point_cloud(str(path), cloud, **options)


def write_las(path: Path) -> None:
    las = laspy.create(point_format=3)
    las.x, las.y, las.z = np.random.default_rng(0).random((3, 300))
    las.write(path)


def write_e57(path: Path) -> None:
    axes = zip(
        ("cartesianX", "cartesianY", "cartesianZ"), np.random.default_rng(0).random((3, 300)), strict=True
    )
    with pye57.E57(str(path), mode="w") as file:
        file.write_scan_raw(dict(axes))


CLOUDS: dict[str, Callable[[Path], object]] = {
    "binary.ply": write_open3d,
    "text.ply": lambda path: write_open3d(path, write_ascii=True),
    "binary.pcd": write_open3d,
    "text.pcd": lambda path: write_open3d(path, write_ascii=True),
    "compressed.pcd": lambda path: write_open3d(path, compressed=True),
    "array.npy": lambda path: np.save(path, np.random.default_rng(0).random((30, 6))),
    "text.xyz": lambda path: np.savetxt(path, np.random.default_rng(0).random((30, 6))),
    "sweep.bin": lambda path: (np.random.default_rng(0).random((300, 4)) * [40, 20, -2, 1]).astype("<f4").tofile(path),
    "survey.las": write_las,
    "survey.laz": write_las,
    "scan.e57": write_e57,
    **{f"mesh.{suffix}": lambda path: trimesh.creation.box([4, 2, 1]).export(path) for suffix in ("off", "obj", "glb")},
}  # fmt: skip


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_clouds(tmp_path: Path, name: str) -> None:
    CLOUDS[name](tmp_path / name)
    assert_frame_or_line(
        tmp_path / name, lambda: open_scan("cloud", tmp_path / name, points=50, columns=4)[0], seed=1
    )


@pytest.mark.parametrize("name", ["calib/000000.txt", "label_2/000000.txt", "image_2/000000.png"])
def test_damaged_kitti(tmp_path: Path, name: str) -> None:
    root = write_kitti(tmp_path)

    def read() -> None:
        scan = open_scan("kitti", root)
        scan[0]
        scan.annotations(0)

    assert_frame_or_line(root / "training" / name, read, seed=2)


def test_damaged_matlab_files(tmp_path: Path) -> None:
    # One point two meters ahead, on the principal point of a 9 x 9 image.
    for name in ("image", "calib", "depth"):
        (tmp_path / name).mkdir()
    write_image(tmp_path / "image/1.jpg", 9, 9)
    np.savetxt(tmp_path / "calib/1.txt", np.stack([np.eye(3).ravel(), [9, 0, 0, 0, 9, 0, 5, 5, 1]]))
    points = np.array([[0, 2, 0, 1, 0, 0]], np.float32)
    savemat(tmp_path / "depth/1.mat", {"instance": points}, do_compression=True)
    assert_frame_or_line(tmp_path / "depth/1.mat", lambda: open_scan("sunrgbd", tmp_path)[0], seed=3)


@pytest.mark.parametrize(
    "name", ["calibrated_sensor", "ego_pose", "sample", "sample_annotation", "sample_data"]
)
def test_damaged_nuscenes_tables(tmp_path: Path, name: str) -> None:
    twin = NuscenesTwin(tmp_path)

    def read() -> None:
        scan = open_scan("nuscenes", tmp_path, sweeps=2, scenes="scene-0002")
        scan[0]
        scan.annotations(0)

    assert_frame_or_line(tmp_path / twin.version / f"{name}.json", read, seed=4)
