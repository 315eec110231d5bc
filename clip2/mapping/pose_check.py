"""Check of the poses and times of successive frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans import Frame

_JUMP = 2.0  # m: a shorter step is no jump, whatever its time


class PoseCheck:
    """Refuses frames whose time runs backwards or whose pose jumps.

    A jump to which the next frame agrees is accepted there: the localization has found a new place, and one frame is
    lost.

    Args:
        max_speed: meters per second.
        frame_time: seconds between frames without timestamps.
    """

    def __init__(self, max_speed: float, frame_time: float) -> None:
        self._max_speed, self._frame_time = max_speed, frame_time
        self.forget()

    def forget(self) -> None:
        """Expect any pose and any time next, as after a correction or in a new session."""
        self._time: float | None = None
        self._stated = False
        self._place: NDArray[np.float64] | None = None
        self._refused: NDArray[np.float64] | None = None

    def check(self, frame: Frame) -> float:
        """Time of a frame, seconds.

        Raises:
            BadFrameError: time runs backwards, or the pose jumps.
        """
        source = f"frame {frame.id}"
        if frame.timestamp is None or self._time is None:
            now = (self._time or 0.0) + self._frame_time if frame.timestamp is None else frame.timestamp
        else:
            now = frame.timestamp
            if self._stated and now < self._time:
                raise BadFrameError(
                    f"is {self._time - now:.3f} s before the frame that came before it",
                    source=source,
                    field="timestamp",
                    fix="give the frames in the order of their times, or start a new session",
                )
        dt = now - self._time if self._time is not None else 0.0
        place = frame.T_world_points[:3, 3]
        if self._place is not None:
            step = float(np.linalg.norm(place - self._place))
            if self._jumps(step, dt) and not self._agrees(place, dt):
                self._refused = place
                raise BadFrameError(
                    f"jumps {step:.1f} m in {dt:.2f} s",
                    source=source,
                    field="T_world_points",
                    fix="check the poses; after a loop closure call ObjectMap.correct first",
                )
        return now

    def accept(self, frame: Frame, now: float) -> None:
        """The frame was taken."""
        self._time, self._stated = now, frame.timestamp is not None
        self._place, self._refused = frame.T_world_points[:3, 3], None

    def _jumps(self, step: float, dt: float) -> bool:
        return step > _JUMP and step > self._max_speed * max(dt, self._frame_time)

    def _agrees(self, place: NDArray[np.float64], dt: float) -> bool:
        """Whether the frame continues the one that was refused."""
        if self._refused is None:
            return False
        return not self._jumps(float(np.linalg.norm(place - self._refused)), dt)
