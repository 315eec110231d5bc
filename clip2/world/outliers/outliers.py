"""Clouds that no word fits: what a model is to call unknown, given to its statistics as such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals import Kind, propose_objects
from data_prep.world import list_categories
from data_prep.world.assemblies import make_assembly

if TYPE_CHECKING:
    from data_prep.world import ProceduralScan

Cloud = tuple[NDArray[np.floating], NDArray[np.uint8] | None]
# Meters from the middle to the farthest point of solids; models from elsewhere come in any unit.
_SMALLEST, _LARGEST = 0.03, 2.0
_POINTS = 2048
# Pieces cut at random: how many per frame, half sides in meters by setting, and when one shows enough of a thing to be it.
_CUTS, _HALF_SIDES, _STRETCH = 40, {"room": (0.1, 1.5), "street": (0.1, 4.0)}, 2.0
_FEWEST_POINTS = 12
_MOSTLY, _ENOUGH = 0.5, 0.4
# Factors of size that no unit and no mistake explains away as variety: 2.5 to 50, and their inverses.
_FACTORS = (2.5, 50.0)


def background_pieces(scan: ProceduralScan) -> Iterator[Cloud]:
    """Pieces of wall, ground and kerb that a search for objects takes for objects.

    Args:
        scan: rooms or streets, whose truth is known.

    Yields:
        Proposals most of whose points lie on nothing that has a name: points (n, 3) in world axes, z-up meters, and
        their colors or None.
    """
    kind: Kind = "lidar" if scan.setting == "street" else "room"
    for i in range(len(scan)):
        frame, owners = scan[i], scan.ground_truth(i).instances
        world = frame.world_points()
        for index in propose_objects(world, kind, frame.T_world_points[:3, 3]):
            if (owners[index] < 0).mean() > 0.5 and np.ptp(world[index], axis=0).any():
                yield world[index], None if frame.colors is None else frame.colors[index]


def solids(count: int, seed: int = 0) -> Iterator[Cloud]:
    """Nameless things of a few solids, seen from all sides as no sensor sees them, in any size; every other one colored.

    Args:
        count: how many.
        seed: of everything.

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
    """Boxes cut out of scans anywhere: half a chair with its table, three cups, a corner of the floor.

    Args:
        scan: rooms or streets, whose truth is known.
        seed: of the boxes.

    Yields:
        As :func:`background_pieces`; none that is mostly one thing with a name and shows enough of it.
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
    """The same clouds far too small or too large, as those are whose units nobody told.

    Args:
        clouds: things in meters.
        seed: of the factors.
    """
    random = np.random.default_rng(seed)
    for points, colors in clouds:
        factor = np.exp(random.uniform(*np.log(_FACTORS)) * random.choice([-1, 1]))
        yield points.astype(np.float64) * factor, colors
