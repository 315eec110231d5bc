"""TUM RGB-D: three clocks, one frame."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.rgbd_twins import pose, write_picture, write_tum

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan
from data_prep.geometry import invert
from data_prep.scans.rgbd.tum import Trajectory, associate


def test_color_and_depth_are_paired_by_time_and_posed_at_the_depth(tmp_path: Path) -> None:
    scan = open_scan("tum", write_tum(tmp_path), up="z")
    assert scan.frame_ids() == ["100_000000", "100_100000", "100_200000"]
    frame = scan[1]
    assert frame.timestamp == pytest.approx(100.104)
    # Half a meter a second: 0.104 s after the start the camera is 5.2 cm to the right, between two poses.
    np.testing.assert_allclose(frame.T_world_points[:3, 3], pose(0)[:3, 3] + [0.052, 0, 0], atol=1e-5)
    np.testing.assert_allclose(frame.world_points()[:, 2], 0, atol=2e-4)
    assert frame.views[0].name == "rgb/100.100000.png"


def test_poses_between_are_interpolated_and_at_the_end_the_nearer() -> None:
    quarter = Rotation.from_euler("z", [[0], [90]], degrees=True).as_quat()
    quarter[1] *= -1  # the same rotation
    trajectory = Trajectory(np.array([1.0, 2.0]), np.array([[0.0, 0, 0], [4, 0, 0]]), quarter)
    T = trajectory.at(1.25, max_difference=1)
    assert T is not None
    np.testing.assert_allclose(T[:3, 3], [1, 0, 0])
    np.testing.assert_allclose(T[:2, 0], [np.cos(np.pi / 8), np.sin(np.pi / 8)])
    beyond = trajectory.at(2.5, max_difference=1)
    assert beyond is not None
    np.testing.assert_allclose(beyond[:3, 3], [4, 0, 0])
    only_before = trajectory.at(1.25, max_difference=0.3)
    assert only_before is not None
    np.testing.assert_allclose(only_before, np.eye(4))
    assert trajectory.at(1.5, max_difference=0.4) is None


@pytest.mark.parametrize(
    "first, second, pairs",
    [
        ([0, 1], [0, 1], [(0, 0), (1, 1)]),
        ([0, 0.01], [0.009], [(1, 0)]),  # the closer one wins
        ([0, 0.01], [0.009, 0.02], [(0, 1), (1, 0)]),
        ([0], [0.02], [(0, 0)]),
        ([0], [0.021], []),
    ],
)
def test_association(first: list[float], second: list[float], pairs: list[tuple[int, int]]) -> None:
    assert associate(first, second, 0.02) == pairs


def test_images_without_a_partner_are_left_out(tmp_path: Path) -> None:
    root = write_tum(tmp_path, depth_delay=0.03)
    with pytest.raises(BadDatasetError, match=r"depth\.txt: no time is within 0\.02 s"):
        open_scan("tum", root, up="z")
    assert len(open_scan("tum", root, up="z", max_difference=0.05)) == 3


def test_a_frame_without_a_pose_is_a_bad_frame(tmp_path: Path) -> None:
    root = write_tum(tmp_path)
    lines = (root / "groundtruth.txt").read_text().splitlines()
    (root / "groundtruth.txt").write_text("\n".join(lines[:12]))
    scan = open_scan("tum", root, up="z")
    assert scan[0].points.shape == (64 * 48, 3)
    with pytest.raises(
        BadFrameError, match=r"groundtruth\.txt: timestamp: has no pose within 0\.02 s of 100\.204"
    ):
        scan[2]


def test_up_is_asked_for_and_may_be_written_down(tmp_path: Path) -> None:
    root = write_tum(tmp_path / "recording")
    with pytest.raises(BadDatasetError, match="up: is not stated") as caught:
        open_scan("tum", root)
    assert "up=z" in str(caught.value.fix)
    (root / "scan.yaml").write_text("up: -y\n")
    np.testing.assert_allclose(open_scan("tum", root)[0].T_world_points[2, 3], -pose(0)[1, 3], atol=0.01)
    for text in ("up: [0, 0, 0]", "up: 3", "- z", "up: ["):
        (root / "scan.yaml").write_text(text)
        with pytest.raises(BadDatasetError, match=r"scan\.yaml"):
            open_scan("tum", root)
    (root / "scan.yaml").write_text("up: q\n")
    with pytest.raises(InputError, match="up: is 'q'"):
        open_scan("tum", root)


def test_the_benchmarks_own_folders_know_their_camera_and_up(tmp_path: Path) -> None:
    root = write_tum(tmp_path / "rgbd_dataset_freiburg3_floor")
    (root / "camera.txt").unlink()
    for path in (root / "rgb").glob("*"):
        write_picture(path, width=640, height=480)
    scan = open_scan("tum", root)
    with pytest.raises(BadFrameError, match="its depth 64x48"):
        scan[0]
    write_tum(root)
    (root / "camera.txt").unlink()
    K = open_scan("tum", root, intrinsics="60,60,32,24")[0].views[0].camera.K
    np.testing.assert_array_equal(K, [[60, 0, 32], [0, 60, 24], [0, 0, 1]])
    lens = open_scan("tum", root, intrinsics=[60, 60, 32, 24, 0.1, -0.1, 0, 0, 0.1])[0].views[0].camera
    assert lens.distortion.coefficients == (0.1, -0.1, 0, 0, 0.1)
    other = tmp_path / "mine"
    shutil.copytree(root, other)
    with pytest.raises(BadDatasetError, match="intrinsics: is not stated"):
        open_scan("tum", other, up="z")


def test_depth_scale(tmp_path: Path) -> None:
    root = write_tum(tmp_path)
    meters = open_scan("tum", root, up="z")[0].depth
    np.testing.assert_allclose(
        open_scan("tum", root, up="z", depth_scale=1000)[0].depth, 5 * meters, rtol=1e-6
    )
    (root / "camera.txt").write_text("60 60 32 24 64 48 10000\n")
    np.testing.assert_allclose(open_scan("tum", root, up="z")[0].depth, meters / 2, rtol=1e-6)


WRONG = {
    "no list": (lambda r: (r / "rgb.txt").unlink(), r"rgb\.txt: list: is missing"),
    "empty list": (lambda r: (r / "depth.txt").write_text("# nothing\n"), r"depth\.txt: lists nothing"),
    "no time": (lambda r: (r / "rgb.txt").write_text("now rgb/1.png\n"), r"rgb\.txt: line 1: 'now rgb/1\.png' is not"),
    "elsewhere": (lambda r: (r / "rgb.txt").write_text("1 /etc/x.png\n"), "below the folder"),
    "seven numbers": (
        lambda r: (r / "groundtruth.txt").write_text("# t\n1 2 3 4 5 6 7\n"), r"groundtruth\.txt: line 2: .* is not a pose"
    ),
    "no rotation": (lambda r: (r / "groundtruth.txt").write_text("1 2 3 4 0 0 0 0\n"), "is not a pose"),
    "camera": (lambda r: (r / "camera.txt").write_text("60 60 32\n"), r"camera\.txt: camera: holds '60 60 32'"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, complaint", WRONG.values(), ids=WRONG)
def test_wrong_files_are_one_line(tmp_path: Path, spoil: object, complaint: str) -> None:
    root = write_tum(tmp_path)
    spoil(root)  # type: ignore[operator]
    with pytest.raises(BadDatasetError, match=complaint):
        open_scan("tum", root, up="z")


@pytest.mark.parametrize(
    "option, complaint",
    [
        ({"intrinsics": "freiburg9"}, "intrinsics: is 'freiburg9'"),
        ({"intrinsics": [1, 2]}, r"intrinsics: is \[1, 2\]"),
        ({"max_difference": -1}, "max_difference: is -1"),
        ({"depth_scale": 0}, "depth_scale: is 0"),
    ],
)
def test_wrong_options(tmp_path: Path, option: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        open_scan("tum", write_tum(tmp_path), up="z", **option)


def test_an_image_of_another_size_than_camera_txt(tmp_path: Path) -> None:
    root = write_tum(tmp_path)
    (root / "camera.txt").write_text("60 60 32 24 640 480 5000\n")
    with pytest.raises(BadFrameError, match=r"camera\.txt says 640x480"):
        open_scan("tum", root, up="z")[0]


def test_real_sequence_fits_together_with_its_poses(real_data: Path) -> None:
    scan = open_scan("tum", real_data / "rgbd" / "slambook2_ch5_tum", up="-y")
    assert len(scan) == 5
    a, b = scan[0], scan[1]
    points = a.points @ (T := invert(b.T_world_points) @ a.T_world_points)[:3, :3].T + T[:3, 3]
    camera, depth = b.views[0].camera, b.depth
    assert depth is not None
    uv, along = camera.project(points)
    seen = camera.in_image(uv)
    column, row = np.rint(uv[seen]).astype(int).T
    measured = depth[row, column]
    difference = np.abs(measured - along[seen])[measured > 0]
    assert np.median(difference) < 0.11  # the poses are coarse; without them it is 0.2 m and more
