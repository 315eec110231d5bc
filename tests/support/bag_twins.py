"""Bags written by the tests that read them: the same messages in every format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

FORMATS = ("ros1", "sqlite3", "mcap", "mcap file")
SECOND = 10**9


@cache
def _store(format: str) -> Any:
    if format != "ros1":
        return get_typestore(Stores.ROS2_HUMBLE)
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(
        get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
    )
    return store


class BagMaker:
    """Makes messages and writes them; ``at`` is nanoseconds, stamp and time of recording unless they are told apart."""

    def __init__(self, format: str = "sqlite3") -> None:
        self.format = format
        self.store = _store(format)
        self.ros1 = format == "ros1"
        self._messages: list[tuple[int, str, str, bytes]] = []

    def type(self, name: str) -> Any:
        return self.store.types[name]

    def header(self, at: int, frame: str) -> Any:
        time = self.type("builtin_interfaces/msg/Time")(sec=at // SECOND, nanosec=at % SECOND)
        first = {"seq": 0} if self.ros1 else {}
        return self.type("std_msgs/msg/Header")(**first, stamp=time, frame_id=frame)

    def add(self, topic: str, message: Any, recorded: int) -> None:
        type = message.__msgtype__
        write = self.store.serialize_ros1 if self.ros1 else self.store.serialize_cdr
        self._messages.append((recorded, topic, type, bytes(write(message, type))))

    def add_raw(self, topic: str, type: str, raw: bytes, recorded: int) -> None:
        self._messages.append((recorded, topic, type, raw))

    def points(
        self, topic: str, at: int, xyz: np.ndarray, frame: str = "lidar", recorded: int | None = None
    ) -> None:
        """A plain x y z float32 cloud."""
        table = np.zeros(len(xyz), [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
        for k, axis in enumerate("xyz"):
            table[axis] = xyz[:, k]
        self.add(topic, self.cloud(table, at, frame), at if recorded is None else recorded)

    def cloud(
        self,
        table: np.ndarray,
        at: int = SECOND,
        frame: str = "lidar",
        *,
        height: int = 1,
        padding: int = 0,
        row_step: int | None = None,
    ) -> Any:
        """A PointCloud2 of a structured array, with ``padding`` bytes after each row."""
        codes = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
        field = self.type("sensor_msgs/msg/PointField")
        assert table.dtype.fields is not None
        fields = [
            field(name=name, offset=spec[1], datatype=codes[spec[0].str[1:]], count=1)
            for name, spec in table.dtype.fields.items()
        ]
        rows = table.reshape(height, -1)
        data = b"".join(row.tobytes() + b"\xee" * padding for row in rows)
        return self.type("sensor_msgs/msg/PointCloud2")(
            header=self.header(at, frame),
            height=height,
            width=rows.shape[1],
            fields=fields,
            is_bigendian=any(spec[0].str[0] == ">" for spec in table.dtype.fields.values()),
            point_step=table.dtype.itemsize,
            row_step=rows.shape[1] * table.dtype.itemsize + padding if row_step is None else row_step,
            data=np.frombuffer(data, np.uint8),
            is_dense=False,
        )

    def image(
        self, pixels: np.ndarray, encoding: str, at: int = SECOND, frame: str = "cam", padding: int = 0
    ) -> Any:
        """An Image of (H, W) or (H, W, C) pixels in their own byte order, with ``padding`` bytes after each row."""
        data = b"".join(row.tobytes() + b"\xee" * padding for row in pixels)
        return self.type("sensor_msgs/msg/Image")(
            header=self.header(at, frame),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=int(pixels.dtype.str[0] == ">"),
            step=pixels[0].nbytes + padding,
            data=np.frombuffer(data, np.uint8),
        )

    def compressed(self, data: bytes, format: str, at: int = SECOND, frame: str = "cam") -> Any:
        return self.type("sensor_msgs/msg/CompressedImage")(
            header=self.header(at, frame), format=format, data=np.frombuffer(data, np.uint8)
        )

    def info(
        self,
        K: np.ndarray,
        width: int,
        height: int,
        at: int = SECOND,
        frame: str = "cam",
        *,
        model: str = "plumb_bob",
        D: Sequence[float] = (0, 0, 0, 0, 0),
        R: np.ndarray | None = None,
        P: np.ndarray | None = None,
        binning: int = 0,
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Any:
        """A CameraInfo; ``roi`` is x, y, width, height."""
        region = self.type("sensor_msgs/msg/RegionOfInterest")(
            x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=False
        )
        numbers = {
            "K": K,
            "D": np.array(D),
            "R": np.eye(3) if R is None else R,
            "P": np.column_stack([K, np.zeros(3)]) if P is None else P,
        }
        named = {
            (k if self.ros1 else k.lower()): np.asarray(v, np.float64).ravel() for k, v in numbers.items()
        }
        return self.type("sensor_msgs/msg/CameraInfo")(
            header=self.header(at, frame),
            height=height,
            width=width,
            distortion_model=model,
            binning_x=binning,
            binning_y=binning,
            roi=region,
            **named,
        )

    def tf(
        self,
        parent: str,
        child: str,
        at: int,
        translation: Sequence[float] = (0, 0, 0),
        wxyz: Sequence[float] = (1, 0, 0, 0),
        *,
        static: bool = False,
        recorded: int | None = None,
    ) -> None:
        w, x, y, z = wxyz
        transform = self.type("geometry_msgs/msg/Transform")(
            translation=self.type("geometry_msgs/msg/Vector3")(
                **dict(zip("xyz", map(float, translation), strict=True))
            ),
            rotation=self.type("geometry_msgs/msg/Quaternion")(
                x=float(x), y=float(y), z=float(z), w=float(w)
            ),
        )
        stamped = self.type("geometry_msgs/msg/TransformStamped")(
            header=self.header(at, parent), child_frame_id=child, transform=transform
        )
        message = self.type("tf2_msgs/msg/TFMessage")(transforms=[stamped])
        self.add("/tf_static" if static else "/tf", message, at if recorded is None else recorded)

    def write(self, folder: Path, compressed: bool = False) -> Path:
        """Write everything in order of recording, by lz4 or zstd if ``compressed``; returns what to open."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.ros1:
            path = folder / "drive.bag"
            writer1 = Writer1(path)
            if compressed:
                writer1.set_compression(Writer1.CompressionFormat.LZ4)
            with writer1:
                self._fill(writer1, {})
            return path
        path = folder / "drive"
        plugin = StoragePlugin.SQLITE3 if self.format == "sqlite3" else StoragePlugin.MCAP
        writer2 = Writer2(path, version=9, storage_plugin=plugin)
        if compressed:
            writer2.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
        with writer2:
            self._fill(writer2, {})
        return path / "drive.mcap" if self.format == "mcap file" else path

    def _fill(self, writer: Any, connections: dict[tuple[str, str], Any]) -> None:
        for recorded, topic, type, raw in sorted(self._messages, key=lambda message: message[0]):
            key = (topic, type)
            if key not in connections:
                connections[key] = writer.add_connection(topic, type, typestore=self.store)
            writer.write(connections[key], recorded, raw)


def compressed_depth(png: bytes, a: float = 0.0, b: float = 0.0) -> bytes:
    """What image_transport's compressedDepth puts in front of its PNG."""
    return struct.pack("<iff", 0, a, b) + png
