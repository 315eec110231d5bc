"""First half of a map update: the objects of a frame, found without the map."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.config import MapConfig
from clip2.mapping.pose_check import PoseCheck
from clip2.mapping.seen import Seen, see
from clip2.recognition.instances import Instances3D
from clip2.recognition.proposals.sweep import may_be_seen_from
from data_prep.check.units import millimeter_note
from data_prep.detect.detections import Detections2D
from data_prep.scans import Frame


@dataclass(frozen=True)
class Sighting:
    """A frame and the objects seen in it.

    Attributes:
        frame: the frame.
        world: (P, 3) float64 its points in the world.
        eye: (3,) position of the sensor, or None.
        seen: the objects.
        geometric: they are proposals, not given by a detector.
        now: seconds, the time of the frame.
        notes: oddities, one line each.
        seconds: that finding took.
    """

    frame: Frame
    world: NDArray[np.float64]
    eye: NDArray[np.float64] | None
    seen: Seen
    geometric: bool
    now: float
    notes: tuple[str, ...]
    seconds: float


class Finder:
    """Finds the objects of successive frames.

    Args:
        config: of the map.

    Attributes:
        range: meters beyond which points are left out to keep ``budget_ms``; None: all are used.
    """

    def __init__(self, config: MapConfig) -> None:
        self._config = config
        self._pose = PoseCheck(config.max_speed, config.frame_time)
        self._is_sweep: bool | None = None
        self.range: float | None = None

    def find(self, frame: Frame, detections: Sequence[Detections2D] | Instances3D | None) -> Sighting:
        """Arguments and errors as of :meth:`ObjectMap.find <clip2.mapping.ObjectMap.find>`."""
        began = time.perf_counter()
        now = self._pose.check(frame)
        world = frame.world_points()
        eye = self._viewpoint(frame, world)
        kind, depth_points = self._config.proposals, self._config.depth_points
        seen = see(frame, world, eye, detections, kind, self.range, depth_points)
        self._pose.accept(frame, now)
        notes = (*frame.notes, *millimeter_note(world))
        took = time.perf_counter() - began
        return Sighting(frame, world, eye, seen, detections is None, now, notes, took)

    def forget(self) -> None:
        """Expect any pose and any time next."""
        self._pose.forget()

    def keep_budget(self, sighting: Sighting, seconds: float) -> None:
        """Shorten the range after an update that took too many seconds, and lengthen it slowly when there is time."""
        if self._config.budget_ms is None or sighting.eye is None:
            return
        reach = float(np.linalg.norm(sighting.world[::16] - sighting.eye, axis=1).max())
        used = 1e3 * seconds / self._config.budget_ms
        if used > 1:
            self.range = max(0.8 * min(self.range or reach, reach), 0.1 * reach)
        elif used < 0.7 and self.range is not None:
            self.range = 1.05 * self.range if self.range < reach else None

    def _viewpoint(self, frame: Frame, world: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Position of the sensor, at the origin of a frame's points unless they contradict; None for fused clouds."""
        place = frame.T_world_points[:3, 3]
        if len(frame.views) == 1:
            return place
        if self._is_sweep is None:
            self._is_sweep = may_be_seen_from(world, place)
        return place if self._is_sweep else None
