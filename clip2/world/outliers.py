"""Point clouds that fit no label, for outlier exposure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from clip2.recognition.proposals import Kind, propose_objects
from data_prep.world import ProceduralScan, list_categories
from data_prep.world.assemblies import make_assembly

Cloud = tuple[NDArray[np.floating], NDArray[np.uint8] | None]
# Meters from the middle to the farthest point of solids; models from elsewhere come in any unit.
_SMALLEST, _LARGEST = 0.03, 2.0
_POINTS = 2048
# Pieces cut at random: number per frame, half sides in meters by setting, share of an object from which a piece counts as it.
_CUTS, _HALF_SIDES, _STRETCH = 40, {"room": (0.1, 1.5), "street": (0.1, 4.0)}, 2.0
_FEWEST_POINTS = 12
_MOSTLY, _ENOUGH = 0.5, 0.4
# Size factors beyond natural variety: 2.5 to 50, and their inverses.
_FACTORS = (2.5, 50.0)


def background_pieces(scan: ProceduralScan) -> Iterator[Cloud]:
    """Pieces of wall, ground and curb that object proposals mistake for objects.

    Args:
        scan: rooms or streets, whose truth is known.

    Yields:
        Proposals with most of their points on no labeled object: points (n, 3) in world axes, z-up meters, and their
        colors or None.
    """
    kind: Kind = "lidar" if scan.setting == "street" else "room"
    for i in range(len(scan)):
        frame, owners = scan[i], scan.ground_truth(i).instances
        world = frame.world_points()
        for index in propose_objects(
            world, kind, frame.T_world_points[:3, 3], frame.colors, alternatives=False
        ).indices:
            if (owners[index] < 0).mean() > 0.5 and np.ptp(world[index], axis=0).any():
                yield world[index], None if frame.colors is None else frame.colors[index]


def solids(count: int, seed: int = 0) -> Iterator[Cloud]:
    """Unlabeled objects of a few solids, sampled from all sides, in any size; every other one is colored.

    Args:
        count: number of objects.
        seed: random seed.

    Yields:
        Points (2048, 3) z-up meters, and their colors (2048, 3) uint8 or None.
    """
    random = np.random.default_rng(seed)
    for number in range(count):
        surface = make_assembly(random).surface
        corners = surface.corners.astype(np.float64)
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = np.linalg.norm(np.cross(a, b), axis=1)
        row = random.choice(len(corners), _POINTS, p=areas / areas.sum())
        u, v = random.random((2, _POINTS, 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        points = corners[row, 0] + u * a[row] + v * b[row]
        points -= points.mean(axis=0)
        size = np.exp(random.uniform(np.log(_SMALLEST), np.log(_LARGEST)))
        colors = np.rint((surface.a + surface.b)[row].clip(0, 2) * 127.5).astype(np.uint8)
        yield points * size / np.linalg.norm(points, axis=1).max(), colors if number % 2 else None


def cut_pieces(scan: ProceduralScan, seed: int = 0) -> Iterator[Cloud]:
    """Boxes cut out of scans at random places: half a chair with its table, three cups, a corner of the floor.

    Args:
        scan: rooms or streets, whose truth is known.
        seed: seed of the boxes.

    Yields:
        As :func:`background_pieces`; none that shows mostly and enough of one labeled object.
    """
    random = np.random.default_rng(seed)
    low, high = np.log(_HALF_SIDES[scan.setting])
    names = set(list_categories())
    for i in range(len(scan)):
        frame, owners = scan[i], scan.ground_truth(i).instances
        world = frame.world_points()
        named = np.isin(owners, [thing.instance for thing in scan.world_objects(i) if thing.label in names])
        for _ in range(_CUTS):
            half = np.exp(random.uniform(low, high) + random.uniform(-1, 1, 3) * np.log(_STRETCH))
            inside = np.flatnonzero((np.abs(world - world[random.integers(len(world))]) < half).all(axis=1))
            if len(inside) < _FEWEST_POINTS or not np.ptp(world[inside], axis=0).any():
                continue
            things, counts = np.unique(owners[inside][named[inside]], return_counts=True)
            if len(things) and counts.max() > _MOSTLY * len(inside):
                largest = things[counts.argmax()]
                if counts.max() > _ENOUGH * np.count_nonzero(owners == largest):
                    continue
            yield world[inside], None if frame.colors is None else frame.colors[inside]


def of_wrong_size(clouds: Iterable[Cloud], seed: int = 0) -> Iterator[Cloud]:
    """The same clouds far too small or too large, like clouds in unknown units.

    Args:
        clouds: objects in meters.
        seed: seed of the factors.
    """
    random = np.random.default_rng(seed)
    for points, colors in clouds:
        factor = np.exp(random.uniform(*np.log(_FACTORS)) * random.choice([-1, 1]))
        yield points.astype(np.float64) * factor, colors


Triangles = NDArray[np.float64]  # (T, 3, 3) meters, z-up
_UP = np.array([0.0, 0.0, 1.0])
_SPREAD = 1.2  # meters, standard deviation of the positions within a group
_RANGE, _SENSOR_HEIGHT = (3.0, 45.0), (0.3, 2.5)  # meters
_BEAM_GAP, _SHOT_GAP = (0.15, 1.5), (0.08, 0.4)  # degrees
_WIDEST, _TALLEST, _REACH = 1.2, 6.0, 4.0  # largest angles in radians; radius of the surroundings in meters
_MOST_RAYS = 60_000
_NOISE, _MOST_LOST = 0.015, 0.3  # meters; share of the returns
_CUT, _CUT_HALF_SIDES = 0.6, (0.3, 3.0)  # share of the views that are cut to a part, as proposals do; meters


def clutter(count: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Views of groups of one to three such objects, at the ranges and beam gaps of common sensors.

    Args:
        count: number of views.
        seed: random seed.

    Yields:
        Points (n, 3) z-up meters, n at least 12.
    """
    random = np.random.default_rng(seed)
    done = 0
    while done < count:
        kinds = random.integers(len(_THINGS), size=random.integers(1, 4))
        points = _look_at(random, np.concatenate([_THINGS[kind](random) for kind in kinds]))
        if len(points) and random.random() < _CUT:
            half = _log_uniform(random, _CUT_HALF_SIDES, 3)
            points = points[(np.abs(points - points[random.integers(len(points))]) < half).all(axis=1)]
        if len(points) >= _FEWEST_POINTS and np.ptp(points, axis=0).any():
            done += 1
            yield points


