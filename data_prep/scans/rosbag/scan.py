"""ROS bag reader: LiDAR with cameras, or RGB-D, from ROS 1 and ROS 2 bags."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, invert, rigid
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.images import require_size
from data_prep.scans.frame import Frame, View
from data_prep.scans.rgbd.depth import depth_seen_by, register_depth
from data_prep.scans.rosbag.bag import Bag, frame_name
from data_prep.scans.rosbag.cameras import Calibration, Lens, camera_info_topic, is_rectified, lens_from_info
from data_prep.scans.rosbag.images import decode_depth, decode_image
from data_prep.scans.rosbag.index import index_bag
from data_prep.scans.rosbag.pointcloud2 import read_pointcloud2
from data_prep.scans.rosbag.topics import choose_topics
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

_TF_TOPICS = ("/tf", "/tf_static")
_GAP = 0.1  # seconds: one turn of a 10 Hz LiDAR
_PAIR = 0.02  # seconds between a depth image and its colors; TUM RGB-D's own rule
_log = logging.getLogger(__name__)


@register_source("rosbag")
class RosbagScan(IndexedScan[int]):
    """A bag: ROS 1 ``.bag`` (or a folder of its parts), ROS 2 folder (sqlite3 or MCAP), or an ``.mcap`` file.

    LiDAR: one frame per PointCloud2. Points keep the message's axes, each camera adds the image taken nearest to
    it, and the camera's place is taken from tf at the moment of that image, so that a moving vehicle's images fit.
    RGB-D: one frame per depth image with the color image nearest to it. Depth of another camera frame
    is carried over to the color camera by tf; points are in the color camera's axes.

    Opening reads the bag once from end to end, keeps times, tf and CameraInfo, and decodes no cloud and no image.
    Frame ids are stamps in nanoseconds, views are called ``TOPIC/STAMP.png``.

    Args:
        root: the file or folder.
        points: PointCloud2 topic; None = the only one.
        images: image topics; None = all color and gray ones that have a CameraInfo; an empty list: none.
        depth: topic of depth images, for RGB-D; None = the only one, if the bag has no PointCloud2.
        world_frame: tf frame that becomes the world; None = the root of tf above the sensor.
        up: axis of ``world_frame`` that points up; None = ``z``, as REP 103 says, or ``-y`` where the world is a
            camera's optical frame.
        max_time_gap: seconds between a moment and the image or the tf sample that may be used for it; None = 0.1,
            but 0.02 between depth and color.
        clock: ``header`` takes the stamps of the messages; ``bag`` the time of recording, for sensors whose clocks
            do not agree.
        calibration: YAML with what the bag lacks, see :class:`Calibration`.
        intensity_max: intensity that counts as 1; None = 1, 255 or 65535, whichever holds a message's values.

    Attributes:
        notes: what is odd about the bag but does not stop it, one line each.

    Raises:
        InputError: rosbags is not installed, or an option that cannot be.
        BadDatasetError: not a bag, topics that are missing or ambiguous, a camera without intrinsics or place.
    """

    source = "rosbag"

    def __init__(
        self,
        root: Path,
        points: str | None = None,
        images: Sequence[str] | None = None,
        depth: str | None = None,
        world_frame: str | None = None,
        up: str | None = None,
        max_time_gap: float | None = None,
        clock: Literal["header", "bag"] = "header",
        calibration: Path | None = None,
        intensity_max: float | None = None,
    ) -> None:
        root = Path(root)
        if max_time_gap is not None and not 0 < max_time_gap < np.inf:
            raise InputError(f"is {max_time_gap}", field="max_time_gap", fix="give seconds above 0")
        if intensity_max is not None and not 0 < intensity_max < np.inf:
            raise InputError(f"is {intensity_max}", field="intensity_max", fix="give a number above 0")
        if clock not in ("header", "bag"):
            raise InputError(f"is {clock!r}", field="clock", fix="use header or bag")
        self._intensity_max = intensity_max
        self._calibration = Calibration() if calibration is None else Calibration.load(Path(calibration))
        self._bag = Bag(root)
        self._topics = choose_topics(self._bag, points, images, depth, tuple(self._calibration.cameras))
        gap = round((max_time_gap or _GAP) * 1e9)
        self._pair_gap = (
            gap if depth is None and self._topics.depth is None else round((max_time_gap or _PAIR) * 1e9)
        )
        self._index = index_bag(self._bag, self._topics, clock, gap)
        self._main = self._topics.points or self._topics.depth or ""
        self._stream = self._index.streams[self._main]
        super().__init__(root, self._entries_by_id(), f"messages on {self._main}")
        self._settle_frames(world_frame, up)
        self._require_lenses()
        self.notes = tuple(self._find_notes())
        for note in self.notes:
            _log.warning("clip2: warning: %s: %s", root, note)

    def read(self, id: str, entry: int) -> Frame:
        stamp, bag_time = int(self._stream.stamps[entry]), int(self._stream.bag_times[entry])
        message = self._bag.read(self._main, bag_time, stamp)
        if self._topics.depth is not None:
            return self._read_rgbd(id, entry, message)
        points, colors, intensity = read_pointcloud2(message, self._where(self._main), self._intensity_max)
        T_world_points = self._pose(frame_name(message.header.frame_id), stamp, bag_time)
        views = []
        for topic in self._topics.images:
            k = self._partner(entry, topic)
            if k is not None:
                views.append(self._view(topic, k, T_world_points))
        return Frame.build(
            id,
            points,
            colors=colors,
            intensity=intensity,
            views=tuple(views),
            T_world_points=T_world_points,
            timestamp=stamp / 1e9,
        )

    @property
    def world_frame(self) -> tuple[str, NDArray[np.float64]]:
        """tf frame of the world, and ``T_frame_world`` (4, 4): from our world, whose z is up, to that frame's axes."""
        return self._world, invert(self._T_zup)

    @property
    def sensor_frame(self) -> str:
        """tf frame of the points."""
        return self._index.frames[self._topics.points or self._topics.images[0]]

    def stamp(self, id: str) -> int:
        """Nanoseconds of the message that frame ``id`` was made of, as its header says."""
        return int(id)

    def tf_messages(self) -> Iterator[tuple[str, int, Any]]:
        """Topic, time of recording (ns) and decoded message of all tf, to be copied into another bag."""
        for topic, time, raw in self._bag.messages([t for t in _TF_TOPICS if t in self._bag.topics]):
            yield topic, time, self._bag.decode(topic, raw)

    def world(self, id: str, entry: int) -> str | None:
        """The world's tf frame, where the sensor moves in it."""
        sensor = self._topics.points or self._topics.images[0]
        moves = self._index.tf.moves(self._world, self._index.frames[sensor])
        return self._world if moves else None

    def view_names(self, id: str, entry: int) -> list[str]:
        partners = [(topic, self._partner(entry, topic)) for topic in self._topics.images]
        return [self._view_name(topic, k) for topic, k in partners if k is not None]

    def _view_name(self, topic: str, k: int) -> str:
        return f"{topic.strip('/')}/{self._index.streams[topic].stamps[k]}.png"

    def _read_rgbd(self, id: str, entry: int, message: Any) -> Frame:
        topic = self._topics.images[0]
        k = self._partner(entry, topic)
        assert k is not None, "depth without color is no entry"
        stream = self._index.streams[topic]
        bag_time, stamp = int(stream.bag_times[k]), int(self._stream.stamps[entry])
        color = self._bag.read(topic, bag_time, int(stream.stamps[k]))
        image = decode_image(color, self._where(topic))
        lens = self._lens(topic, bag_time)
        camera = self._camera(lens, image, np.eye(4))
        frame = frame_name(color.header.frame_id)
        depth = self._registered(message, camera, frame, stamp, bag_time, lens)
        T_world_cam = self._pose(frame, stamp, bag_time) @ rigid(lens.R_cam_image)
        made = Frame.from_depth(id, camera, image, depth, T_world_cam, self._view_name(topic, k))
        return replace(made, timestamp=stamp / 1e9)

    def _registered(
        self, message: Any, camera: Camera, color_frame: str, stamp: int, bag_time: int, lens: Lens
    ) -> NDArray[np.float32]:
        """The depth image pixel for pixel with the color image."""
        assert self._topics.depth is not None
        depth = decode_depth(message, self._where(self._topics.depth))
        depth_frame_id = frame_name(message.header.frame_id)
        same_frame = depth_frame_id == color_frame
        if (
            self._topics.depth not in self._topics.infos
            and self._calibration.lens(self._topics.depth) is None
        ):
            if same_frame and depth.shape == (camera.height, camera.width):
                return depth
            raise BadDatasetError(
                "has no CameraInfo and is not of the color camera's frame and size", source=self.root,
                field=self._topics.depth,
                fix=f"record {camera_info_topic(self._topics.depth)}, or state calibration=FILE",
            )  # fmt: skip
        own = self._lens(self._topics.depth, bag_time)
        measured = self._camera(own, depth, np.eye(4))
        if (
            same_frame
            and depth.shape == (camera.height, camera.width)
            and np.allclose(own.K, camera.K, rtol=1e-4)
        ):
            return depth
        if same_frame and own.distortion.model == "none" and np.allclose(own.R_cam_image, lens.R_cam_image):
            return depth_seen_by(camera, depth, own.K)
        T_color_depth = self._calibration.T_points_cam(self._topics.depth)
        if T_color_depth is None:
            T_color_depth = self._index.tf.lookup(color_frame, depth_frame_id, stamp, bag_time)
        T = rigid(lens.R_cam_image.T) @ T_color_depth @ rigid(own.R_cam_image)
        return register_depth(depth, measured, T, camera)

    def _view(self, topic: str, k: int, T_world_points: NDArray[np.float64]) -> View:
        stream = self._index.streams[topic]
        stamp, bag_time = int(stream.stamps[k]), int(stream.bag_times[k])
        message = self._bag.read(topic, bag_time, stamp)
        image = decode_image(message, self._where(topic))
        T_points_cam = self._calibration.T_points_cam(topic)
        if T_points_cam is None:
            T_world_cam = self._pose(frame_name(message.header.frame_id), stamp, bag_time)
            T_points_cam = invert(T_world_points) @ T_world_cam
        lens = self._lens(topic, bag_time)
        camera = self._camera(lens, image, T_points_cam @ rigid(lens.R_cam_image))
        return View(self._view_name(topic, k), camera, image)

    def _lens(self, topic: str, bag_time: int) -> Lens:
        stated = self._calibration.lens(topic)
        if stated is not None:
            return stated
        info_topic = self._topics.infos[topic]
        info = self._index.info_at(info_topic, bag_time)
        return lens_from_info(info, self._where(info_topic), is_rectified(topic))

    def _camera(self, lens: Lens, image: NDArray, T_points_cam: NDArray[np.float64]) -> Camera:
        height, width = image.shape[:2]
        stated = (lens.width or width, lens.height or height)
        fix = "record the camera_info of these images, or state calibration=FILE"
        require_size(image, stated, "its CameraInfo", self.root, fix=fix)
        return Camera(lens.K, width, height, T_points_cam, lens.distortion)

    def _pose(self, frame: str, stamp: int, bag_time: int) -> NDArray[np.float64]:
        """(4, 4) from a sensor's frame to the world, z up."""
        return self._T_zup @ self._index.tf.lookup(self._world, frame, stamp, bag_time)

    def _partner(self, entry: int, topic: str) -> int | None:
        """Position of the image that belongs to a frame; None: no image is near enough."""
        stamp, bag_time = int(self._stream.stamps[entry]), int(self._stream.bag_times[entry])
        return self._index.streams[topic].nearest(stamp, bag_time, self._pair_gap)

    def _entries_by_id(self) -> dict[str, int]:
        entries: dict[str, int] = {}
        for entry, stamp in enumerate(self._stream.stamps.tolist()):
            entries.setdefault(str(stamp), entry)
        if len(self._stream):
            for topic in self._topics.images:
                if not any(self._partner(entry, topic) is not None for entry in entries.values()):
                    raise self._never_together(topic)
        if self._topics.depth is None:
            return entries
        color = self._topics.images[0]
        return {id: entry for id, entry in entries.items() if self._partner(entry, color) is not None}

    def _never_together(self, topic: str) -> BadDatasetError:
        stamps = self._index.streams[topic].stamps
        ranges = [
            f"{s.min() / 1e9:.3f} to {s.max() / 1e9:.3f}" for s in (self._stream.stamps, stamps) if len(s)
        ]
        problem = f"runs from {ranges[1]}" if len(ranges) > 1 else "holds no message"
        return BadDatasetError(
            f"{problem}, {self._main} from {ranges[0]}, and no two are within {self._pair_gap / 1e9:g} s",
            source=self._bag.root,
            field=topic,
            fix="leave it out by images=, raise max_time_gap, or take the time of recording: clock=bag",
        )

    def _settle_frames(self, world_frame: str | None, up: str | None) -> None:
        """Settle the world frame and its up axis; refuse cameras that no transform connects to it."""
        tf = self._index.tf
        sensor = self._topics.points or self._topics.images[0]
        own = self._index.frames[sensor]
        # Without any tf the sensor is the world; a tf without the sensor is a mistake of the recording.
        self._world = frame_name(world_frame) if world_frame else tf.root(own)
        needed = {topic: self._index.frames[topic] for topic in self._topics.images}
        for topic in self._calibration.cameras:
            if self._calibration.T_points_cam(topic) is not None and self._topics.depth is None:
                needed.pop(topic, None)
        depth = self._topics.depth
        if depth is not None and self._calibration.T_points_cam(depth) is None:
            tf.require_path(own, self._index.frames[depth])
        if tf and world_frame is None and own not in tf:
            tf.require_path(next(iter(sorted(tf.frames()))), own)
        for frame in (own, *needed.values()):
            tf.require_path(self._world, frame)
        tf.finish([own, self._world, *self._index.frames.values()])
        optical = self._world.endswith(("optical_frame", "optical")) or (
            depth is not None and self._world == own
        )
        self._T_zup = T_zup_from(up or ("-y" if optical else "z"))

    def _require_lenses(self) -> None:
        """Refuse cameras without intrinsics before anything is read."""
        depth = self._topics.depth
        for topic in [*self._topics.images, *([depth] if depth in self._topics.infos else [])]:
            if self._calibration.lens(topic) is not None:
                continue
            info_topic = self._topics.infos.get(topic)
            if info_topic is None or info_topic not in self._index.infos:
                raise BadDatasetError(
                    f"has no CameraInfo on {camera_info_topic(topic)}",
                    source=self.root,
                    field=topic,
                    fix="record it, state calibration=FILE, or leave the camera out by images=",
                )
            with shared_by_all_frames():
                self._lens(topic, 0)

    def _find_notes(self) -> list[str]:
        notes = self._index.notes()
        alone = len(set(self._stream.stamps.tolist())) - len(self)
        if alone:
            gap = f"{self._pair_gap / 1e9:g} s"
            notes.append(f"{self._main}: {alone} depth images have no color image within {gap}")
        return notes

    def _where(self, topic: str) -> str:
        return f"{self.root}: {topic}"
