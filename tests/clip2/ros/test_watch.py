"""Diagnostics: which input is missing, and what to do about it."""

from __future__ import annotations

import pytest

from clip2.ros.parameters import PARAMETERS, check_parameters
from clip2.ros.watch import ERROR, OK, WARN, Input, Watch
from data_prep import InputError

CLOUD = "sensor_msgs/msg/PointCloud2"


def watch(**changes) -> Watch:
    return Watch({"points": Input("/points", CLOUD, **changes)}, started=10.0)


def test_nothing_is_missing_before_five_seconds_are_over():
    assert watch().problems(14.9) == {}
    assert list(watch().problems(15.0)) == ["points"]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, "topic: nothing publishes /points (sensor_msgs/msg/PointCloud2); topics of this type: /lidar/points. Fix: start"),
        ({"offered": {"sensor_msgs/msg/LaserScan": 1}}, "type: /points carries sensor_msgs/msg/LaserScan, not sensor_msgs/msg/PointCloud2"),
        ({"offered": {CLOUD: 1}, "incompatible": "RELIABILITY"}, "QoS: the publisher of /points does not offer the RELIABILITY"),
        ({"offered": {CLOUD: 1}}, "topic: /points has a publisher but no message came"),
        ({"offered": {CLOUD: 1}, "messages": 7, "last": 12.0}, "topic: /points went silent after 7 messages"),
    ],
)  # fmt: skip
def test_a_missing_input_is_named(state, told):
    others = {"/lidar/points": [CLOUD], "/scan": ["sensor_msgs/msg/LaserScan"], "/points": [CLOUD]}
    assert watch(**state).problems(20.0, others)["points"].startswith(told)


def test_missing_camera_info_is_told_apart_from_images():
    inputs = {
        "depth": Input("/depth", "sensor_msgs/msg/Image", 3, 19.0),
        "camera info": Input("/camera_info", "sensor_msgs/msg/CameraInfo"),
    }
    assert list(Watch(inputs, 10.0).problems(20.0)) == ["camera info"]


def test_tf_is_missing_only_after_it_failed_for_five_seconds_in_a_row():
    it = watch(offered={CLOUD: 1}, last=20.0)
    it.tf(16.0, "no map")
    assert it.problems(20.0) == {}
    it.tf(21.0, "Lookup would require extrapolation into the future")
    assert it.problems(21.0)["tf"].startswith(
        "tf: Lookup would require extrapolation into the future. Fix: publish"
    )
    it.tf(21.5, None)
    assert it.problems(22.0) == {}


def test_levels_of_diagnostics():
    it = watch()
    level = lambda now: {s["name"]: s["level"][0] for s in it.diagnostics(now, {}, {"frames": 3})["status"]}  # noqa: E731
    assert level(11.0) == {"clip2: points": WARN, "clip2: tf": WARN, "clip2: map": OK}
    assert level(20.0)["clip2: points"] == ERROR
    it.refused = "frame 3: pose jumps"
    assert level(20.0)["clip2: map"] == WARN


def test_every_parameter_is_described_and_the_defaults_are_allowed():
    assert all(each.description.endswith(".") for each in PARAMETERS)
    check_parameters({each.name: each.default for each in PARAMETERS})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points_topic": ""}, "points_topic: is empty"),
        ({"depth_topic": "/depth"}, "depth_topic: is set beside points_topic"),
        (
            {"points_topic": "", "depth_topic": "/depth", "color_topic": "/color"},
            "camera_info_topic: is empty",
        ),
        ({"threshold": 30.0}, "threshold: is 30.0. Fix: give 0 to 1"),
    ],
)
def test_parameters_that_contradict_are_one_line(changes, told):
    with pytest.raises(InputError, match=told):
        check_parameters({each.name: each.default for each in PARAMETERS} | changes)
