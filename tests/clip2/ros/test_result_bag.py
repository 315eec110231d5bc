"""Bags of results: written, and read again by rosbags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from support.bag_scenes import write_vehicle
from support.bag_twins import SECOND, BagMaker
from support.ros_stand_ins import STAMP, two_objects

from clip2.cli.main import main
from clip2.ros.bag import DETECTIONS, MARKERS, VISION_INFO, ResultBag, write_bag
from clip2.ros.detections import instances_from_ros
from clip2.ros.sensors import stamp_of
from data_prep import InputError, open_scan

NAMES = {"mcap": "out.mcap", "sqlite3": "out"}


def messages(path: Path) -> dict[str, list]:
    """topic → (time, message), decoded by the definitions in the bag alone."""
    found: dict[str, list] = {}
    with AnyReader([path]) as reader:
        for connection, time, raw in reader.messages():
            found.setdefault(connection.topic, []).append((time, reader.deserialize(raw, connection.msgtype)))
    return found


@pytest.mark.parametrize("storage", NAMES)
def test_results_are_read_again_with_the_definitions_of_the_bag(storage, tmp_path):
    objects = two_objects()
    path = write_bag(tmp_path / NAMES[storage], [(STAMP + i * SECOND, "map", objects[i:]) for i in range(3)])
    found = messages(path)
    assert [time for time, _ in found[DETECTIONS]] == [STAMP, STAMP + SECOND, STAMP + 2 * SECOND]
    assert [stamp_of(sent) for _, sent in found[DETECTIONS]] == [STAMP, STAMP + SECOND, STAMP + 2 * SECOND]
    first = instances_from_ros(found[DETECTIONS][0][1])
    assert first.labels == objects.labels
    assert first.track_ids.tolist() == objects.track_ids.tolist()
    assert np.allclose(first.boxes, objects.boxes)
    assert [len(sent.markers) for _, sent in found[MARKERS]] == [5, 3, 1]
    assert len(found[VISION_INFO]) == 1  # only what is new is told
    assert [file.name for file in tmp_path.iterdir()] == [NAMES[storage]]


def test_labels_that_change_are_told_again(tmp_path):
    objects = two_objects()
    other = replace(objects, vocabulary=("mug",))
    path = write_bag(
        tmp_path / "out.mcap", [(STAMP, "map", objects), (STAMP + 1, "map", other), (STAMP + 2, "map", other)]
    )
    assert [info.database_location for _, info in messages(path)[VISION_INFO]] == ["red chair, table", "mug"]


@pytest.mark.parametrize("format", ["ros1", "sqlite3", "mcap file"])
def test_tf_is_kept(format, tmp_path):
    source = write_vehicle(tmp_path / "drive", format)
    scan = open_scan("rosbag", source)
    path = write_bag(tmp_path / "out.mcap", [(scan.stamp(scan[0].id), "odom", two_objects())], scan)
    with AnyReader([source]) as reader:
        before = [(c.topic, time) for c, time, _ in reader.messages() if c.topic in ("/tf", "/tf_static")]
    found = messages(path)
    after = [(topic, time) for topic in ("/tf", "/tf_static") for time, _ in found[topic]]
    assert sorted(after) == sorted(before)
    moved = [item for _, sent in found["/tf"] for item in sent.transforms]
    assert {(item.header.frame_id, item.child_frame_id) for item in moved} == {("odom", "base_link")}
    assert len({item.transform.translation.x for item in moved}) == len(moved)


def test_a_bag_that_is_there_stays_and_a_failed_one_leaves_nothing(tmp_path):
    path = tmp_path / "out.mcap"

    def results():
        yield STAMP, "map", two_objects()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_bag(path, results())
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"out.mcap: bag-out: exists already"):
        ResultBag(path)
    assert path.read_bytes() == b"mine"


def box(center, size, count=400) -> np.ndarray:
    draw = np.random.default_rng(int(abs(center[0]) * 10))
    points = draw.uniform(-0.5, 0.5, (count, 3))
    points[np.arange(count), draw.integers(0, 3, count)] = 0.5 * draw.choice([-1, 1], count)
    return points * size + center


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    """A LiDAR 2 m above the ground that drives past three boxes; tf from odom over base_link."""
    grid = np.stack(np.meshgrid(np.arange(-15, 25, 0.5), np.arange(-15, 15, 0.5)), -1).reshape(-1, 2)
    world = np.vstack(
        [np.c_[grid, np.zeros(len(grid))], box((6, 4, 0.8), (4, 1.8, 1.6)), box((10, -5, 0.9), (0.6, 0.6, 1.8)), box((14, 5, 1), (2, 2, 2))]
    )  # fmt: skip
    maker = BagMaker("mcap file")
    for i in range(5):
        at = STAMP + i * SECOND // 10
        maker.points("/lidar", at, world - [0.5 * i, 0, 2])
        maker.tf("odom", "base_link", at, (0.5 * i, 0, 0))
    maker.tf("base_link", "lidar", STAMP, (0, 0, 2), static=True)
    return maker.write(tmp_path_factory.mktemp("drive"))


@pytest.mark.parametrize("storage", NAMES)
def test_a_map_of_a_bag_is_a_bag_again(storage, drive, tmp_path):
    out = tmp_path / NAMES[storage]
    command = [
        "map",
        str(drive),
        "--source",
        "rosbag",
        "--labels",
        "car,box,person",
        "--out",
        str(tmp_path / "map"),
    ]
    code = main(
        [
            *command[:1],
            "rosbag",
            str(drive),
            *command[4:],
            "--bag-out",
            str(out),
            "--confirm",
            "2",
            "--min-objectness",
            "0",
        ]
    )
    assert code == 0
    found = messages(out)
    assert [stamp_of(sent) for _, sent in found[DETECTIONS]] == [STAMP + i * SECOND // 10 for i in range(5)]
    assert {sent.header.frame_id for _, sent in found[DETECTIONS]} == {"odom"}
    last = instances_from_ros(found[DETECTIONS][-1][1])
    assert len(last) >= 2
    nearest = np.linalg.norm(last.boxes[:, None, :2] - np.array([[6, 4], [10, -5], [14, 5]]), axis=2).min(
        axis=0
    )
    assert (np.sort(nearest)[:2] < 0.5).all()  # in the world's axes, not the sensor's
    before = instances_from_ros(found[DETECTIONS][-2][1])
    assert set(before.track_ids.tolist()) & set(last.track_ids.tolist())
    assert len(found["/tf"]) == 5


def test_a_bag_cut_off_in_the_middle_is_one_line(drive, tmp_path, capsys):
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    assert (
        main(
            [
                "map",
                "rosbag",
                str(cut),
                "--out",
                str(tmp_path / "map"),
                "--bag-out",
                str(tmp_path / "out.mcap"),
            ]
        )
        == 2
    )
    said = capsys.readouterr().err.strip()
    assert "cut.mcap" in said
    assert "Fix:" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out.mcap").exists()


def test_bag_out_needs_a_bag(tmp_path, capsys):
    code = main(
        [
            "map",
            "procedural",
            "tabletop",
            "--frames",
            "0:2",
            "--out",
            str(tmp_path / "map"),
            "--bag-out",
            str(tmp_path / "out.mcap"),
        ]
    )
    assert code == 2
    assert "--bag-out: needs a bag" in capsys.readouterr().err


def test_frames_in_a_gap_of_tf_are_left_out_and_the_others_published(tmp_path, caplog):
    world = np.vstack([box((6, 4, 0.8), (4, 1.8, 1.6)), box((14, 5, 1), (2, 2, 2))])
    maker = BagMaker("mcap")
    for i in range(6):
        at = STAMP + i * SECOND
        maker.points("/lidar", at, world - [0.5 * i, 0, 0])
        if i not in (2, 3):
            maker.tf("odom", "lidar", at, (0.5 * i, 0, 0))
    source = maker.write(tmp_path / "drive")
    assert (
        main(
            ["map", "rosbag", str(source), "--out", str(tmp_path / "map"), "--bag-out", str(tmp_path / "out")]
        )
        == 0
    )
    found = messages(tmp_path / "out")
    assert [stamp_of(sent) for _, sent in found[DETECTIONS]] == [STAMP + i * SECOND for i in (0, 1, 4, 5)]
    assert "2 of 6 frames left out" in caplog.text


def test_a_topic_of_another_type_is_one_line(drive, tmp_path, capsys):
    out = ["--out", str(tmp_path / "map"), "--bag-out", str(tmp_path / "out.mcap")]
    assert main(["map", "rosbag", str(drive), "--option", "points=/tf", *out]) == 2
    said = capsys.readouterr().err.strip()
    assert "/tf" in said
    assert len(said.splitlines()) == 1
