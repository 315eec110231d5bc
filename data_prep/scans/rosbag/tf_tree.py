"""Transform tree of a bag: the pose of one tf frame in another at a given time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from data_prep.errors import BadDatasetError, BadFrameError
from data_prep.geometry import invert, rigid
from data_prep.scans.rosbag.bag import frame_name
from data_prep.scans.rosbag.stream import Stream


class TfTree:
    """The transforms of a bag. Static ones hold always; the others are interpolated at the moment asked for, and
    never carried on beyond their last sample by more than ``max_gap``.

    Args:
        source: the bag, named in errors.
        max_gap: ns.
    """

    def __init__(self, source: Path, max_gap: int) -> None:
        self._source, self._max_gap = source, max_gap
        self._links: dict[str, dict[str, _Link]] = {}  # child → parent → samples

    def add(self, message: Any, bag_time: int, static: bool, use_bag_time: bool = False) -> None:
        """Take in a TFMessage."""
        for item in message.transforms:
            stamp = bag_time if use_bag_time else item.header.stamp.sec * 10**9 + item.header.stamp.nanosec
            parent, child = frame_name(item.header.frame_id), frame_name(item.child_frame_id)
            link = self._links.setdefault(child, {}).setdefault(parent, _Link(static))
            t, q = item.transform.translation, item.transform.rotation
            link.add(stamp, bag_time, (t.x, t.y, t.z, q.w, q.x, q.y, q.z))

    def finish(self, wanted: Iterable[str]) -> None:
        """All is in: keep the links above the frames ``wanted``, which is what can be asked for from now on."""
        kept = {}
        for frame in wanted:
            for child, _ in self._climb(frame):
                kept[child] = self._links[child]
        self._links = kept
        for parents in kept.values():
            for link in parents.values():
                link.finish(self._max_gap)

    def frames(self) -> set[str]:
        """Names of all frames."""
        return {*self._links, *(parent for parents in self._links.values() for parent in parents)}

    def __contains__(self, frame: str) -> bool:
        return frame in self.frames()

    def __bool__(self) -> bool:
        return bool(self._links)

    @property
    def jumps(self) -> list[int]:
        """ns by which stamps of tf jumped back, over the links that are kept."""
        links = [link for parents in self._links.values() for link in parents.values()]
        return max((link.stream.jumps for link in links if link.stream), key=len, default=[])

    def root(self, frame: str) -> str:
        """The frame that all above ``frame`` hangs from."""
        path = self._climb(frame)
        return path[-1][1] if path else frame

    def require_path(self, target: str, source: str) -> None:
        """Refuse a pair of frames that no chain of transforms connects.

        Raises:
            BadDatasetError: the message shows the tree.
        """
        if not {target, *(parent for _, parent in self._climb(target))} & {
            source,
            *(parent for _, parent in self._climb(source)),
        }:
            raise BadDatasetError(
                f"does not connect {source!r} with {target!r}; the tree is: {self.describe()}",
                source=self._source,
                field="tf",
                fix="record /tf and /tf_static with the bag, choose world_frame, or state calibration=FILE",
            )

    def lookup(self, target: str, source: str, stamp: int, bag_time: int) -> NDArray[np.float64]:
        """(4, 4) ``T_target_source`` at ``stamp`` ns; ``bag_time`` tells apart what clock jumps made ambiguous.

        Raises:
            BadFrameError: a transform on the way has no sample near enough.
            BadDatasetError: the frames are not connected.
        """
        up_target, up_source = self._up_to_where_they_meet(target, source)
        T_top_source = self._compose(up_source, stamp, bag_time)
        return invert(self._compose(up_target, stamp, bag_time)) @ T_top_source

    def moves(self, target: str, source: str) -> bool:
        """Whether a transform between the two frames may change with time."""
        ways = self._up_to_where_they_meet(target, source)
        return any(not self._links[child][parent].static for way in ways for child, parent in way)

    def describe(self) -> str:
        """The tree in one line: ``map > odom > base_link > (camera, lidar)``."""
        children: dict[str, list[str]] = {}
        for child, parents in sorted(self._links.items()):
            for parent in parents:
                children.setdefault(parent, []).append(child)
        roots = [frame for frame in children if frame not in self._links]
        return ", ".join(_draw(root, children, ()) for root in roots) or "no transform at all"

    def _compose(self, path: list[tuple[str, str]], stamp: int, bag_time: int) -> NDArray[np.float64]:
        T = np.eye(4)
        for child, parent in path:
            link = self._links[child][parent]
            step = link.at(stamp, bag_time)
            if step is None:
                raise BadFrameError(
                    f"{parent} > {child} has no sample within {self._max_gap / 1e9:g} s of {stamp / 1e9:.3f}; "
                    f"the nearest is {link.distance(stamp) / 1e9:.3f} s away",
                    source=self._source,
                    field="tf",
                    fix="leave these frames out, raise max_time_gap, or choose a world_frame below the gap",
                )
            if not np.isfinite(step).all():
                raise BadFrameError(
                    f"{parent} > {child} is not a rotation and a translation",
                    source=self._source,
                    field="tf",
                    fix="leave these frames out",
                )
            T = step @ T
        return T

    def _up_to_where_they_meet(
        self, target: str, source: str
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        self.require_path(target, source)
        up_target, up_source = self._climb(target), self._climb(source)
        while up_target and up_source and up_target[-1] == up_source[-1]:  # shared above both
            up_target.pop(), up_source.pop()
        return up_target, up_source

    def _climb(self, frame: str) -> list[tuple[str, str]]:
        """(child, parent) from ``frame`` to its root."""
        path: list[tuple[str, str]] = []
        while frame in self._links:
            parents = sorted(self._links[frame])
            if len(parents) > 1:
                raise BadDatasetError(
                    f"gives {frame!r} two parents, {parents[0]!r} and {parents[1]!r}",
                    source=self._source,
                    field="tf",
                    fix="record one of the two publishers, or state calibration=FILE",
                )
            path.append((frame, parents[0]))
            frame = parents[0]
            if any(frame == child for child, _ in path):
                raise BadDatasetError(
                    f"runs in a circle at {frame!r}", source=self._source, field="tf", fix="repair tf"
                )
        return path


class _Link:
    """Samples of one transform; compact, because a robot's tf is long."""

    def __init__(self, static: bool) -> None:
        self.static = static
        self._stamps, self._bag_times, self._values = array("q"), array("q"), array("d")
        self.stream: Stream | None = None
        self._table = np.empty((0, 7))

    def add(self, stamp: int, bag_time: int, values: tuple[float, ...]) -> None:
        if self.static:  # a static transform that is sent again replaces the one before
            self._stamps, self._bag_times, self._values = array("q"), array("q"), array("d")
        self._stamps.append(stamp)
        self._bag_times.append(bag_time)
        self._values.extend(values)

    def finish(self, max_gap: int) -> None:
        table = np.frombuffer(self._values, np.float64).reshape(-1, 7)
        self.stream = Stream(self._stamps, self._bag_times, max_gap)
        self._table = table[self.stream.order]
        self._stamps, self._bag_times, self._values = array("q"), array("q"), array("d")

    def at(self, stamp: int, bag_time: int) -> NDArray[np.float64] | None:
        """(4, 4), NaN where a sample holds no rotation; None where no sample is near enough."""
        assert self.stream is not None, "finish comes before asking"
        pair = (0, 0) if self.static else self.stream.bracket(stamp, bag_time)
        if pair is None:
            return None
        first, second = self._table[pair[0]], self._table[pair[1]]
        t0, t1 = (int(self.stream.stamps[k]) for k in pair)
        lengths = np.linalg.norm([first[3:], second[3:]], axis=1)
        if not (np.isfinite(lengths).all() and lengths.min() > 1e-6):
            return np.full((4, 4), np.nan)
        share = min(max((stamp - t0) / (t1 - t0), 0.0), 1.0) if t1 > t0 else 0.0
        turns = Rotation.from_quat([first[3:], second[3:]], scalar_first=True)
        return rigid(Slerp([0, 1], turns)(share).as_matrix(), (1 - share) * first[:3] + share * second[:3])

    def distance(self, stamp: int) -> int:
        assert self.stream is not None
        return self.stream.distance(stamp)


def _draw(frame: str, children: dict[str, list[str]], above: tuple[str, ...]) -> str:
    if frame in above:
        return f"{frame} (again)"
    below = [_draw(child, children, (*above, frame)) for child in children.get(frame, [])]
    if not below:
        return frame
    return f"{frame} > {below[0]}" if len(below) == 1 else f"{frame} > ({', '.join(below)})"
