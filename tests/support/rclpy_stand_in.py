"""Stand-in for rclpy, tf2_ros and generated messages: what examples/ros2 uses of them, as the ROS 2 API documents it.

It is no ROS: nothing is discovered, sent or scheduled. Messages have the fields of the true definitions, and every one
that the node fills is serialized as CDR, so that a wrong name or type fails.
"""

from __future__ import annotations

import sys
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from clip2.ros.definitions import cdr, message, typestore

SERVICE = "clip2_interfaces/msg/QueryResponse"


class TransformException(Exception):
    """What tf2_ros raises when a transform cannot be looked up."""


class Return(Enum):
    SUCCESS, FAILURE, ERROR = range(3)


def kind(type_name: str) -> Any:
    """A message class: called, it gives an empty message."""

    class Kind:
        def __new__(cls) -> Any:
            return message(type_name, {})

    Kind.__name__ = type_name.rpartition("/")[2]
    return Kind


def set_message_fields(target: Any, values: dict[str, Any]) -> None:
    """rosidl_runtime_py's: fills a message from nested dicts, and refuses names and types that it does not have."""
    name = target.__msgtype__
    cdr(name, _without_levels(values))
    target.__dict__.update(message(name, _without_levels(values)).__dict__)


def _without_levels(values: Any) -> Any:
    """rclpy holds the type ``byte`` as bytes of length 1, rosbags as a number."""
    if isinstance(values, dict):
        return {
            key: value[0] if isinstance(value, bytes) else _without_levels(value)
            for key, value in values.items()
        }
    return [_without_levels(each) for each in values] if isinstance(values, list) else values


class Publisher:
    def __init__(self, kind: Any, topic: str, qos: Any) -> None:
        self.kind, self.topic, self.qos, self.sent = kind, topic, qos, []

    def publish(self, sent: Any) -> None:
        self.sent.append(sent)


class Node:
    """A node whose clock, parameters and graph a test sets."""

    def __init__(self, name: str, **options: Any) -> None:
        self.overrides = options
        self.parameters: dict[str, Any] = {}
        self.descriptions: dict[str, str] = {}
        self.publishers: dict[str, Publisher] = {}
        self.subscriptions_of: dict[str, SimpleNamespace] = {}
        self.services_of: dict[str, Any] = {}
        self.timers_of: list[Any] = []
        self.graph: dict[str, str] = {}
        self.seconds = 100.0
        self.logged: list[str] = []

    def declare_parameter(self, name: str, default: Any, descriptor: Any) -> None:
        self.parameters[name] = self.overrides.get(name, default)
        assert type(self.parameters[name]) is type(default), "ROS parameters keep their type"
        self.descriptions[name] = descriptor.description

    def get_parameter(self, name: str) -> Any:
        return SimpleNamespace(value=self.parameters[name])

    def get_logger(self) -> Any:
        return SimpleNamespace(error=self.logged.append, warning=lambda text, **_: self.logged.append(text))

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=int(self.seconds * 1e9)))

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Publisher:
        return self.publishers.setdefault(topic, Publisher(kind, topic, qos))

    create_lifecycle_publisher = create_publisher

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any, **options: Any) -> Any:
        made = SimpleNamespace(kind=kind, topic=topic, callback=callback, qos=qos, **options)
        self.subscriptions_of[topic] = made
        return made

    def create_service(self, kind: Any, name: str, callback: Any, **options: Any) -> Any:
        self.services_of[name] = callback
        return name

    def create_timer(self, period: float, callback: Any, **options: Any) -> Any:
        self.timers_of.append(callback)
        return callback

    def destroy_subscription(self, made: Any) -> None:
        del self.subscriptions_of[made.topic]

    def destroy_service(self, name: str) -> None:
        del self.services_of[name]

    def destroy_timer(self, timer: Any) -> None:
        self.timers_of.remove(timer)

    def destroy_publisher(self, publisher: Publisher) -> None:
        del self.publishers[publisher.topic]

    def get_publishers_info_by_topic(self, topic: str) -> list[Any]:
        return [SimpleNamespace(topic_type=self.graph[topic])] if topic in self.graph else []

    def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
        return [(topic, [name]) for topic, name in self.graph.items()]

    def on_configure(self, state: Any) -> Return:
        return Return.SUCCESS

    on_activate = on_deactivate = on_cleanup = on_shutdown = on_configure


class Buffer:
    """tf2 buffer that holds one transform for all, or fails with a text."""

    transform: Any = None
    problem = '"map" passed to lookupTransform argument target_frame does not exist.'

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        if self.transform is None:
            raise TransformException(self.problem)
        return self.transform


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``import rclpy`` and the rest find the stand-in."""
    from rosbags.typesys import get_types_from_msg

    store = typestore()
    if SERVICE not in store.types:
        text = "bool success\nstring message\nvision_msgs/Detection3DArray detections\n"
        store.register(get_types_from_msg(text, SERVICE))
    members: dict[str, dict[str, Any]] = {
        "rclpy": {"init": None, "try_shutdown": None},
        "rclpy.callback_groups": {"ReentrantCallbackGroup": SimpleNamespace},
        "rclpy.event_handler": {"SubscriptionEventCallbacks": SimpleNamespace},
        "rclpy.executors": {"MultiThreadedExecutor": SimpleNamespace},
        "rclpy.lifecycle": {"LifecycleNode": Node, "State": object, "TransitionCallbackReturn": Return},
        "rclpy.parameter": {"ParameterDescriptor": SimpleNamespace},
        "rclpy.qos": {
            "DurabilityPolicy": SimpleNamespace(TRANSIENT_LOCAL="transient local"),
            "QoSProfile": SimpleNamespace,
            "qos_policy_name_from_kind": lambda kind: {2: "DURABILITY", 16: "RELIABILITY"}[kind],
            "qos_profile_sensor_data": "best effort, depth 5",
        },
        "rosidl_runtime_py": {},
        "rosidl_runtime_py.set_message": {"set_message_fields": set_message_fields},
        "tf2_ros": {
            "Buffer": Buffer,
            "TransformException": TransformException,
            "TransformListener": lambda buffer, node: SimpleNamespace(unregister=lambda: None),
        },
        "clip2_interfaces": {},
        "clip2_interfaces.srv": {"Query": SimpleNamespace(Response=kind(SERVICE))},
    }
    for package, names in {
        "sensor_msgs": "PointCloud2 Image CameraInfo",
        "std_msgs": "String",
        "diagnostic_msgs": "DiagnosticArray",
        "vision_msgs": "Detection3DArray VisionInfo",
        "visualization_msgs": "MarkerArray",
    }.items():
        members[package] = {}
        members[f"{package}.msg"] = {name: kind(f"{package}/msg/{name}") for name in names.split()}
    for name, content in members.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
