"""Choice of objects and points by a click or a rectangle on the screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.cluster import connected_components

_WIDEST = np.deg2rad(1.0)  # angle between a click's ray and a point that it may mean
_DEPTHS = 40.0  # a point this much nearer (relative) beats one this much closer to the ray
_MOST = 200_000  # points that a rectangle groups
_AROUND = 0.25  # of a rectangle's sides: how far around it points are looked at
_STRICT = 6  # power of the share of a group inside the rectangle
_GAP, _SMALLEST_GAP = 0.015, 0.02  # between points of one thing: share of the distance, meters


@dataclass(frozen=True)
class Eye:
    """A pinhole view of the page: where from, which way, how wide.

    Attributes:
        position: (3,) in the axes of the points.
        rotation: (3, 3), view axes (x right, y down, z forward) to the points' axes.
        fov: vertical field of view, radians.
        aspect: width over height.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    fov: float
    aspect: float

    def project(self, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(P, 2) places on the screen, 0..1 from the upper left corner, and (P,) depths in meters."""
        local = (np.asarray(points, np.float64) - self.position) @ self.rotation
        depth = local[:, 2]
        half = np.tan(self.fov / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            xy = local[:, :2] / depth[:, None] / [2 * half * self.aspect, 2 * half] + 0.5
        return np.where(depth[:, None] > 0, xy, np.nan), depth


def pick_point(origin: NDArray, direction: NDArray, points: NDArray) -> int | None:
    """Index of the point that a click means, or None: near the ray, and in front of what lies behind it.

    Args:
        origin: (3,) start of the ray through the clicked pixel.
        direction: (3,) of the ray.
        points: (P, 3) that are drawn, in the same axes.
    """
    ray = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    local = np.asarray(points, np.float64) - np.asarray(origin, np.float64)
    depth = local @ ray
    aside = np.linalg.norm(local - depth[:, None] * ray, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(depth > 0, np.arctan2(aside, depth), np.inf)
    near = np.flatnonzero(angle < _WIDEST)
    if len(near) == 0:
        return None
    cost = np.log(depth[near]) * _DEPTHS + (angle[near] / _WIDEST) * 4
    return int(near[np.argmin(cost)])


def grow(
    points: NDArray, free: NDArray[np.bool_], seed: int, reach: float, radius: float
) -> NDArray[np.int64]:
    """Ascending indices of the free points that hang together with one point.

    Args:
        points: (P, 3) meters.
        free: (P,) bool, which points may be taken; those of objects and of the ground are not.
        seed: index of the clicked point.
        reach: how far from it points may be, meters.
        radius: points no further apart hang together, meters.
    """
    near = np.flatnonzero(free & (np.linalg.norm(points - points[seed], axis=1) < reach))
    if seed not in near:
        near = np.sort(np.append(near, seed))
    parts = connected_components(np.ascontiguousarray(points[near], np.float64), radius)
    return near[parts == parts[np.searchsorted(near, seed)]]


def inside_rectangle(
    points: NDArray, free: NDArray[np.bool_], eye: Eye, low: tuple[float, float], high: tuple[float, float]
) -> NDArray[np.int64]:
    """Ascending indices of the thing in a rectangle on the screen: the largest group of points that ends inside it.

    What goes on outside, such as the table under a cup, is not meant.

    Args:
        points: (P, 3) meters.
        free: (P,) bool, which points may be taken.
        eye: view of the page.
        low, high: upper left and lower right corner, 0..1.
    """
    place, depth = eye.project(points)
    margin = _AROUND * (np.asarray(high) - low)
    around = np.flatnonzero(free & ((place >= low - margin) & (place <= high + margin)).all(axis=1))
    around = around if len(around) <= _MOST else around[:: len(around) // _MOST + 1]
    inside = ((place[around] >= low) & (place[around] <= high)).all(axis=1)
    if not inside.any():
        return around[:0]
    # Spacing grows with the distance, and so does what counts as a gap.
    radius = np.maximum(_GAP * depth[around], _SMALLEST_GAP)
    parts = connected_components(np.ascontiguousarray(points[around], np.float64), radius)
    count = np.bincount(parts, inside)
    ends_inside = count / np.bincount(parts)
    best = int((count * ends_inside**_STRICT).argmax())
    return around[inside & (parts == best)]
