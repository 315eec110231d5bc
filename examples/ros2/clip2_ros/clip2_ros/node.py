"""Lifecycle node: sensor topics in, named objects out. All logic is in ``clip2.ros``; this file only wires it to rclpy."""

from __future__ import annotations

from typing import Any

import rclpy
from clip2_interfaces.srv import Query
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.parameter import ParameterDescriptor
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_policy_name_from_kind, qos_profile_sensor_data
from rosidl_runtime_py.set_message import set_message_fields
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from tf2_ros import Buffer, TransformException, TransformListener
from vision_msgs.msg import Detection3DArray, VisionInfo
from visualization_msgs.msg import MarkerArray

from clip2.ros.live import ColorBuffer, LiveMap, Output, load_model, map_config
from clip2.ros.parameters import PARAMETERS, check_parameters
from clip2.ros.sensors import header, matrix, stamp_of
from clip2.ros.watch import Input, Watch
from data_prep import InputError

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Clip2Node(LifecycleNode):
    """Publishes ``~/detections``, ``~/markers``, ``~/vision_info`` and ``/diagnostics``; serves ``~/query``; takes ``~/labels``."""

    def __init__(self, **options: Any) -> None:
        super().__init__("clip2", **options)
        for each in PARAMETERS:
            self.declare_parameter(each.name, each.default, ParameterDescriptor(description=each.description))
        self._map: LiveMap | None = None
        self._model: Any = None
        self._group = ReentrantCallbackGroup()  # a query must not wait for the next sweep
        self._made: list[tuple[Any, Any]] = []
        self._publishers_of: dict[str, Any] = {}

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        values = {each.name: self.get_parameter(each.name).value for each in PARAMETERS}
        try:
            check_parameters(values)
            self._model = load_model(values["model"])
            config = map_config(values)
            self._map = LiveMap(
                self._model,
                values["world_frame"],
                values["labels"],
                values["threshold"],
                config,
                self._send,
                self._refused,
            )
        except InputError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._values = values
        self._publishers_of = {
            "detections": self.create_lifecycle_publisher(Detection3DArray, "~/detections", 10),
            "markers": self.create_lifecycle_publisher(MarkerArray, "~/markers", 10),
            "vision_info": self.create_lifecycle_publisher(VisionInfo, "~/vision_info", LATCHED),
        }
        # Not a lifecycle publisher: it must speak when the node is not active, too.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        return super().on_configure(state)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        values = self._values
        self._colors, self._info = ColorBuffer(), None
        self._tf = Buffer()
        self._listener = TransformListener(self._tf, self)
        self._watch = Watch({}, self._now(), values["patience"])
        if values["points_topic"]:
            self._subscribe("points", PointCloud2, values["points_topic"], self._on_points)
        else:
            self._subscribe("depth", Image, values["depth_topic"], self._on_depth)
            self._subscribe("color", Image, values["color_topic"], self._colors.add)
            self._subscribe("camera info", CameraInfo, values["camera_info_topic"], self._on_info)
        labels = self.create_subscription(
            String, "~/labels", self._on_labels, LATCHED, callback_group=self._group
        )
        service = self.create_service(Query, "~/query", self._on_query, callback_group=self._group)
        timer = self.create_timer(1.0, self._diagnose, callback_group=self._group)
        self._made += [
            (self.destroy_subscription, labels),
            (self.destroy_service, service),
            (self.destroy_timer, timer),
        ]
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        for destroy, thing in self._made:
            destroy(thing)
        self._made.clear()
        self._listener.unregister()
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        if self._map is not None:
            self._map.close()
        self._map = self._model = None
        for publisher in self._publishers_of.values():
            self.destroy_publisher(publisher)
        self.destroy_publisher(self._diagnostics)
        return super().on_cleanup(state)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        if self._map is not None:
            self._map.close()
        return super().on_shutdown(state)

    def _subscribe(self, name: str, kind: Any, topic: str, take: Any) -> None:
        watched = Input(topic, f"sensor_msgs/msg/{kind.__name__}")
        self._watch.inputs[name] = watched

        def arrived(message: Any) -> None:
            watched.arrived(self._now())
            take(message)

        def incompatible(event: Any) -> None:
            watched.incompatible = qos_policy_name_from_kind(event.last_policy_kind)

        made = self.create_subscription(
            kind, topic, arrived, qos_profile_sensor_data,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=incompatible),
        )  # fmt: skip
        self._made.append((self.destroy_subscription, made))

    def _on_points(self, message: Any) -> None:
        T = self._pose(message)
        if T is not None:
            self._guarded(lambda live: live.on_points(message, T))

    def _on_depth(self, message: Any) -> None:
        color = self._colors.nearest(stamp_of(message))
        if color is None or self._info is None:
            return  # diagnostics say which is missing
        T = self._pose(color)
        if T is not None:
            self._guarded(lambda live: live.on_depth(message, color, self._info, T))

    def _on_info(self, message: Any) -> None:
        self._info = message

    def _pose(self, message: Any) -> Any:
        try:
            found = self._tf.lookup_transform(
                self._values["world_frame"], message.header.frame_id, message.header.stamp
            )
            self._watch.tf(self._now(), None)
            return matrix(found)
        except (TransformException, InputError) as error:
            self._watch.tf(self._now(), str(error))
            return None

    def _guarded(self, take: Any) -> None:
        try:
            if self._map is not None:
                take(self._map)
        except InputError as error:
            self._refused(str(error))

    def _on_labels(self, message: Any) -> None:
        if self._map is not None and (problem := self._map.set_labels(message.data)):
            self.get_logger().error(problem)

    def _on_query(self, request: Any, response: Any) -> Any:
        assert self._map is not None
        answer = self._map.query(request.labels, request.threshold if request.threshold > 0 else None)
        response.success, response.message = answer.success, answer.message
        set_message_fields(response.detections, answer.detections)
        return response

    def _send(self, output: Output) -> None:
        for name, kind in (
            ("detections", Detection3DArray),
            ("markers", MarkerArray),
            ("vision_info", VisionInfo),
        ):
            message = kind()
            set_message_fields(message, getattr(output, name))
            self._publishers_of[name].publish(message)
        self._watch.refused = None

    def _refused(self, problem: str) -> None:
        self._watch.refused = problem
        self.get_logger().warning(problem, throttle_duration_sec=5.0)

    def _diagnose(self) -> None:
        for each in self._watch.inputs.values():
            offered: dict[str, int] = {}
            for publisher in self.get_publishers_info_by_topic(each.topic):
                offered[publisher.topic_type] = offered.get(publisher.topic_type, 0) + 1
            each.offered = offered
        now = self.get_clock().now().nanoseconds
        message = DiagnosticArray()
        counts = {} if self._map is None else self._map.counts
        topics = dict(self.get_topic_names_and_types())
        set_message_fields(message, self._watch.diagnostics(self._now(), header(now, ""), counts, topics))
        self._diagnostics.publish(message)

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) / 1e9


def main() -> None:
    """Run the node until it is stopped."""
    rclpy.init()
    node = Clip2Node()
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    try:
        executor.spin()
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
