"""Hedges, bushes, fences, walls and porches put into a synthetic sweep, ray by ray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.lidar import OUTPUTS

_CLEAR = 0.15  # m kept free around objects
_LOW = 0.1  # m: points below are ground


@dataclass(frozen=True)
class _Kind:
    """A kind of clutter: length, depth and height in meters, how far beams get into it, and its background."""

    length: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    reach: tuple[float, float]
    label: str
    round: bool = False
    share: float = 1.0


_KINDS = (
    _Kind((2, 14), (0.5, 1.6), (0.7, 2.6), (0.05, 0.5), "vegetation", share=2),
    _Kind((0.5, 4), (0.5, 3), (0.5, 3.5), (0.05, 0.8), "vegetation", round=True, share=5),
    _Kind((3, 9), (3, 7), (3, 8), (0.3, 1.5), "vegetation", round=True, share=1.5),
    _Kind((2, 8), (2, 6), (0.2, 0.6), (0.3, 2.0), "vegetation", share=1.5),
    _Kind((2, 15), (0.04, 0.12), (0.8, 2.2), (0.03, 0.3), "fence", share=2),
    _Kind((1, 15), (0.2, 0.6), (0.5, 3.0), (0.001, 0.001), "wall", share=1.5),
    _Kind((0.6, 5), (0.4, 3), (2.0, 7.0), (0.001, 0.001), "building", share=1.5),
)


def grow_clutter(
    points: NDArray,
    viewpoint: NDArray,
    height: NDArray,
    instances: NDArray[np.int32],
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Let things without a name catch some of a sweep's beams.

    A beam enters a volume and returns after an exponential depth (Beer-Lambert), so leaves and wire mesh return from
    within. Beams that saw nothing at all stay empty.

    Args:
        points: (N, 3) meters, z-up.
        viewpoint: (3,) of the sensor.
        height: (N,) meters over the ground.
        instances: (N,) object of each point, -1 for none.
        rng: source of everything random.
        count: number of things.

    Returns:
        The points, moved along their beams where one was caught, and (N,) the index into ``OUTPUTS`` of what
        caught it, 0 for nothing.
    """
    ray = points - viewpoint
    far = np.linalg.norm(ray, axis=1)
    ray = ray / far[:, None]
    ends, caught = far.copy(), np.zeros(len(points), np.int64)
    ground = np.flatnonzero((np.abs(height) < _LOW) & (instances < 0) & (far > 4) & (far < 60))
    things = points[instances >= 0]
    if len(ground) == 0:
        return np.float32(points), caught
    shares = np.array([kind.share for kind in _KINDS])
    angle = np.arctan2(ray[:, 1], ray[:, 0])
    for number in rng.choice(len(_KINDS), count, p=shares / shares.sum()):
        kind = _KINDS[number]
        size = np.array([rng.uniform(*kind.length), rng.uniform(*kind.depth), rng.uniform(*kind.height)])
        # Farther ground has fewer returns: distances are drawn evenly instead.
        wanted = rng.uniform(4, 50)
        near = ground[np.abs(far[ground] - wanted) < 3]
        if len(near) == 0:
            continue
        foot = points[rng.choice(near)] - [0, 0, 0.05]
        yaw = (
            rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, np.pi)
        )
        axes = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        center = foot + [0, 0, size[2] / 2]
        local = np.abs((things - center) @ axes.T)
        if (local < size / 2 + _CLEAR).all(axis=1).any():
            continue
        away = center - viewpoint
        toward = np.arctan2(away[1], away[0])
        reach = np.hypot(size[0], size[1]) / 2 / max(np.hypot(away[0], away[1]), 0.1)
        rows = np.flatnonzero(np.abs((angle - toward + np.pi) % (2 * np.pi) - np.pi) < np.arctan(2 * reach))
        enter, leave = _crossing((viewpoint - center) @ axes.T, ray[rows] @ axes.T, size / 2, kind.round)
        stop = np.maximum(enter, 0) + rng.exponential(rng.uniform(*kind.reach), len(rows))
        hit = (leave > np.maximum(enter, 0)) & (stop < leave) & (stop < ends[rows])
        ends[rows[hit]], caught[rows[hit]] = stop[hit], OUTPUTS.index(kind.label)
    noise = np.where(caught > 0, 0.015 * rng.standard_normal(len(points)), 0)
    return np.float32(viewpoint + ray * (ends + noise)[:, None]), caught


def _crossing(
    eye: NDArray, ray: NDArray, half: NDArray, ellipsoid: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances at which rays (R, 3) enter and leave a box or ellipsoid around the origin; inf and -inf if they miss."""
    if ellipsoid:
        origin, direction = eye / half, ray / half
        a, b = (direction**2).sum(axis=1), direction @ origin
        root = b**2 - a * (origin @ origin - 1)
        misses = root <= 0
        root = np.sqrt(np.maximum(root, 0))
        enter, leave = (-b - root) / a, (-b + root) / a
    else:
        with np.errstate(divide="ignore"):
            inverse = 1 / ray
        first, second = (-half - eye) * inverse, (half - eye) * inverse
        enter, leave = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
        misses = enter >= leave
    return np.where(misses, np.inf, enter), np.where(misses, -np.inf, leave)
