"""Facts of a LiDAR sweep: the angle between its beams, and where its sensor is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.scans import Frame

_EVERY = 4  # of the columns of azimuth, a power of two: enough to measure the gap
_MOST_BEHIND = 0.05  # share of a sweep's points that may lie behind another one: they graze an edge


def beam_gap(points: NDArray, viewpoint: NDArray) -> float:
    """Angle between neighboring beams of a spinning LiDAR in radians, measured from the sweep.

    Within narrow columns of azimuth, elevations step from beam to beam. The median step is the gap; every fourth column
    is looked at.

    Args:
        points: (N, 3) meters.
        viewpoint: (3,) position of the sensor in the same axes.
    """
    x, y, z = (points[:, axis] - viewpoint[axis] for axis in range(3))
    column = np.floor(np.arctan2(y, x) / np.deg2rad(0.2)).astype(np.int64)
    some = np.flatnonzero(column & (_EVERY - 1) == 0)
    x, y, z, column = x[some], y[some], z[some], column[some]
    elevation = np.arctan2(z, np.sqrt(x * x + y * y))  # np.hypot takes ten times as long
    # Columns are put 4 radians apart on one axis, so that one sort is enough: a step from one column to the next is too
    # large to be a gap, as elevations end at a right angle.
    step = np.diff(np.sort(4 * column + elevation))
    # Neither the jitter within one beam nor a hole over several beams is the gap.
    step = step[(step > np.deg2rad(0.08)) & (step < np.deg2rad(4))]
    return float(np.median(step)) if len(step) else float(np.deg2rad(0.5))


def viewpoint_of(frame: Frame, world: NDArray) -> NDArray | None:
    """(3,) position of the sensor in the world; None if the cloud is not one sweep of it.

    Args:
        frame: the frame.
        world: (N, 3) its points in the world.
    """
    place = frame.T_world_points[:3, 3]
    # A frame with one image comes from one sensor. A cloud with many may be fused from all of them, and the origin of a
    # cloud file can be anywhere.
    return place if len(frame.views) == 1 or seen_from(world, place) else None


def seen_from(points: NDArray, place: NDArray) -> bool:
    """Whether the points look like one sweep of a sensor at ``place``.

    Each ray of a sweep returns once. Seen from another place, or in a cloud of several sweeps, more points lie behind
    others in the same direction.

    Args:
        points: (N, 3) meters, z-up.
        place: (3,) in the same axes.
    """
    if len(points) < 2:
        return False
    points = points[:: max(1, len(points) // 200_000)]
    behind = _share_behind(points, place)
    steps = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0]])
    return behind < _MOST_BEHIND and all(behind < _share_behind(points, place + step) for step in steps)


def may_be_seen_from(points: NDArray, place: NDArray) -> bool:
    """Whether hardly any point lies behind another one as seen from ``place``; weaker than :func:`seen_from`.

    Args:
        points: (N, 3) meters, z-up.
        place: (3,) in the same axes.
    """
    return _share_behind(points[:: max(1, len(points) // 200_000)], place) < _MOST_BEHIND


def _share_behind(points: NDArray, place: NDArray) -> float:
    """Share of points well behind another one in the same direction."""
    x, y, z = (points[:, axis] - place[axis] for axis in range(3))
    flat = np.sqrt(x * x + y * y)
    column, row = (
        np.floor(angle / np.deg2rad(0.2)).astype(np.int64)
        for angle in (np.arctan2(y, x), np.arctan2(z, flat))
    )
    # The bits of positive floats are ordered like their values, so cell and distance fit into one sortable number.
    distance = (
        np.minimum(np.sqrt(flat * flat + z * z), np.finfo(np.float32).max).astype(np.float32).view(np.uint32)
    )
    ordered = np.sort((10_000 * column + row) << 32 | distance)
    cell, distance = ordered >> 32, ordered.astype(np.uint32).view(np.float32)
    if len(cell) < 2:
        return 0.0
    return float(((np.diff(cell) == 0) & (np.diff(distance) > 0.1 * distance[1:])).mean())
