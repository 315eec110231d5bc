"""How recognized scenes are shown: rooms opened towards the eye, objects cut out of the pictures that show them best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.planes import estimate_normals, main_direction, room_planes
from data_prep.scans import Frame

_CELL = 4  # pixels, of the grid in which a picture remembers its nearest depth
_MARGIN = 0.12  # around an object's points, as a share of their box
_HIDDEN = 0.12  # meters behind the nearest point of its cell, at which a point is hidden
_SMALLEST = 12  # pixels; of less nothing can be told


@dataclass(frozen=True)
class Outlook:
    """What of a scene is drawn, and from where it is looked at first.

    Attributes:
        shown: (N,) bool.
        seen_from: (3,) direction from the scene to the eye.
    """

    shown: NDArray[np.bool_]
    seen_from: NDArray[np.float64]


def open_room(points: NDArray[np.float64], owners: NDArray[np.int64]) -> Outlook:
    """Take away the ceiling and the two walls that stand between the eye and the room.

    The eye is above the corner with the lowest furniture. What belongs to an object stays.

    Args:
        points: (N, 3) meters, z-up.
        owners: (N,) object of each point, -1 for none.
    """
    thin = np.random.default_rng(0).permutation(len(points))[:60_000]
    normals, _ = estimate_normals(points[thin])
    yaw = main_direction(normals)
    level = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    flat = points[:, :2] @ level
    low, high = np.percentile(flat, [1, 99], axis=0)
    inside = (flat - low) / (high - low) * 2 - 1  # -1..1 between the walls
    height = points[:, 2] - np.percentile(points[:, 2], 1)
    area = float(np.prod(high - low)) + 2 * float((high - low).sum()) * 2.5
    planes = room_planes(points[thin], normals, float(np.sqrt(2 * area / len(thin))))
    ceiling = float(np.median(points[thin][planes.ceiling, 2])) if planes.ceiling.any() else np.inf
    loose = owners < 0
    furniture = ~loose & (np.abs(inside) < 1.1).all(axis=1)

    def tallness(corner: tuple[int, int]) -> float:
        near = furniture & ((inside * corner) > 0.1).all(axis=1)
        return float(np.percentile(height[near], 90)) if near.any() else 0.0

    corner = np.array(min([(1, 1), (1, -1), (-1, 1), (-1, -1)], key=tallness))
    hides = ((inside * corner) > 0.93).any(axis=1) & (height > 0.12)
    shown = ~(loose & (hides | (points[:, 2] > ceiling - 0.15)))
    toward = level @ (corner * (1.0, 1.18))
    return Outlook(shown, np.array([*toward / np.linalg.norm(toward), 1.0]))


def open_street(points: NDArray[np.float64], owners: NDArray[np.int64], reach: float = 34.0) -> Outlook:
    """Keep the surroundings of the sensor, seen from behind and above it; the sensor looks along x."""
    middle = np.median(points, axis=0)
    shown = (np.abs(points[:, 0] - middle[0]) < reach) | (owners >= 0)
    return Outlook(shown, np.array([-0.75, -0.62, 0.62]))


class Album:
    """The pictures of a frame, each with what it can see.

    Args:
        frame: points, and pictures with cameras relative to them.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @cached_property
    def _nearest(self) -> list[NDArray[np.float64]]:
        return [self._depth_map(number) for number in range(len(self._frame.views))]

    def crop(self, index: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """The cut-out that shows most of an object's points.

        Args:
            index: (n,) its points.

        Returns:
            (h, w, 3) uint8, or None: no picture shows it.
        """
        best: tuple[float, NDArray[np.uint8]] | None = None
        for number, view in enumerate(self._frame.views):
            uv, depth = view.camera.project(self._frame.points[index])
            inside = view.camera.in_image(uv) & (depth > 0)
            columns, rows = (uv[inside] / _CELL).astype(int).T
            seen = np.zeros(len(index), bool)
            seen[inside] = (
                depth[inside] < self._nearest[number][rows, columns] + _HIDDEN + 0.02 * depth[inside]
            )
            if seen.sum() < max(3, 0.25 * len(index)):
                continue
            low, high = np.percentile(uv[seen], [1, 99], axis=0)
            grow = _MARGIN * (high - low) + 2
            x0, y0 = np.maximum(low - grow, 0).astype(int)
            x1, y1 = np.ceil(high + grow).astype(int)
            cut = view.image[y0:y1, x0:x1]
            # Large and unhidden, both: the nearest picture often shows a corner only.
            value = float(seen.mean() ** 2 * np.sqrt(np.prod(cut.shape[:2])))
            if min(cut.shape[:2]) >= _SMALLEST and (best is None or value > best[0]):
                best = value, cut
        return None if best is None else best[1]

    def _depth_map(self, number: int) -> NDArray[np.float64]:
        camera = self._frame.views[number].camera
        nearest = np.full((camera.height // _CELL + 1, camera.width // _CELL + 1), np.inf)
        uv, depth = camera.project(self._frame.points)
        inside = camera.in_image(uv) & (depth > 0)
        cells = (uv[inside] / _CELL).astype(int)
        np.minimum.at(nearest, (cells[:, 1], cells[:, 0]), depth[inside])
        return nearest
