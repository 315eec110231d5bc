"""ONCE: axes of its LiDAR, cameras that bend, poses that may be missing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.once_twin import TIMES, sequence, write_once
from support.scan_twins import write_image

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan


@pytest.fixture
def once(tmp_path: Path) -> Path:
    return write_once(tmp_path / "once")


def test_frames_in_time_order(once: Path) -> None:
    scan = open_scan("once", once)
    assert scan.frame_ids() == [f"000076_{time}" for time in TIMES]
    frame = scan[0]
    sweep = np.fromfile(once / f"data/000076/lidar_roof/{TIMES[0]}.bin", "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(frame.points, sweep[:, :3])
    np.testing.assert_allclose(frame.intensity, sweep[:, 3] / 255, rtol=1e-6)
    assert frame.timestamp == pytest.approx(1616343527.2)
    # Cameras are those whose folder is there: cam05 was not downloaded.
    assert [view.name for view in frame.views] == [
        f"data/000076/{camera}/{TIMES[0]}.jpg" for camera in ("cam01", "cam09")
    ]
    assert scan.image_names()[:2] == [view.name for view in frame.views]
    assert [scan.world_of(0), open_scan("once", once, poses=False).world_of(0)] == ["000076", None]
    assert open_scan("once", once / "data")[0].views[0].name == f"000076/cam01/{TIMES[0]}.jpg"


def test_ahead_is_minus_y_and_left_is_x(once: Path) -> None:
    front, back = open_scan("once", once)[0].views
    # 20 m ahead of the camera and 1 m to the left: left of the image's middle, by 1000 px · 1 m / 20 m before bending.
    point = np.array([[0.1 + 1, -0.6 - 20, -0.3]])
    uv, depth = front.camera.project(point)
    x = -1 / 20
    r2 = x * x
    radial = 1 - 0.3 * r2 + 0.1 * r2**2
    np.testing.assert_allclose(depth, [20])
    np.testing.assert_allclose(
        uv[0], [200 + 1000 * (x * radial - 0.002 * (r2 + 2 * x * x)), 80 + 1000 * 0.001 * r2], atol=1e-6
    )
    assert np.isnan(back.camera.project(point)[0]).all()


def test_the_pose_takes_points_to_the_world(once: Path) -> None:
    frame = open_scan("once", once)[1]
    # By hand: turned by +90 degrees about z, x left → world y, y backward → world -x; 5 m on, 1.9 m up.
    world = frame.T_world_points @ [1, -10, 0, 1]
    np.testing.assert_allclose(world[:3], [5 + 10, 1, 1.9], atol=1e-12)


def test_boxes(once: Path) -> None:
    scan = open_scan("once", once)
    assert scan.annotations(0) is None
    labels = scan.annotations(1)
    assert labels.labels == ("car", "pedestrian")
    car = labels.boxes[0]
    np.testing.assert_allclose(car.size, [4, 2, 1.5])
    np.testing.assert_allclose(car.rotation[:, 0], [0, -1, 0], atol=1e-9)  # it points ahead
    assert labels.boxes_2d is None


def test_a_frame_without_pose_is_bad_unless_the_world_is_given_up(once: Path) -> None:
    scan = open_scan("once", once)
    with pytest.raises(
        BadFrameError, match=r"000076.json: frame 1616343528200: pose: has no pose.*poses=false"
    ):
        scan[2]
    np.testing.assert_array_equal(open_scan("once", once, poses=False)[2].T_world_points, np.eye(4))


def test_splits_and_sequences(once: Path) -> None:
    write_once(once, name="000080")
    (once / "ImageSets").mkdir()
    (once / "ImageSets/train.txt").write_text("000080\n")
    assert len(open_scan("once", once)) == 6
    assert open_scan("once", once, split="train").frame_ids()[0].startswith("000080_")
    assert len(open_scan("once", once, sequences="000076", cameras=["cam01"])[0].views) == 1
    with pytest.raises(BadDatasetError, match=r"val\.txt: split: is missing\. Fix: use one of train"):
        open_scan("once", once, split="val")
    with pytest.raises(BadDatasetError, match=r"'1' is not there.*000076, 000080"):
        open_scan("once", once, sequences=["1"])
    with pytest.raises(BadDatasetError, match=r"calib: 'cam02' is not there.*cam01"):
        open_scan("once", once, cameras=["cam02"])
    with pytest.raises(BadDatasetError, match="holds no sequence"):
        open_scan("once", once / "ImageSets")


def test_a_camera_that_is_asked_for_must_be_there(once: Path) -> None:
    scan = open_scan("once", once, cameras=["cam05"])
    with pytest.raises(BadFrameError, match=r"cam05/1616343527200\.jpg: image: is missing"):
        scan[0]


def test_a_scan_can_be_sent_to_a_worker(once: Path) -> None:
    scan = open_scan("once", once)
    sent = pickle.loads(pickle.dumps(scan))  # noqa: S301
    np.testing.assert_array_equal(sent[1].points, scan[1].points)


def at(*path: object, value: object) -> Callable[[dict[str, Any]], None]:
    def spoil(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return spoil


def without(*path: object) -> Callable[[dict[str, Any]], None]:
    def spoil(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return spoil


MIRRORED = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]
BROKEN = {
    "no calibration": (without("calib"), "000076.json: calib: is missing"),
    "mirrored": (at("calib", "cam01", "cam_to_velo", value=MIRRORED), "calib.cam01.cam_to_velo: is not a rotation"),
    "no matrix": (at("calib", "cam01", "cam_to_velo", value=[[1, 2], [3]]), "calib.cam01.cam_to_velo: is not numbers"),
    "no intrinsics": (without("calib", "cam01", "cam_intrinsic"), "calib.cam01.cam_intrinsic: is missing"),
    "zero focal length": (at("calib", "cam01", "cam_intrinsic", 0, 0, value=0), "calib.cam01.cam_intrinsic: is not a 3x3"),
    "eight coefficients": (at("calib", "cam01", "distortion", value=[0.1] * 8), "radtan takes 4 or 5 numbers"),
    "no frames": (at("frames", value=[]), "holds no frames"),
    "frame twice": (at("frames", 0, "frame_id", value=TIMES[0]), f"frame_id: {TIMES[0]} comes twice"),
    "frame is no time": (at("frames", 0, "frame_id", value="../x"), "'../x' is no time"),
    "pose of three": (at("frames", 0, "pose", value=[1, 2, 3]), "pose: is not qx qy qz qw x y z"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", BROKEN.values(), ids=BROKEN)
def test_a_broken_sequence_stops_before_the_start(tmp_path: Path, spoil: Callable, message: str) -> None:
    content = sequence()
    spoil(content)
    write_once(tmp_path, content)
    with pytest.raises(BadDatasetError) as caught:
        open_scan("once", tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_cut_short(once: Path) -> None:
    path = once / "data/000076/000076.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(BadDatasetError, match=r"000076\.json: cannot be read"):
        open_scan("once", once)


def test_a_pose_that_is_no_rotation_costs_its_frame(tmp_path: Path) -> None:
    content = sequence()
    content["frames"][2]["pose"] = [0, 0, 0, 3, 0, 0, 0]
    scan = open_scan("once", write_once(tmp_path, content))
    with pytest.raises(BadFrameError, match=r"frame 1616343527200: pose: is not a rotation"):
        scan[0]
    assert len(scan[1].points) == 40


FILES = {
    "sweep cut short": ("lidar_roof/1616343527200.bin", lambda p: p.write_bytes(p.read_bytes()[:-3]), "multiple of 16"),
    "sweep missing": ("lidar_roof/1616343527200.bin", Path.unlink, "points: is missing"),
    "other record width": ("lidar_roof/1616343527200.bin", lambda p: np.random.default_rng(0).normal(0, 9, (40, 3)).astype("<f4").tofile(p), "that is no intensity"),
    "image of zero bytes": ("cam01/1616343527200.jpg", lambda p: p.write_bytes(b""), "image: cannot be read"),
    "image resized": ("cam01/1616343527200.jpg", lambda p: write_image(p, 200, 80), "image size: is 200x80"),
}  # fmt: skip


@pytest.mark.parametrize("name, spoil, message", FILES.values(), ids=FILES)
def test_a_broken_file_costs_one_frame(once: Path, name: str, spoil: Callable, message: str) -> None:
    spoil(once / "data/000076" / name)
    scan = open_scan("once", once)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert len(scan[1].points) == 40


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    content = sequence()
    content["frames"][1]["annos"]["names"].pop()
    with pytest.raises(InputError, match=r"annos: has 2 boxes for 1 names"):
        open_scan("once", write_once(tmp_path, content)).annotations(1)


def test_a_label_that_is_no_box(tmp_path: Path) -> None:
    content = sequence()
    content["frames"][1]["annos"]["boxes_3d"][0][3] = -4.0
    with pytest.raises(
        InputError, match=r"000076\.json: frame 1616343527700: annos\.boxes_3d: box\.size: is negative"
    ):
        open_scan("once", write_once(tmp_path, content)).annotations(1)
