"""ROS 2 bags of results: objects, markers and labels on topics, with the stamps, frames and tf they came with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.instances import Instances3D
from clip2.ros.definitions import cdr, typestore
from clip2.ros.detections import vision_info
from clip2.ros.marker_array import markers
from clip2.ros.sensors import header, stamp_of
from data_prep.errors import InputError
from data_prep.scans.rosbag.bag import frame_name
from data_prep.storage.extras import require_extra
from data_prep.storage.files import require_writable

if TYPE_CHECKING:
    from data_prep.scans.rosbag.scan import RosbagScan

DETECTIONS, MARKERS, VISION_INFO = "/clip2/detections", "/clip2/markers", "/clip2/vision_info"
_TYPES = {
    DETECTIONS: "vision_msgs/msg/Detection3DArray",
    MARKERS: "visualization_msgs/msg/MarkerArray",
    VISION_INFO: "vision_msgs/msg/VisionInfo",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
}
_LATCHED = (VISION_INFO, "/tf_static")  # whoever plays the bag from the middle needs these too


class ResultBag:
    """Writes objects per frame to a ROS 2 bag. Use it as a context manager: the bag appears whole at the end, or not at all.

    Args:
        path: ``NAME.mcap`` for one MCAP file; any other name becomes a folder with sqlite3, which ``ros2 bag`` of every
            release plays.

    Raises:
        InputError: rosbags is not installed, or the path exists or cannot be written.

    >>> import tempfile
    >>> empty = Instances3D((), np.zeros((0, 7)), np.zeros((0, 3, 3)), (), np.zeros(0), np.zeros((0, 8)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ResultBag(Path(folder) / "out.mcap") as bag:
    ...         bag.add(10**9, "map", empty)
    ...     print([path.name for path in Path(folder).iterdir()])
    ['out.mcap']
    """

    def __init__(self, path: str | Path) -> None:
        require_extra("rosbags.rosbag2", "ros", needed_for="--bag-out")
        self.path = Path(path)
        if self.path.exists():
            raise InputError("exists already", source=self.path, field="bag-out", fix="choose another name")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        require_writable(self.path.parent, "bag-out")
        self._scratch: Path | None = None
        self._writer: Any = None
        self._connections: dict[str, Any] = {}
        self._told = ""

    def __enter__(self) -> ResultBag:
        from rosbags.rosbag2 import StoragePlugin, Writer

        self._scratch = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        plugin = StoragePlugin.MCAP if self.path.suffix == ".mcap" else StoragePlugin.SQLITE3
        self._writer = Writer(self._scratch / self.path.stem, version=9, storage_plugin=plugin)
        self._writer.open()
        return self

    def add(
        self,
        stamp: int,
        frame_id: str,
        objects: Instances3D,
        T_frame_world: NDArray[np.float64] | None = None,
    ) -> None:
        """Write the objects of one frame.

        Args:
            stamp: nanoseconds, of the frame's message.
            frame_id: tf frame of the boxes.
            objects: in world axes.
            T_frame_world: (4, 4) from world axes to those of ``frame_id``; None: they are the same.
        """
        detections = objects.to_ros(frame_id, stamp, T_frame_world)
        self._write(DETECTIONS, stamp, cdr(_TYPES[DETECTIONS], detections))
        self._write(MARKERS, stamp, cdr(_TYPES[MARKERS], markers(objects, detections)))
        info = vision_info(objects.model, objects.vocabulary, detections["header"])
        if info["database_location"] != self._told or VISION_INFO not in self._connections:
            self._told = info["database_location"]
            self._write(VISION_INFO, stamp, cdr(_TYPES[VISION_INFO], info))

    def copy_tf(self, scan: RosbagScan) -> None:
        """Copy ``/tf`` and ``/tf_static`` of the bag that the frames come from, also from ROS 1."""
        for topic, time, message in scan.tf_messages():
            transforms = [
                {
                    "header": header(stamp_of(item), frame_name(item.header.frame_id)),
                    "child_frame_id": frame_name(item.child_frame_id),
                    "transform": {
                        part: _numbers(getattr(item.transform, part)) for part in ("translation", "rotation")
                    },
                }
                for item in message.transforms
            ]
            self._write(topic, time, cdr(_TYPES[topic], {"transforms": transforms}))

    def _write(self, topic: str, time: int, raw: bytes) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, _TYPES[topic], typestore=typestore(), offered_qos_profiles=_qos(topic)
            )
        self._writer.write(self._connections[topic], time, raw)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._scratch is not None
        try:
            self._writer.close()
            if kind is None:
                made = self._scratch / self.path.stem
                (made / f"{made.name}.mcap" if self.path.suffix == ".mcap" else made).rename(self.path)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)


def write_bag(
    path: str | Path,
    results: Iterable[tuple[int, str, Instances3D]],
    scan: RosbagScan | None = None,
) -> Path:
    """Write a sequence of results as a ROS 2 bag.

    Args:
        path: as of :class:`ResultBag`.
        results: stamp in nanoseconds, tf frame and objects of each frame.
        scan: the bag they come from, whose tf is kept; None: there is no tf.

    Returns:
        The path.
    """
    T_frame_world = None if scan is None else scan.world_frame[1]
    with ResultBag(path) as bag:
        if scan is not None:
            bag.copy_tf(scan)
        for stamp, frame_id, objects in results:
            bag.add(stamp, frame_id, objects, T_frame_world)
    return Path(path)


def _numbers(vector: Any) -> dict[str, float]:
    return {axis: getattr(vector, axis) for axis in "xyzw" if hasattr(vector, axis)}


def _qos(topic: str) -> list[Any]:
    """Static tf and the labels are kept for late subscribers, as their live publishers do."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(sec=2147483647, nsec=4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if topic in _LATCHED else QosDurability.VOLATILE
    return [
        Qos(
            history=QosHistory.KEEP_LAST,
            depth=1 if topic in _LATCHED else 10,
            reliability=QosReliability.RELIABLE,
            durability=durability,
            deadline=forever,
            lifespan=forever,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=forever,
            avoid_ros_namespace_conventions=False,
        )
    ]
