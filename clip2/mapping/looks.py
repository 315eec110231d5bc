"""Encoder of looks: embeddings of the objects of one frame, within a budget of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.scans import Frame

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel


class LookEncoder:
    """Encodes objects of a frame and measures how long one takes.

    Args:
        model: with encoder and, perhaps, an out-of-distribution detector.
        budget_ms: milliseconds for a whole update; None: no limit.

    Attributes:
        seconds: spent on encoding since :meth:`start`.
    """

    def __init__(self, model: ObjectModel, budget_ms: float | None) -> None:
        self._model, self._budget = model, budget_ms
        self._each = 2e-3  # seconds per object
        self._began = time.perf_counter()
        self.seconds = 0.0

    def start(self, began: float) -> None:
        """An update began at this reading of ``time.perf_counter``."""
        self._began, self.seconds = began, 0.0

    def affordable(self, count: int) -> int:
        """How many of ``count`` objects there is time to encode, at least one."""
        if self._budget is None:
            return count
        left = self._budget / 1e3 - (time.perf_counter() - self._began)
        return min(count, max(1, int(left / self._each)))

    def encode(
        self, frame: Frame, indices: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit embeddings (N, D) of N objects, and their distances (N,) from the training objects.

        Args:
            frame: that shows them.
            indices: N arrays into its points.
        """
        began = time.perf_counter()
        T = frame.T_world_points
        # World axes, because encoders expect z to point up; where the object is does not matter.
        clouds = [frame.points[index] @ T[:3, :3].T for index in indices]
        colors = None if frame.colors is None else [frame.colors[index] for index in indices]
        embeddings, features = self._model.describe(clouds, colors)
        detector = self._model.ood_detector
        strange = np.zeros(len(clouds), np.float32) if detector is None else detector.distance(features)
        took = time.perf_counter() - began
        self._each = 0.8 * self._each + 0.2 * took / len(clouds)
        self.seconds += took
        return embeddings, strange
