"""Live map behind a ROS node: messages in, messages out, and no rclpy, so that tests run anywhere."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.mapping import MapConfig, MapUpdate, ObjectMap
from clip2.mapping.finder import Sighting
from clip2.mapping.pipeline import LivePipeline
from clip2.object_model import ObjectModel
from clip2.recognition.instances import Instances3D
from clip2.ros.detections import vision_info
from clip2.ros.marker_array import markers
from clip2.ros.sensors import stamp_of
from data_prep.config import parse_config
from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera
from data_prep.scans import Frame
from data_prep.scans.rosbag.cameras import lens_from_info
from data_prep.scans.rosbag.images import decode_depth, decode_image
from data_prep.scans.rosbag.pointcloud2 import read_pointcloud2

_PAIR = 50_000_000  # ns between a depth image and its color image
_KEPT = 10  # color images that wait for their depth


class Output(NamedTuple):
    """Plain dicts of the messages after one frame."""

    detections: dict[str, Any]
    markers: dict[str, Any]
    vision_info: dict[str, Any]


class Answer(NamedTuple):
    """Reply of the query service: the objects, or why there are none."""

    success: bool
    message: str
    detections: dict[str, Any]


class LiveMap:
    """A map of named objects that is fed with messages. Close it, or use it as a context manager.

    Args:
        model: from :func:`load_model`.
        world_frame: tf frame of everything that is published.
        labels: to choose from, separated by commas; empty: all of the model.
        threshold: objects whose best label is less probable are not published.
        config: of the map.
        on_output: called in a worker thread after every frame.
        on_refused: called in that thread with the reason why a frame could not be used.

    Raises:
        InputError: a label without a vector, or a threshold outside 0..1.
    """

    def __init__(
        self,
        model: ObjectModel,
        world_frame: str = "map",
        labels: str = "",
        threshold: float = 0.3,
        config: MapConfig | None = None,
        on_output: Callable[[Output], object] | None = None,
        on_refused: Callable[[str], object] | None = None,
    ) -> None:
        self.world_frame, self.threshold = world_frame, threshold
        self._on_output, self._on_refused = on_output, on_refused
        self._lock = threading.Lock()
        self._map = _SharedMap(self._lock, model, labels or None, config)
        self._labels = labels
        self._stamp = 0
        self._map.query(labels or None, threshold)  # errors come now, not in the worker
        self._pipeline = LivePipeline(self._map, self._publish, self._refuse, depth=1)

    @property
    def counts(self) -> dict[str, int]:
        """Frames taken, dropped and refused, and confirmed objects."""
        pipe = self._pipeline
        with self._lock:
            objects = len(self._map)
        return {"frames": pipe.taken, "dropped": pipe.dropped, "refused": pipe.refused, "objects": objects}

    def on_points(self, message: Any, T_world_frame: NDArray[np.float64]) -> None:
        """Take a ``sensor_msgs/PointCloud2``; returns at once.

        Args:
            message: of rclpy or rosbags.
            T_world_frame: (4, 4) from the message's frame to :attr:`world_frame` at its stamp.

        Raises:
            BadFrameError: a message without points, or of another type.
        """
        if not hasattr(message, "point_step"):
            raise BadFrameError(
                f"is a {type(message).__name__}",
                source="points",
                field="type",
                fix="give sensor_msgs/msg/PointCloud2",
            )
        points, colors, intensity = read_pointcloud2(message, "points")
        stamp = stamp_of(message)
        self._offer(
            Frame.build(
                str(stamp),
                points,
                colors=colors,
                intensity=intensity,
                T_world_points=T_world_frame,
                timestamp=stamp / 1e9,
            )
        )

    def on_depth(self, depth: Any, color: Any, info: Any, T_world_cam: NDArray[np.float64]) -> None:
        """Take a depth image with the color image it is aligned to; returns at once.

        Args:
            depth, color: ``sensor_msgs/Image``; color also ``CompressedImage``.
            info: ``sensor_msgs/CameraInfo`` of the color image.
            T_world_cam: (4, 4) from the optical frame to :attr:`world_frame` at the stamp.

        Raises:
            BadFrameError: images that do not fit each other, or nothing measured.
        """
        pixels, meters = decode_image(color, "color"), decode_depth(depth, "depth")
        if pixels.shape[:2] != meters.shape:
            raise BadFrameError(
                f"is {meters.shape[1]}x{meters.shape[0]}, color {pixels.shape[1]}x{pixels.shape[0]}",
                source="depth",
                field="size",
                fix="use the driver's aligned depth topic, such as aligned_depth_to_color",
            )
        lens = lens_from_info(info, "camera_info", rectified=False)
        camera = Camera(lens.K, pixels.shape[1], pixels.shape[0], np.eye(4), lens.distortion)
        stamp = stamp_of(depth)
        self._offer(Frame.from_depth(str(stamp), camera, pixels, meters, T_world_cam, "color", stamp / 1e9))

    def set_labels(self, labels: str) -> str:
        """Change the labels from now on; what was seen before gets them too.

        Returns:
            Empty, or why the labels stay as they were.
        """
        try:
            with self._lock:
                self._map.query(labels or None)
        except InputError as error:
            return str(error)
        self._labels = labels
        return ""

    def query(self, labels: str = "", threshold: float | None = None) -> Answer:
        """Objects of the map by any labels, without changing what is published.

        Args:
            labels: separated by commas, phrases such as "red chair" too; empty: those that are published.
            threshold: None: that of the map.
        """
        try:
            with self._lock:
                found = self._map.query(
                    labels or self._labels or None, self.threshold if threshold is None else threshold
                )
        except InputError as error:
            return Answer(False, str(error), _nothing().to_ros(self.world_frame, self._stamp))
        return Answer(True, f"{len(found)} objects", found.to_ros(self.world_frame, self._stamp))

    def close(self) -> None:
        """Finish the frames that wait and stop the worker."""
        self._pipeline.close()

    def __enter__(self) -> LiveMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drain(self) -> None:
        """Wait until every frame that was not dropped is in the map."""
        self._pipeline.drain()

    def _offer(self, frame: Frame) -> None:
        self._pipeline.offer(frame)

    def _publish(self, update: MapUpdate) -> None:
        self._stamp = int(update.frame_id)
        with self._lock:
            found = self._map.query(self._labels or None, self.threshold)
        if self._on_output is not None:
            detections = found.to_ros(self.world_frame, self._stamp)
            info = vision_info(found.model, found.vocabulary, detections["header"])
            self._on_output(Output(detections, markers(found, detections), info))

    def _refuse(self, frame: Frame, error: InputError) -> None:
        if self._on_refused is not None:
            self._on_refused(str(error))


class _SharedMap(ObjectMap):
    """A map that is asked in one thread while another updates it."""

    def __init__(
        self, lock: threading.Lock, model: ObjectModel, labels: str | None, config: MapConfig | None
    ) -> None:
        super().__init__(model, labels, config=config)
        self._shared = lock

    def fuse(self, sighting: Sighting) -> MapUpdate:
        with self._shared:
            return super().fuse(sighting)


class ColorBuffer:
    """The last color images, of which a depth image finds the one taken with it."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque(maxlen=_KEPT)

    def add(self, message: Any) -> None:
        """Keep a color image."""
        self._messages.append(message)

    def nearest(self, stamp: int) -> Any | None:
        """The image nearest to ``stamp`` (ns), if within 50 ms; else None."""
        best = min(self._messages, key=lambda each: abs(stamp_of(each) - stamp), default=None)
        return best if best is not None and abs(stamp_of(best) - stamp) <= _PAIR else None


def map_config(values: Mapping[str, Any]) -> MapConfig:
    """Settings of the map from the node's parameters.

    Raises:
        InputError: a value that cannot be.
    """
    settings = {"confirm": values["confirm"], "budget_ms": values["budget_ms"] or None}
    return parse_config(MapConfig, settings, source="parameters")


def load_model(name: str, threads: int | None = None) -> ObjectModel:
    """A model for a robot: a folder of ``clip2 export`` runs in onnxruntime, anything else in torch.

    Raises:
        InputError: it cannot be loaded.
    """
    from clip2.runtime.description import is_export

    if is_export(name):
        from clip2.runtime import OnnxModel

        return OnnxModel(name, threads)
    from clip2.checkpoint import load

    return load(name)


def _nothing() -> Instances3D:
    return Instances3D(
        (), np.zeros((0, 7)), np.zeros((0, 3, 3)), (), np.zeros(0, np.float32), np.zeros((0, 0), np.float32)
    )