def _look_at(random: np.random.Generator, triangles: Triangles) -> NDArray[np.float64]:
    """Returns of part of one turn of a sensor at a distance along x."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)  # one thread: the same bits on every machine
    corners = np.ascontiguousarray(triangles.reshape(-1, 3), np.float32)
    rows = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
    scene.add_triangles(o3d.core.Tensor.from_numpy(corners), o3d.core.Tensor.from_numpy(rows))
    away, height = float(_log_uniform(random, _RANGE)[0]), random.uniform(*_SENSOR_HEIGHT)
    beam, shot = np.deg2rad(float(_log_uniform(random, _BEAM_GAP)[0])), np.deg2rad(random.uniform(*_SHOT_GAP))
    side = min(_WIDEST, _REACH / away)
    azimuth, elevation = np.meshgrid(
        np.arange(-side, side, shot),
        np.arange(np.arctan2(-height, max(away - _REACH, 1.0)), np.arctan2(_TALLEST, away), beam),
    )
    ray = np.stack(
        [-np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)],
        axis=-1,
    ).reshape(-1, 3)
    if len(ray) > _MOST_RAYS:
        ray = ray[random.permutation(len(ray))[:_MOST_RAYS]]
    eye = np.array([away, 0, height])
    cast = np.concatenate([np.broadcast_to(eye, ray.shape), ray], axis=1).astype(np.float32)
    reach = scene.cast_rays(o3d.core.Tensor.from_numpy(cast), nthreads=1)["t_hit"].numpy()
    kept = np.isfinite(reach) & (random.random(len(reach)) > random.uniform(0, _MOST_LOST))
    noisy = reach[kept] + random.normal(0, _NOISE, np.count_nonzero(kept))
    return eye + ray[kept] * noisy[:, None]


def _wall(random: np.random.Generator) -> Triangles:
    """A piece of wall with protrusions, sometimes with a corner."""
    foot, along, across = _place(random)
    height, length = random.uniform(0.4, 4), random.uniform(0.5, 6)
    middle, up = foot + _UP * height / 2, _UP * height / 2
    pieces = [_panel(middle, along * length / 2, up)]
    for _ in range(random.integers(4)):
        spot = middle + along * random.uniform(-length, length) / 2 + across * random.normal(0, 0.4)
        pieces.append(_panel(spot, along * random.uniform(0.1, 0.8), up * random.uniform(0.3, 1)))
    if random.random() < 0.4:
        pieces.append(_panel(middle + (along * 2 + across) * length / 4, across * length / 4, up))
    return np.concatenate(pieces)


def _bushes(random: np.random.Generator) -> Triangles:
    foot, _, _ = _place(random)
    return np.concatenate(
        [
            _leaves(random, foot + _off(random, 0.6, random.uniform(0.2, 1.2)), (0.2, 1.3), (0.02, 0.12))
            for _ in range(random.integers(1, 5))
        ]
    )


def _trunk_and_branches(random: np.random.Generator) -> Triangles:
    """A tree cut at random, as proposals cut trees; the label of a whole tree does not fit every piece."""
    foot, _, _ = _place(random)
    height = random.uniform(1, 4)
    crown = [
        _leaves(
            random, foot + _off(random, 0.7, height + random.uniform(-0.5, 1.5)), (0.3, 1.6), (0.03, 0.15)
        )
        for _ in range(random.integers(1, 4))
    ]
    return np.concatenate([_post(random, foot, height, random.uniform(0.04, 0.3)), *crown])


def _fence(random: np.random.Generator) -> Triangles:
    foot, along, _ = _place(random)
    length, height = random.uniform(1, 6), random.uniform(0.6, 2)
    slats = [
        _panel(foot + along * at + _UP * height / 2, along * random.uniform(0.01, 0.05), _UP * height / 2)
        for at in np.linspace(-length / 2, length / 2, random.integers(4, 25))
    ]
    rails = [
        _panel(foot + _UP * height * part, along * length / 2, _UP * 0.04)
        for part in random.uniform(0.1, 1, random.integers(1, 4))
    ]
    return np.concatenate(slats + rails)


def _posts(random: np.random.Generator) -> Triangles:
    foot, _, _ = _place(random)
    return np.concatenate(
        [
            _post(random, foot + _off(random, 0.8, 0), random.uniform(0.4, 6), random.uniform(0.02, 0.2))
            for _ in range(random.integers(1, 4))
        ]
    )


def _heap(random: np.random.Generator) -> Triangles:
    """A heap or a slope of rough ground."""
    foot, _, _ = _place(random)
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    z = random.uniform(0.2, 1.5) * np.exp(-(x**2 + y**2) * random.uniform(0.5, 4))
    z += random.normal(0, 0.05, x.shape) + x * random.normal(0, 0.3)
    size = random.uniform(0.5, 3)
    grid = np.stack([x * size, y * size * random.uniform(0.3, 1), z], axis=-1) + foot
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    return np.concatenate([np.stack(t, axis=-2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])


_THINGS: tuple[Callable[[np.random.Generator], Triangles], ...] = (
    _wall,
    _bushes,
    _trunk_and_branches,
    _fence,
    _posts,
    _heap,
)


def _place(random: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """A foot on the ground, and two level directions at right angles."""
    yaw = random.uniform(0, np.pi)
    along = np.array([np.cos(yaw), np.sin(yaw), 0])
    return _off(random, _SPREAD, 0), along, np.array([-along[1], along[0], 0])


def _off(random: np.random.Generator, spread: float, height: float) -> NDArray:
    return np.array([*random.normal(0, spread, 2), height])


def _panel(middle: NDArray, u: NDArray, v: NDArray) -> Triangles:
    a, b, c, d = middle - u - v, middle + u - v, middle + u + v, middle - u + v
    return np.array([[a, b, c], [a, c, d]])


def _leaves(
    random: np.random.Generator, middle: NDArray, radii: tuple[float, float], sizes: tuple[float, float]
) -> Triangles:
    """Foliage: small triangles on an ellipsoid, with gaps that beams pass through."""
    count = random.integers(150, 700)
    direction = random.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    at = middle + direction * random.uniform(*radii, 3) * np.cbrt(random.uniform(0.3, 1, (count, 1)))
    return at[:, None] + random.normal(0, random.uniform(*sizes), (count, 3, 3))


def _post(random: np.random.Generator, foot: NDArray, height: float, radius: float) -> Triangles:
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(8)], axis=1) * radius
    low = foot + ring
    high = low + np.array([*random.normal(0, 0.05, 2) * height, height])
    next_low, next_high = np.roll(low, -1, axis=0), np.roll(high, -1, axis=0)
    return np.concatenate([np.stack([low, next_low, next_high], 1), np.stack([low, next_high, high], 1)])


def _log_uniform(random: np.random.Generator, limits: tuple[float, float], size: int = 1) -> NDArray:
    return np.exp(random.uniform(np.log(limits[0]), np.log(limits[1]), size))
