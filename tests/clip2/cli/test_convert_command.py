"""A bag's way through the command line: converted, mined with detections, searched for objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.bag_scenes import START, write_rgbd, write_vehicle
from support.bag_twins import SECOND, BagMaker
from support.scan_twins import write_kitti

from clip2.cli.main import main
from data_prep.scans import open_scan
from data_prep.triplets import open_triplets

K = np.array([[400.0, 0, 199.5], [0, 400, 79.5], [0, 0, 1]])


def write_thing(folder: Path) -> tuple[Path, Path]:
    """A bag of two sweeps of a road with a board 1.8 m wide, 12 m ahead, and a COCO file with its box in each image."""
    road = np.stack(np.meshgrid(np.arange(4, 40, 0.25), np.arange(-12, 12, 0.25)), -1).reshape(-1, 2)
    board = np.stack(np.meshgrid(np.arange(-0.9, 0.91, 0.06), np.arange(-1.6, -0.3, 0.06)), -1).reshape(-1, 2)
    points = np.vstack(
        [
            np.column_stack([road, np.full(len(road), -1.7)]),
            np.column_stack([np.full(len(board), 12.0), board]),
        ]
    )
    # The camera is at the LiDAR: u = 400 * -y / x + 199.5, v = 400 * -z / x + 79.5.
    x0, x1, y0, y1 = (400 * v / 12 for v in (-0.9, 0.9, 0.3, 1.6))
    box = [x0 + 199.5, y0 + 79.5, x1 - x0, y1 - y0]
    maker, images, annotations = BagMaker("mcap"), [], []
    maker.tf("lidar", "cam", START, (0, 0, 0), (0.5, -0.5, 0.5, -0.5), static=True)
    for i in range(2):
        at = START + i * SECOND
        maker.points("/points", at, points)
        maker.add("/cam/image_raw", maker.image(np.full((160, 400, 3), 90, np.uint8), "rgb8", at), at)
        maker.add("/cam/camera_info", maker.info(K, 400, 160, at), at)
        images.append({"id": i, "file_name": f"cam/image_raw/{at}.png", "width": 400, "height": 160})
        annotations.append({"id": i + 1, "image_id": i, "category_id": 1, "bbox": box, "score": 0.9})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "board"}]}
    (folder / "boxes.json").write_text(json.dumps(content))
    return maker.write(folder), folder / "boxes.json"


def test_a_bag_is_mined_and_so_is_its_conversion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, boxes = write_thing(tmp_path)
    assert main(["convert", "rosbag", str(bag), str(tmp_path / "plain"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 2
    for source, root in (("rosbag", bag), ("layout", tmp_path / "plain")):
        out = tmp_path / source
        assert main(["prep", source, str(root), "--detections", str(boxes), "--out", str(out)]) == 0
        triplets = list(open_triplets(out))
        assert [triplet.texts for triplet in triplets] == [("board",), ("board",)]
        for triplet in triplets:
            size = triplet.points.max(axis=0) - triplet.points.min(axis=0)
            assert size[0] < 0.1
            assert size[1] == pytest.approx(1.8, abs=0.1)


def test_objects_of_a_bag_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, boxes = write_thing(tmp_path)
    command = ["recognize", str(bag), "--source", "rosbag", "--frame", "1", "--detections", str(boxes)]
    assert main([*command, "--labels", "chair,table", "--out", str(tmp_path / "result.json"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["objects"]
    assert found["center"][0] == pytest.approx(12, abs=0.2)


def test_options_reach_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_vehicle(tmp_path)
    command = ["convert", "rosbag", str(bag), str(tmp_path / "out")]
    assert main([*command, "--option", "points=/nothing"]) == 2
    assert (
        "points: '/nothing' is not in the bag. Fix: choose among /velodyne_points" in capsys.readouterr().err
    )
    options = ["--option", "images=", "--option", "world_frame=base_link", "--option", "clock=bag"]
    assert main([*command, *options, "--every", "2"]) == 0
    scan = open_scan("layout", tmp_path / "out")
    assert len(scan) == 2
    assert scan[0].views == ()


def test_an_rgbd_bag_reads_back_from_its_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_rgbd(tmp_path, "ros1")
    assert main(["convert", "rosbag", str(bag), str(tmp_path / "out")]) == 0
    assert "3 frames written, 0 kept from before, 0 left out" in capsys.readouterr().out
    frame, copy = open_scan("rosbag", bag)[1], open_scan("layout", tmp_path / "out")[1]
    np.testing.assert_array_equal(frame.points, copy.points)
    np.testing.assert_array_equal(frame.T_world_points, copy.T_world_points)
    # Millimeters lose nothing, so depth is a PNG and there is no points file.
    assert sorted(path.suffix for path in (tmp_path / "out/depth").iterdir()) == [".png"] * 3
    assert not (tmp_path / "out/points").exists()
    assert main(["convert", "rosbag", str(bag), str(tmp_path / "out")]) == 0
    assert "0 frames written, 3 kept from before" in capsys.readouterr().out


def test_bad_frames_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_kitti(tmp_path / "kitti")
    (root / "training/image_2/000001.png").unlink()
    assert main(["convert", "kitti", str(root), str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "bad frame 000001: " in out
    assert "1 frame written, 0 kept from before, 1 left out" in out
