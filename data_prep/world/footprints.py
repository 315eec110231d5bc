"""Where on the floor there is still room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Footprints:
    """Rectangles on the floor that must not overlap."""

    def __init__(self) -> None:
        self._taken: list[NDArray[np.float64]] = []

    def claim(
        self, center: tuple[float, float], size: tuple[float, float], yaw: float, gap: float = 0.03
    ) -> bool:
        """Take a rectangle if it is free.

        Args:
            center: x, y in meters.
            size: full lengths along the rectangle's own axes in meters.
            yaw: radians.
            gap: meters kept free around it.
        """
        corners = _rectangle(center, (size[0] + 2 * gap, size[1] + 2 * gap), yaw)
        if any(_overlap(corners, other) for other in self._taken):
            return False
        self._taken.append(corners)
        return True

    def distance(self, point: tuple[float, float]) -> float:
        """Meters from a point to the nearest rectangle, 0 inside one, inf when the floor is empty."""
        return min((_distance(np.asarray(point), corners) for corners in self._taken), default=np.inf)


def _rectangle(center: tuple[float, float], size: tuple[float, float], yaw: float) -> NDArray[np.float64]:
    c, s = np.cos(yaw), np.sin(yaw)
    half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.asarray(size) / 2
    return half @ np.array([[c, s], [-s, c]]) + np.asarray(center)


def _overlap(a: NDArray, b: NDArray) -> bool:
    """Separating axes of two rectangles (4, 2)."""
    for first, second in ((a, b), (b, a)):
        for axis in (first[1] - first[0], first[2] - first[1]):
            low, high = (first @ axis).min(), (first @ axis).max()
            other = second @ axis
            if other.max() <= low or other.min() >= high:
                return False
    return True


def _distance(point: NDArray, corners: NDArray) -> float:
    axes = np.stack([corners[1] - corners[0], corners[2] - corners[1]])
    lengths = np.linalg.norm(axes, axis=1)
    local = (axes / lengths[:, None]) @ (point - corners.mean(axis=0))
    return float(np.linalg.norm(np.maximum(np.abs(local) - lengths / 2, 0)))
