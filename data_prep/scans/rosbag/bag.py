"""Bag access: messages of ROS 1 and ROS 2 bags, listed by their headers and read one by one."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from data_prep.errors import BadDatasetError, BadFrameError
from data_prep.storage.extras import require_extra
from data_prep.storage.reading import require_no_pipe, require_plain_tables

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

_HELP = "give a ROS 1 .bag, a ROS 2 bag folder with metadata.yaml, or an .mcap file of ROS 2 messages"
_FILES = (".bag", ".mcap", ".db3")
# What parsers raise on bytes that are not what they should be, whatever the format.
_DAMAGE = (
    struct.error, ValueError, TypeError, KeyError, IndexError, EOFError, OSError, RuntimeError, AssertionError,
    zlib.error, sqlite3.Error, OverflowError, MemoryError,  # the last two: a length that lies
)  # fmt: skip


class Header(NamedTuple):
    """Header of a message: stamp in nanoseconds, name of its frame, and length in bytes."""

    stamp: int
    frame_id: str
    end: int


class Bag:
    """An open bag. Pickled or forked, it is opened anew: readers share no file position.

    Args:
        root: the file or folder.

    Attributes:
        topics: name → message type in ROS 2 spelling, ``sensor_msgs/msg/PointCloud2``.

    Raises:
        InputError: rosbags is not installed.
        BadDatasetError: not a bag, not indexed, damaged, or of a kind that rosbags does not read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = _bag_files(root)
        self._opened: tuple[int, AnyReader] | None = None
        self.topics = {connection.topic: connection.msgtype for connection in self._reader().connections}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording (ns) and raw bytes of all messages of ``topics``, in the order of recording.

        Raises:
            BadDatasetError: the bag is damaged.
        """
        if not topics:
            return
        try:
            for connection, time, raw in self._reader().messages(self._connections(topics)):
                if connection.topic not in topics:  # the index says one thing, the record another
                    raise ValueError(f"a message of {connection.topic} is indexed as one of another topic")
                # A column of SQLite holds values of any type.
                if not isinstance(time, int) or isinstance(raw, str):
                    raise ValueError(f"a message of {connection.topic} has text for a time or for its bytes")
                yield connection.topic, time, raw
        except _damage() as error:
            raise BadDatasetError(
                f"is damaged ({_words(error)})",
                source=self.root,
                fix="repair it: rosbag reindex, ros2 bag reindex or mcap recover",
            ) from error

    def first(self, topic: str) -> Any | None:
        """The first message of a topic, decoded; None where it has none."""
        for _, _, raw in self.messages([topic]):
            return self.decode(topic, raw)
        return None

    def read(self, topic: str, time: int, stamp: int) -> Any:
        """The message of a topic that was recorded at ``time`` and is stamped ``stamp``, decoded.

        Raises:
            BadFrameError: it cannot be read or decoded.
        """
        try:
            for _, _, raw in self._reader().messages(self._connections([topic]), time, time + 1):
                if stamp in (self.header(raw).stamp, time):
                    return self.decode(topic, raw)
        except _damage() as error:
            raise BadFrameError(
                f"cannot be read ({_words(error)})", source=self.root, field=topic, fix="repair the bag"
            ) from error
        raise BadFrameError(
            f"has no message recorded at {time} any more",
            source=self.root,
            field=topic,
            fix="leave the bag as it is while it is read",
        )

    def decode(self, topic: str, raw: bytes) -> Any:
        """A message from its bytes.

        Raises:
            BadFrameError: they are not what the topic's type says.
        """
        try:
            return self._reader().deserialize(raw, self.topics[topic])
        except _damage() as error:
            raise BadFrameError(
                f"holds a message that cannot be decoded as {self.topics[topic]} ({_words(error)})",
                source=self.root,
                field=topic,
                fix="leave this frame out",
            ) from error

    def header(self, raw: bytes) -> Header:
        """Stamp and frame of a message that starts with a std_msgs/Header, without decoding the rest.

        Raises:
            ValueError: too short.
        """
        # ROS 1 begins with a sequence number, CDR with four bytes of which the second tells the byte order.
        order = "<" if not self._reader().is2 or raw[1:2] == b"\1" else ">"
        try:
            seconds, nanoseconds, length = struct.unpack_from(f"{order}III", raw, 4)
            name = raw[16 : 16 + length].rstrip(b"\0").decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"no header: {error}") from error
        return Header(seconds * 10**9 + nanoseconds, frame_name(name), 16 + length)

    def close(self) -> None:
        """Close the files; the next access opens them again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def _connections(self, topics: Collection[str]) -> list[Any]:
        return [connection for connection in self._reader().connections if connection.topic in topics]

    def _reader(self) -> AnyReader:
        # A forked process would move the parent's file position.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), _open(self.root, self._files))
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}


def frame_name(name: str) -> str:
    """A frame's name as tf2 spells it: ROS 1 recordings of tf put a slash in front."""
    return name.lstrip("/")


def _bag_files(root: Path) -> list[Path]:
    if root.is_file():
        if root.suffix not in _FILES:
            raise BadDatasetError("is not a bag", source=root, fix=_HELP)
        return [root]
    if (root / "metadata.yaml").exists():
        return [root]
    for suffix in _FILES:
        if files := sorted(root.glob(f"*{suffix}")):
            return files
    raise BadDatasetError("holds no bag", source=root, fix=_HELP)


def _open(root: Path, files: list[Path]) -> AnyReader:
    require_extra("rosbags.highlevel", "ros", needed_for="source rosbag")
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    require_no_pipe(root)
    try:
        for path in root.iterdir() if root.is_dir() else files:
            _require_no_program(path)
        # Bags from before ROS 2 Iron carry no definitions; those of sensor_msgs and tf2_msgs never changed.
        reader = AnyReader(files, default_typestore=get_typestore(Stores.LATEST))
        reader.open()
        return reader
    except _damage() as error:
        raise BadDatasetError(f"cannot be opened ({_words(error)})", source=root, fix=_HELP) from error


def _require_no_program(path: Path) -> None:
    """Of an SQLite file, whatever its name is: rosbags reads all that its schema gives."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?immutable=1", uri=True)) as database:
        require_plain_tables(database)


def _damage() -> tuple[type[Exception], ...]:
    """Exceptions of broken files; those of rosbags can be named only where it is installed."""
    from rosbags.highlevel import AnyReaderError
    from rosbags.highlevel.anyreader import ReaderErrors
    from rosbags.serde import SerdeError
    from rosbags.typesys import TypesysError

    # Which packages read SQLite and Zstandard depends on the versions of rosbags and Python.
    others = [
        getattr(sys.modules[module], name)
        for module, name in (
            ("apsw", "Error"),
            ("zstandard", "ZstdError"),
            ("backports.zstd", "ZstdError"),
            ("compression.zstd", "ZstdError"),
        )
        if sys.modules.get(module)
    ]
    return (*_DAMAGE, *ReaderErrors, AnyReaderError, SerdeError, TypesysError, *others)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
