"""Frame sample for checks: pairs of neighbors spread over the scan, far enough apart to judge poses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from data_prep.errors import BadFrameError
from data_prep.geometry import invert, transform_points
from data_prep.scans import Frame, Scan

_FARTHEST_NEIGHBOR = 64  # frames: two seconds of video
_LEAST_MOTION = 0.1  # m that points should move between the frames of a pair
_LEAST_MOTION_SHARE = 0.03  # of their range


@dataclass(frozen=True)
class FrameNote:
    """Summary of a frame that was read.

    Attributes:
        index, id: in the scan.
        timestamp: seconds, or None.
        digest: of points and images; equal for equal frames.
    """

    index: int
    id: str
    timestamp: float | None
    digest: bytes


@dataclass
class Sample:
    """Frames read from a scan.

    Attributes:
        frames: the sampled frames by index.
        pairs: indices of neighbors among them.
        notes: summaries of all frames that were read, by index.
        bad: (frame id, error) of unreadable frames.
    """

    frames: dict[int, Frame] = field(default_factory=dict)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    notes: dict[int, FrameNote] = field(default_factory=dict)
    bad: list[tuple[str, str]] = field(default_factory=list)


def take_sample(scan: Scan, count: int) -> Sample:
    """Read about ``count`` frames in pairs of neighbors, evenly over the scan.

    Consecutive video frames hardly move, so any pose fits them. The second frame of a pair is therefore the first of
    the next, second next, fourth next … whose pose moves the points noticeably.

    Args:
        scan: any source.
        count: number of frames, 1 or more.
    """
    sample = Sample()
    reader = _Reader(scan, sample)
    total, ids = len(scan), scan.frame_ids()
    wanted = min(max(1, count // 2), total) if total > 1 else 1
    room = max(1, min(_FARTHEST_NEIGHBOR, (total - 1) // wanted))  # for the second frame of the last pair
    starts = np.unique(np.linspace(0, max(total - 1 - room, 0), wanted).round().astype(int)).tolist()
    still = False
    for start in starts:
        first = reader.read(start, ids[start])
        if first is None:
            continue
        sample.frames[start] = first
        if total == 1 or count == 1:
            continue
        step, kept = 1, None
        while start + step < total and step <= _FARTHEST_NEIGHBOR:
            second = reader.read(start + step, ids[start + step])
            if second is not None:
                kept = kept or (start + step, second)
                if still or _moves(first, second):
                    kept = (start + step, second)
                    break
            step *= 2
        else:
            still = True  # probably everywhere: LiDAR sets without ego poses, a camera on a tripod
        if kept is not None:
            sample.frames[kept[0]] = kept[1]
            sample.pairs.append((start, kept[0]))
    sample.frames = dict(sorted(sample.frames.items()))
    return sample


class _Reader:
    def __init__(self, scan: Scan, sample: Sample) -> None:
        self._scan, self._sample = scan, sample

    def read(self, index: int, id: str) -> Frame | None:
        if index in self._sample.frames:
            return self._sample.frames[index]
        try:
            frame = self._scan[index]
        except BadFrameError as error:
            if id not in dict(self._sample.bad):
                self._sample.bad.append((id, str(error)))
            return None
        self._sample.notes[index] = FrameNote(index, frame.id, frame.timestamp, _digest(frame))
        return frame


def _moves(first: Frame, second: Frame) -> bool:
    points = first.points[:: max(1, len(first.points) // 500)].astype(np.float64)
    moved = transform_points(invert(second.T_world_points) @ first.T_world_points, points) - points
    distance = float(np.median(np.linalg.norm(moved, axis=1)))
    reach = float(np.median(np.linalg.norm(points, axis=1)))
    return distance > max(_LEAST_MOTION, _LEAST_MOTION_SHARE * reach)


def _digest(frame: Frame) -> bytes:
    digest = hashlib.sha256(np.ascontiguousarray(frame.points).tobytes())
    for view in frame.views:
        digest.update(np.ascontiguousarray(view.image).tobytes())
    return digest.digest()
