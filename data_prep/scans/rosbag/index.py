"""Bag index: message times, camera calibrations and transforms, collected in one pass."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from data_prep.errors import BadDatasetError, BadFrameError
from data_prep.scans.rosbag.bag import Bag
from data_prep.scans.rosbag.stream import Stream
from data_prep.scans.rosbag.tf_tree import TfTree
from data_prep.scans.rosbag.topics import TF, Topics


@dataclass
class Index:
    """What the pass found. Of points and images only times are kept.

    Attributes:
        streams: topic of points, depth or images → its times.
        frames: the same topics → name of the tf frame of their first message.
        infos: CameraInfo topic → every CameraInfo that differs from the one before, with the time it was recorded.
        tf: all transforms; ``finish`` is still to be called.
        unreadable: topic → messages of it that could not be decoded.
    """

    streams: dict[str, Stream] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    infos: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    tf: TfTree = field(init=False)
    unreadable: Counter[str] = field(default_factory=Counter)

    def info_at(self, topic: str, bag_time: int) -> Any:
        """The CameraInfo in force at a time: the last recorded until then, else the first."""
        found = self.infos[topic]
        return found[max(bisect_right(found, bag_time, key=lambda item: item[0]) - 1, 0)][1]

    def notes(self) -> list[str]:
        """What is odd, one line each: clocks that jump back, stamps that come twice, messages that are broken."""
        notes = []
        for topic, jumps in [
            *((t, stream.jumps) for t, stream in self.streams.items()),
            ("tf", self.tf.jumps),
        ]:
            if jumps:
                times = "once" if len(jumps) == 1 else f"{len(jumps)} times"
                notes.append(f"{topic}: the clock jumps back {times}, by up to {max(jumps) / 1e9:.3f} s")
        for topic, stream in self.streams.items():
            if stream.repeated:
                notes.append(
                    f"{topic}: {stream.repeated} messages have the stamp of another and are left out"
                )
        for topic, count in self.unreadable.items():
            notes.append(f"{topic}: {count} messages cannot be decoded and are left out")
        return notes


def index_bag(bag: Bag, topics: Topics, clock: Literal["header", "bag"], max_gap: int) -> Index:
    """Read the bag once, message by message, decoding nothing that is large.

    Args:
        bag: the bag.
        topics: what to index; tf is always.
        clock: which time counts.
        max_gap: ns.

    Raises:
        BadDatasetError: the bag is damaged, or headers carry no time.
    """
    main = [topic for topic in (topics.points, topics.depth, *topics.images) if topic is not None]
    tf_topics = [topic for topic, type in bag.topics.items() if type in TF]
    info_topics = set(topics.infos.values())
    times = {topic: (array("q"), array("q")) for topic in main}
    latest_info: dict[str, bytes] = {}
    index = Index()
    index.tf = TfTree(bag.root, max_gap)
    for topic, bag_time, raw in bag.messages([*main, *tf_topics, *info_topics]):
        try:
            if topic in times:
                header = bag.header(raw)
                times[topic][0].append(bag_time if clock == "bag" else header.stamp)
                times[topic][1].append(bag_time)
                index.frames.setdefault(topic, header.frame_id)
            elif topic in info_topics:
                content = raw[bag.header(raw).end :]
                if latest_info.get(topic) != content:
                    info = bag.decode(topic, raw)
                    index.infos.setdefault(topic, []).append((bag_time, info))
                    latest_info[topic] = content
            else:
                static = topic.rpartition("/")[2] == "tf_static"
                index.tf.add(bag.decode(topic, raw), bag_time, static, clock == "bag")
        except (BadFrameError, ValueError):
            index.unreadable[topic] += 1
    for topic, (stamps, bag_times) in times.items():
        if len(stamps) > 1 and not any(stamps):
            raise BadDatasetError(
                "is 0 in every message",
                source=bag.root,
                field=f"{topic} header.stamp",
                fix="use the time of recording: clock=bag (clip2: --option clock=bag)",
            )
        index.streams[topic] = Stream(stamps, bag_times, max_gap)
    return index
