"""The node of examples/ros2, run against a stand-in of rclpy's API (tests/support/rclpy_stand_in.py), not in ROS."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import rclpy_stand_in
from support.ros_stand_ins import STAMP

from clip2.ros.definitions import message
from clip2.ros.detections import instances_from_ros
from clip2.ros.live import ColorBuffer, LiveMap, load_model
from clip2.ros.sensors import camera_info, image, pointcloud2, stamp_of, transform
from data_prep import InputError
from data_prep.geometry import Camera, rigid

PACKAGE = Path(__file__).parents[3] / "examples/ros2/clip2_ros"
OVERRIDES = {"threshold": 0.0, "labels": "car, box, person", "world_frame": "odom"}


def street() -> np.ndarray:
    draw = np.random.default_rng(0)
    ground = np.c_[draw.uniform(-15, 15, (4000, 2)), np.zeros(4000)]
    sides = draw.uniform(-0.5, 0.5, (900, 3))
    sides[np.arange(900), draw.integers(0, 3, 900)] = 0.5 * draw.choice([-1, 1], 900)
    return np.vstack([ground, sides * [4, 1.8, 1.6] + [6, 4, 0.8], sides * [2, 2, 2] + [-8, -5, 1]])


def cloud(k: int):
    at = STAMP + k * 10**8
    return message(
        "sensor_msgs/msg/PointCloud2", pointcloud2(street() - [0, 0, 2], stamp=at, frame_id="lidar")
    )


@pytest.fixture(scope="module")
def model():
    return load_model("mini-points")


@pytest.fixture
def node_class(monkeypatch):
    rclpy_stand_in.install(monkeypatch)
    monkeypatch.syspath_prepend(str(PACKAGE))
    for name in [name for name in sys.modules if name.startswith("clip2_ros")]:
        monkeypatch.delitem(sys.modules, name)
    from clip2_ros.node import Clip2Node

    return Clip2Node


@pytest.fixture
def node(node_class):
    made = node_class(**OVERRIDES)
    assert made.on_configure(None) is rclpy_stand_in.Return.SUCCESS
    assert made.on_activate(None) is rclpy_stand_in.Return.SUCCESS
    yield made
    made.on_shutdown(None)


def feed(node, count: int) -> None:
    place = transform(rigid(translation=np.array([0, 0, 2.0])), "odom", "lidar", STAMP)
    node._tf.transform = message("geometry_msgs/msg/TransformStamped", place)
    for k in range(count):
        node.subscriptions_of["/points"].callback(cloud(k))
        node._map.drain()


def test_clouds_become_detections_markers_and_labels_in_the_world_frame(node):
    feed(node, 4)
    sent = {topic: publisher.sent for topic, publisher in node.publishers.items()}
    last = sent["~/detections"][-1]
    assert (last.header.frame_id, stamp_of(last)) == ("odom", STAMP + 3 * 10**8)
    found = instances_from_ros(last)
    nearest = np.linalg.norm(found.boxes[:, None, :3] - np.array([[6, 4, 0.8], [-8, -5, 1]]), axis=2).min(
        axis=0
    )
    assert (nearest < 0.6).all()
    assert set(found.labels) <= {"car", "box", "person", "unknown"}
    assert len(sent["~/markers"][-1].markers) == 1 + 2 * len(found)
    assert sent["~/vision_info"][-1].database_location == "car, box, person"


def test_a_query_answers_by_other_labels_and_bad_ones_are_told(node):
    feed(node, 4)
    ask = node.services_of["~/query"]
    empty = rclpy_stand_in.kind(rclpy_stand_in.SERVICE)
    good = ask(SimpleNamespace(labels="chair, table", threshold=0.0), empty())
    assert good.success
    assert {one.results[0].hypothesis.class_id for one in good.detections.detections} <= {
        "chair",
        "table",
        "unknown",
    }
    bad = ask(SimpleNamespace(labels="chair, chair", threshold=0.0), empty())
    assert not bad.success
    assert "chair" in bad.message
    assert len(bad.detections.detections) == 0


def test_the_label_topic_changes_what_is_published(node):
    feed(node, 3)
    node.subscriptions_of["~/labels"].callback(SimpleNamespace(data="chair,table"))
    node.subscriptions_of["/points"].callback(cloud(5))
    node._map.drain()
    assert node.publishers["~/vision_info"].sent[-1].database_location == "chair, table"
    node.subscriptions_of["~/labels"].callback(SimpleNamespace(data=","))
    assert node.logged


def test_diagnostics_name_the_missing_topic_then_tf_then_nothing(node):
    def told() -> dict[str, str]:
        node.timers_of[0]()
        return {one.name: one.message for one in node.publishers["/diagnostics"].sent[-1].status}

    assert told()["clip2: points"] == "waiting"
    node.seconds += 6
    assert "nothing publishes /points" in told()["clip2: points"]
    node.graph["/points"] = "sensor_msgs/msg/PointCloud2"
    for _ in range(2):
        node.subscriptions_of["/points"].callback(cloud(0))
        node.seconds += 4.5
    node.subscriptions_of["/points"].callback(cloud(0))
    node.seconds += 1
    assert told()["clip2: points"] == "ok"
    assert "target_frame does not exist" in told()["clip2: tf"]
    feed(node, 1)
    assert set(told().values()) == {"ok"}
    event = SimpleNamespace(last_policy_kind=16)
    node.subscriptions_of["/points"].event_callbacks.incompatible_qos(event)
    node.seconds += 20
    assert "does not offer the RELIABILITY" in told()["clip2: points"]


def test_a_cloud_without_points_is_refused_and_told(node):
    feed(node, 1)
    node.subscriptions_of["/points"].callback(
        message("sensor_msgs/msg/PointCloud2", pointcloud2(np.full((1, 3), np.nan), frame_id="lidar"))
    )
    node.timers_of[0]()
    told = {one.name: one.message for one in node.publishers["/diagnostics"].sent[-1].status}
    assert "holds no measured point" in told["clip2: map"]


def test_deactivated_it_hears_nothing_and_cleaned_up_it_holds_nothing(node_class):
    node = node_class(**OVERRIDES)
    node.on_configure(None)
    node.on_activate(None)
    assert node.subscriptions_of["/points"].qos == "best effort, depth 5"
    node.on_deactivate(None)
    assert (node.subscriptions_of, node.services_of, node.timers_of) == ({}, {}, [])
    node.on_cleanup(None)
    assert node.publishers == {}
    assert node.on_configure(None) is rclpy_stand_in.Return.SUCCESS
    node.on_shutdown(None)


@pytest.mark.parametrize(
    "override", [{"points_topic": ""}, {"labels": "a, a"}, {"confirm": 0}, {"model": "no-such-folder"}]
)
def test_parameters_that_cannot_be_fail_to_configure_with_one_line(node_class, override):
    node = node_class(**OVERRIDES | override)
    assert node.on_configure(None) is rclpy_stand_in.Return.FAILURE
    assert len(node.logged) == 1
    assert len(node.logged[0].splitlines()) == 1
    node.on_shutdown(None)


def test_depth_and_color_become_a_frame(model):
    K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
    depth = np.full((48, 64), 3, np.float32)
    depth[15:35, 20:40] = 2
    color = np.zeros((48, 64, 3), np.uint8)
    info = message("sensor_msgs/msg/CameraInfo", camera_info(Camera(K, 64, 48)))
    sent = [message("sensor_msgs/msg/Image", image(pixels, stamp=STAMP)) for pixels in (depth, color)]
    with LiveMap(model) as live:
        live.on_depth(*sent, info, np.eye(4))
        live.drain()
        assert live.counts["frames"] == 1
        small = message("sensor_msgs/msg/Image", image(depth[:24], stamp=STAMP))
        with pytest.raises(InputError, match="aligned_depth_to_color"):
            live.on_depth(small, sent[1], info, np.eye(4))
        with pytest.raises(InputError, match=r"give sensor_msgs/msg/PointCloud2"):
            live.on_points(sent[0], np.eye(4))


def test_a_depth_image_finds_the_color_image_taken_with_it():
    colors = ColorBuffer()
    for k in range(20):
        colors.add(
            message("sensor_msgs/msg/Image", {"header": {"stamp": {"sec": 1, "nanosec": k * 33_000_000}}})
        )
    found = colors.nearest(10**9 + 15 * 33_000_000 + 9_000_000)
    assert found.header.stamp.nanosec == 15 * 33_000_000
    assert colors.nearest(3 * 10**9) is None
    assert colors.nearest(10**9) is None  # long gone
