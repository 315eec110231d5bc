"""Whole bags, written with rosbags' own writers in every format, opened as scans."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.bag_scenes import (
    CAMERA_K,
    FORWARD,
    HEIGHT,
    LANDMARK,
    START,
    WIDTH,
    landmark_pixel,
    write_rgbd,
    write_vehicle,
)
from support.bag_twins import FORMATS, SECOND, BagMaker
from support.scan_twins import RGBD_K

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans import Frame, open_scan


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag for tests that do not touch it."""
    return write_vehicle(tmp_path_factory.mktemp("vehicle"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_landmark_stays_where_it_is_and_is_seen_where_it_must_be(tmp_path: Path, format: str) -> None:
    scan = open_scan("rosbag", write_vehicle(tmp_path, format))
    assert scan.frame_ids() == [str(START + i * SECOND // 10) for i in range(4)]
    for i in range(4):
        frame = scan[i]
        np.testing.assert_allclose(frame.points[0], LANDMARK - [i, 0, 2], atol=1e-5)
        np.testing.assert_allclose(frame.world_points()[0], LANDMARK, atol=1e-5)
        assert frame.timestamp == pytest.approx((START + i * SECOND // 10) / 1e9)
        (view,) = frame.views
        # The vehicle has moved on by 20 cm when the image is taken.
        uv, _ = view.camera.project(frame.points[:1])
        np.testing.assert_allclose(uv[0], landmark_pixel(i), atol=1e-3)
        assert view.name == f"front/image_raw/{START + i * SECOND // 10 + SECOND // 50}.png"
    assert scan.image_names() == [frame.views[0].name for frame in scan]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("meters", [False, True])
def test_registered_depth_makes_the_floor_flat(tmp_path: Path, format: str, meters: bool) -> None:
    scan = open_scan("rosbag", write_rgbd(tmp_path, format, meters=meters))
    assert len(scan) == 3
    assert_floor(scan[1], 1e-5 if meters else 0.6e-3)
    frame = scan[1]
    assert frame.depth is not None
    assert len(frame.points) == WIDTH * HEIGHT
    np.testing.assert_array_equal(frame.colors, frame.views[0].image.reshape(-1, 3))


def assert_floor(frame: Frame, tolerance: float) -> None:
    assert np.abs(frame.world_points()[:, 2]).max() < tolerance


def test_depth_of_a_camera_beside_is_carried_over(tmp_path: Path) -> None:
    frame = open_scan("rosbag", write_rgbd(tmp_path, own_frame=True, meters=True))[0]
    assert frame.depth is not None
    assert frame.depth.shape == (HEIGHT, WIDTH)
    # Each of 32x24 measurements covers 2x2 color pixels, so it stands for the floor half a pixel beside.
    assert_floor(frame, 0.05)
    assert np.abs(np.median(frame.world_points()[:, 2])) < 0.01
    # Nothing is lost but the strip that the other camera cannot see.
    assert (frame.depth > 0).mean() > 0.85


def test_depth_of_a_camera_beside_needs_tf(tmp_path: Path) -> None:
    maker = BagMaker()
    for topic, frame in (("/depth", "depth_optical"), ("/rgb", "rgb_optical")):
        pixels = (
            np.full((HEIGHT, WIDTH), 1000, "<u2")
            if topic == "/depth"
            else np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        )
        encoding = "16UC1" if topic == "/depth" else "rgb8"
        maker.add(f"{topic}/image", maker.image(pixels, encoding, START, frame), START)
        maker.add(f"{topic}/camera_info", maker.info(RGBD_K, WIDTH, HEIGHT, START, frame), START)
    root = maker.write(tmp_path)
    with pytest.raises(BadDatasetError, match="tf: does not connect 'depth_optical' with 'rgb_optical'"):
        open_scan("rosbag", root)
    T = np.eye(4)
    T[0, 3] = 0.5
    (tmp_path / "calibration.yaml").write_text(f"cameras: {{/depth/image: {{T_points_cam: {T.tolist()}}}}}")
    depth = open_scan("rosbag", root, calibration=tmp_path / "calibration.yaml")[0].depth
    assert depth is not None
    # Half a meter to the right at 1 m and 60 pixels of focal length: everything is seen 30 columns further.
    assert not depth[:, :30].any()
    np.testing.assert_array_equal(depth[:, 30:], 1)


def test_without_tf_an_rgbd_camera_looks_level(tmp_path: Path) -> None:
    frame = open_scan("rosbag", write_rgbd(tmp_path, with_tf=False))[0]
    np.testing.assert_allclose(frame.T_world_points[:3, :3] @ [0, -1, 0], [0, 0, 1], atol=1e-12)


def test_without_tf_a_lidar_is_its_own_world(tmp_path: Path) -> None:
    root = write_vehicle(tmp_path, with_tf=False)
    frame = open_scan("rosbag", root, images=[])[2]
    np.testing.assert_array_equal(frame.T_world_points, np.eye(4))
    assert frame.views == ()
    with pytest.raises(
        BadDatasetError, match=r"tf: does not connect 'cam' with 'lidar'; the tree is: no transform at all"
    ):
        open_scan("rosbag", root)


def test_a_calibration_file_stands_in_for_tf_and_camera_info(tmp_path: Path) -> None:
    root = write_vehicle(tmp_path, with_tf=False, with_info=False)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = FORWARD, (1, 0, 0)
    (tmp_path / "calibration.yaml").write_text(
        f"cameras: {{/front/image_raw: {{K: {CAMERA_K.tolist()}, T_points_cam: {T.tolist()}}}}}"
    )
    scan = open_scan("rosbag", root, calibration=tmp_path / "calibration.yaml")
    uv, _ = scan[0].views[0].camera.project(scan[0].points[:1])
    # A fixed calibration knows nothing of the 20 ms in between: LANDMARK is 19 m ahead of the camera.
    np.testing.assert_allclose(uv[0], [50 * -1 / 19 + 31.5, 23.5], atol=1e-4)


CALIBRATIONS = {
    "absent": (None, "does not exist"),
    "not yaml": ("cameras: [", "is not YAML"),
    "unknown key": ("cameras: {/a: {k: 1}}", "cameras./a.k: is not a known key"),
    "flat K": ("cameras: {/a: {K: [[1, 2], [3, 4]]}}", "cameras./a.K: is not a 3x3"),
    "mirrored": (
        "cameras: {/a: {T_points_cam: [[1,0,0,0],[0,1,0,0],[0,0,-1,0],[0,0,0,1]]}}",
        "cameras./a.T_points_cam: is not a rotation",
    ),
    "lens alone": (
        "cameras: {/a: {distortion: {model: radtan, coefficients: [0, 0, 0, 0]}}}",
        "cameras./a.distortion: is stated without K",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text, complaint", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_a_calibration_that_cannot_be(
    vehicle: Path, tmp_path: Path, text: str | None, complaint: str
) -> None:
    path = tmp_path / "calibration.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        open_scan("rosbag", vehicle, calibration=path)
    assert f"{path}: " in str(caught.value)
    assert complaint in str(caught.value)


def test_the_world_can_be_chosen(vehicle: Path) -> None:
    frame = open_scan("rosbag", vehicle, world_frame="base_link", up="x")[3]
    # base_link moves with the LiDAR 2 m above it; its x is declared to be up.
    np.testing.assert_allclose(frame.world_points()[:, 2], frame.points[:, 0], atol=1e-5)


def test_images_too_far_in_time_are_left_out(vehicle: Path) -> None:
    with pytest.raises(BadDatasetError, match=r"no two are within 0\.01 s.*clock=bag"):
        open_scan("rosbag", vehicle, max_time_gap=0.01)
    assert len(open_scan("rosbag", vehicle, max_time_gap=0.03)[0].views) == 1


def test_depth_without_color_in_time_is_told_and_left_out(tmp_path: Path) -> None:
    scan = open_scan("rosbag", write_rgbd(tmp_path, color_delay=SECOND // 60 + SECOND // 200))
    # 21.7 ms after each depth image; 11.7 ms before the next one: only the first has no partner.
    assert len(scan) == 2
    assert scan.notes == ("/depth/image: 1 depth images have no color image within 0.02 s",)  # type: ignore[attr-defined]


def test_several_topics_are_named_and_can_be_chosen(tmp_path: Path) -> None:
    maker = BagMaker()
    for topic in ("/left/points", "/right/points"):
        maker.points(topic, START, np.ones((3, 3)))
    root = maker.write(tmp_path)
    with pytest.raises(BadDatasetError) as caught:
        open_scan("rosbag", root)
    assert "choose points=/left/points or points=/right/points" in str(caught.value)
    assert len(open_scan("rosbag", root, points="/right/points")[0].points) == 3


def test_raw_and_rectified_images_of_one_camera_are_a_question(tmp_path: Path) -> None:
    maker = BagMaker()
    maker.points("/points", START, np.ones((3, 3)), frame="cam")
    for name in ("image_raw", "image_rect_color", "image_raw/compressed"):
        pixels = maker.image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", START)
        maker.add(f"/front/{name}", pixels, START)
    maker.add("/front/camera_info", maker.info(CAMERA_K, WIDTH, HEIGHT, START), START)
    root = maker.write(tmp_path)
    with pytest.raises(
        BadDatasetError, match=r"images: could be /front/image_raw or /front/image_rect_color"
    ):
        open_scan("rosbag", root)
    scan = open_scan("rosbag", root, images=["/front/image_rect_color"])
    assert scan[0].views[0].name.startswith("front/image_rect_color/")


WRONG_CHOICES = {
    "absent": ({"points": "/nothing"}, "points: '/nothing' is not in the bag. Fix: choose among /velodyne_points"),
    "of another type": ({"points": "/front/image_raw"}, "points: '/front/image_raw' is sensor_msgs/msg/Image"),
    "both": ({"points": "/velodyne_points", "depth": "/front/image_raw"}, "points and depth: are both stated"),
    "no depth": ({"depth": "/front/image_raw"}, "depth: '/front/image_raw' is no depth image"),
    "no gap": ({"max_time_gap": 0.0}, "max_time_gap: is 0.0"),
    "no clock": ({"clock": "gps"}, "clock: is 'gps'"),
    "no up": ({"up": "w"}, "up: is 'w'"),
    "no scale": ({"intensity_max": -1.0}, "intensity_max: is -1.0"),
    "no such frame": ({"world_frame": "map"}, "does not connect 'lidar' with 'map'; the tree is: odom > base_link > (cam, lidar)"),
}  # fmt: skip


@pytest.mark.parametrize("options, complaint", WRONG_CHOICES.values(), ids=WRONG_CHOICES)
def test_options_that_cannot_be(vehicle: Path, options: dict, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        open_scan("rosbag", vehicle, **options)
    assert complaint in str(caught.value)


def test_a_camera_without_intrinsics(tmp_path: Path) -> None:
    root = write_vehicle(tmp_path, with_info=False)
    assert open_scan("rosbag", root)[0].views == ()
    with pytest.raises(
        BadDatasetError, match=r"/front/image_raw: has no CameraInfo on /front/camera_info.*calibration=FILE"
    ):
        open_scan("rosbag", root, images=["/front/image_raw"])


def test_an_uncalibrated_camera_stops_before_anything_is_read(tmp_path: Path) -> None:
    maker = BagMaker()
    maker.points("/points", START, np.ones((3, 3)), frame="cam")
    maker.add("/cam/image_raw", maker.image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", START), START)
    maker.add("/cam/camera_info", maker.info(np.zeros((3, 3)), WIDTH, HEIGHT, START), START)
    with pytest.raises(BadDatasetError, match=r"/cam/camera_info: K: is of a camera that is not calibrated"):
        open_scan("rosbag", maker.write(tmp_path))


def test_headers_without_time_ask_for_the_time_of_recording(tmp_path: Path) -> None:
    maker = BagMaker()
    for i in range(3):
        maker.points("/points", 0, np.ones((3, 3)), recorded=START + i)
    root = maker.write(tmp_path)
    with pytest.raises(BadDatasetError, match=r"/points header.stamp: is 0 in every message.*clock=bag"):
        open_scan("rosbag", root)
    scan = open_scan("rosbag", root, clock="bag")
    assert scan.frame_ids() == [str(START + i) for i in range(3)]
    assert len(scan[2].points) == 3


def test_clock_jumps_and_repeated_stamps_are_named_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    maker = BagMaker()
    for recorded, stamp in enumerate([50, 51, 51, 20, 21]):
        maker.points("/points", stamp * SECOND, np.full((3, 3), stamp), recorded=START + recorded)
    with caplog.at_level(logging.WARNING):
        scan = open_scan("rosbag", maker.write(tmp_path))
    assert scan.notes == (  # type: ignore[attr-defined]
        "/points: the clock jumps back once, by up to 31.000 s",
        "/points: 1 messages have the stamp of another and are left out",
    )
    assert "the clock jumps back once" in caplog.text
    assert [frame.points[0, 0] for frame in scan] == [50, 51, 20, 21]


def broken_cloud(maker: BagMaker) -> None:
    maker.add_raw("/velodyne_points", "sensor_msgs/msg/PointCloud2", _cut_cloud(maker), START + SECOND // 20)


def _cut_cloud(maker: BagMaker) -> bytes:
    table = np.ones(5, [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    message = maker.cloud(table, START + SECOND // 20)
    write: Callable = maker.store.serialize_ros1 if maker.ros1 else maker.store.serialize_cdr
    return bytes(write(message, message.__msgtype__))[:90]


@pytest.mark.parametrize("format", FORMATS)
def test_a_message_that_cannot_be_decoded_is_one_bad_frame(tmp_path: Path, format: str) -> None:
    maker = BagMaker(format)
    maker.points("/velodyne_points", START, np.ones((3, 3)))
    broken_cloud(maker)
    maker.points("/velodyne_points", START + SECOND // 10, np.ones((3, 3)))
    scan = open_scan("rosbag", maker.write(tmp_path))
    assert len(scan) == 3
    with pytest.raises(BadFrameError, match=r"/velodyne_points: holds a message that cannot be decoded"):
        scan[1]
    assert len(scan[2].points) == 3


def test_a_pose_that_is_missing_is_one_bad_frame(tmp_path: Path) -> None:
    maker = BagMaker()
    for i in range(3):
        maker.points("/points", START + i * SECOND, np.ones((3, 3)))
        if i != 1:
            maker.tf("odom", "lidar", START + i * SECOND)
    scan = open_scan("rosbag", maker.write(tmp_path))
    assert len(scan[0].points) == len(scan[2].points) == 3
    with pytest.raises(BadFrameError, match=r"tf: odom > lidar has no sample within 0\.1 s"):
        scan[1]


def test_an_image_of_another_size_than_its_camera(tmp_path: Path) -> None:
    maker = BagMaker()
    maker.points("/points", START, np.ones((3, 3)), frame="cam")
    maker.add("/cam/image_raw", maker.image(np.zeros((10, 10, 3), np.uint8), "rgb8", START), START)
    maker.add("/cam/camera_info", maker.info(CAMERA_K, WIDTH, HEIGHT, START), START)
    with pytest.raises(BadFrameError, match="image size: is 10x10, its CameraInfo 64x48"):
        open_scan("rosbag", maker.write(tmp_path))[0]


@pytest.mark.parametrize("format", FORMATS)
def test_a_bag_cut_short_is_no_bag(tmp_path: Path, format: str) -> None:
    root = write_vehicle(tmp_path, format)
    file = root if root.is_file() else next(root.glob("drive.*"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BadDatasetError) as caught:
        list(open_scan("rosbag", root))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("name", ["drive.bag", "drive.mcap", "drive.db3", "drive.zip"])
def test_a_file_that_is_no_bag(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no bag at all")
    with pytest.raises(BadDatasetError, match=r"Fix: give a ROS 1 \.bag"):
        open_scan("rosbag", tmp_path / name)


def test_damage_is_told_without_the_zstandard_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which package unpacks Zstandard depends on the version of rosbags."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "drive.bag").write_bytes(b"no bag at all")
    with pytest.raises(BadDatasetError, match=r"Fix: give a ROS 1 \.bag"):
        open_scan("rosbag", tmp_path / "drive.bag")


def test_folders_without_a_bag_or_without_sensors(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no bag"):
        open_scan("rosbag", tmp_path)
    maker = BagMaker()
    maker.tf("a", "b", START)
    with pytest.raises(
        BadDatasetError, match=r"has neither PointCloud2 nor depth images.*but /tf \(TFMessage\)"
    ):
        open_scan("rosbag", maker.write(tmp_path))


def test_a_folder_of_ros_1_parts_is_one_recording(tmp_path: Path) -> None:
    for i in range(2):
        maker = BagMaker("ros1")
        maker.points("/points", START + i * SECOND, np.full((2, 3), i + 1))
        maker.write(tmp_path / str(i)).rename(tmp_path / f"drive_{i}.bag")
    scan = open_scan("rosbag", tmp_path)
    assert [frame.points[0, 0] for frame in scan] == [1, 2]


@pytest.mark.parametrize("format", ["ros1", "sqlite3"])
def test_compressed_bags(tmp_path: Path, format: str) -> None:
    maker = BagMaker(format)
    for i in range(2):
        maker.points("/points", START + i * SECOND, np.full((500, 3), i + 1))
    root = maker.write(tmp_path, compressed=True)
    assert [frame.points[0, 0] for frame in open_scan("rosbag", root)] == [1, 2]


def test_a_scan_can_be_sent_to_another_process(vehicle: Path) -> None:
    scan = open_scan("rosbag", vehicle)
    copy = pickle.loads(pickle.dumps(scan))  # noqa: S301
    np.testing.assert_array_equal(copy[1].points, scan[1].points)


def test_without_rosbags_the_extra_is_named(vehicle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(InputError, match=r"pip install 'clip2\[ros\]'"):
        open_scan("rosbag", vehicle)
