"""Clouds of the embedded world that no word fits: what a model is to call unknown, given to its statistics as such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals import Kind, propose_objects
from data_prep.scans.procedural.assemblies import make_assembly

if TYPE_CHECKING:
    from data_prep.scans.procedural import ProceduralScan

Cloud = tuple[NDArray[np.float64], NDArray[np.uint8] | None]
# Metres from the middle to the farthest point of solids; models from elsewhere come in any unit.
_SMALLEST, _LARGEST = 0.03, 2.0
_POINTS = 2048


def background_pieces(scan: ProceduralScan) -> Iterator[Cloud]:
    """Pieces of wall, ground and kerb that a search for objects takes for objects.

    Args:
        scan: rooms or streets, whose truth is known.

    Yields:
        Proposals most of whose points lie on nothing that has a name: points (n, 3) in world axes, z-up metres, and
        their colours or None.
    """
    kind: Kind = "lidar" if scan.setting == "street" else "room"
    for i in range(len(scan)):
        frame, owners = scan[i], scan.ground_truth(i).instances
        world = frame.world_points()
        for index in propose_objects(world, kind, frame.T_world_points[:3, 3]):
            if (owners[index] < 0).mean() > 0.5 and np.ptp(world[index], axis=0).any():
                yield world[index], None if frame.colors is None else frame.colors[index]


def solids(count: int, seed: int = 0) -> Iterator[Cloud]:
    """Nameless things of a few solids, seen from all sides as no sensor sees them, in any size; every other one coloured.

    Args:
        count: how many.
        seed: of everything.

    Yields:
        Points (2048, 3) z-up metres, and their colours (2048, 3) uint8 or None.
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
