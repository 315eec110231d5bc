"""Placed objects, the world they form, and free floor space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import OrientedBox, rigid
from data_prep.world.objects import ProceduralObject
from data_prep.world.palette import Paint
from data_prep.world.solids import Parts
from data_prep.world.surface import BACKGROUND, Light, Surface, Tracer


@dataclass(frozen=True)
class PlacedObject:
    """An object at its place in the world.

    Attributes:
        instance: its id in masks and points.
        object: what it is.
        T_world_object: (4, 4) takes the object's axes to the world.
        box: tight box in the world, along the object's own axes.
    """

    instance: int
    object: ProceduralObject = field(repr=False)
    T_world_object: NDArray[np.float64] = field(repr=False)
    box: OrientedBox

    def moved(self, T: NDArray[np.float64]) -> PlacedObject:
        """The same in a world that a rigid (4, 4) transform leads to."""
        return replace(self, T_world_object=T @ self.T_world_object, box=self.box.transformed(T))

    @property
    def label(self) -> str:
        """The category's name."""
        return self.object.category

    @property
    def color(self) -> str:
        """Its named color."""
        return self.object.color

    @property
    def size_word(self) -> str:
        """Its named size."""
        return self.object.size_word

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Synonyms of its category."""
        return self.object.synonyms

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against this object alone, in world coordinates."""
        return Tracer(self.object.surface.moved(self.T_world_object, self.instance))


@dataclass(frozen=True)
class World:
    """All objects and scenery of one room or street.

    Attributes:
        objects: the things with names; everything else is background (-1).
        background: pieces of background with a label (hedge, building); their ids are below -1.
        surface: all triangles.
        light: how it is lit.
        sky: colors at the horizon and overhead, (2, 3) sRGB 0..1, for rays that hit nothing.
    """

    objects: tuple[PlacedObject, ...]
    background: tuple[PlacedObject, ...]
    surface: Surface = field(repr=False)
    light: Light
    sky: tuple[tuple[float, float, float], tuple[float, float, float]]

    def rearranged(self, moves: Mapping[int, NDArray[np.float64] | None]) -> World:
        """The same world with some objects elsewhere.

        Args:
            moves: instance → (4, 4) transform in the world; None: taken away.
        """
        kept = self.surface.select(~np.isin(self.surface.owner, list(moves)))
        objects, surfaces = [], [kept]
        for placed in self.objects:
            T = moves.get(placed.instance, np.eye(4))
            if T is None:
                continue
            objects.append(placed.moved(T))
            if placed.instance in moves:
                surfaces.append(placed.object.surface.moved(T @ placed.T_world_object, placed.instance))
        return World(tuple(objects), self.background, Surface.join(surfaces), self.light, self.sky)

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against everything."""
        return Tracer(self.surface)

    def owners(self, face: NDArray[np.int64]) -> NDArray[np.int32]:
        """(R,) instance ids of triangles, -1 for background and for misses."""
        return np.maximum(self.pieces(face), np.int32(BACKGROUND))

    def pieces(self, face: NDArray[np.int64]) -> NDArray[np.int32]:
        """(R,) as :meth:`owners`, with the ids of pieces of background too: -2 and below."""
        return np.where(face >= 0, self.surface.owner[face], np.int32(BACKGROUND))


class WorldBuilder:
    """Builder of a world.

    Args:
        first_instance: id of the first object.
    """

    def __init__(self, first_instance: int = 0) -> None:
        self.objects: list[PlacedObject] = []
        self.background: list[PlacedObject] = []
        self._surfaces: list[Surface] = []
        self._first = first_instance

    def scenery(self, parts: Parts, paints: dict[str, Paint]) -> None:
        """Add nameless parts: walls, ground, buildings."""
        self._surfaces.append(Surface.paint(parts.solids, paints))

    def place(
        self, obj: ProceduralObject, at: Sequence[float], yaw: float, background: bool = False
    ) -> PlacedObject:
        """Stand an object on the point ``at``, its front turned ``yaw`` radians counter-clockwise from +x.

        Args:
            obj: what to place.
            at: x, y, z in meters.
            yaw: radians.
            background: True: a piece of the background, which has a label but no instance id.
        """
        c, s = np.cos(yaw), np.sin(yaw)
        T = rigid([[c, -s, 0], [s, c, 0], [0, 0, 1]], at)
        corners = obj.surface.corners.reshape(-1, 3).astype(np.float64)
        low, high = corners.min(axis=0), corners.max(axis=0)
        box = OrientedBox((low + high) / 2, high - low).transformed(T)
        instance = (
            BACKGROUND - 1 - self._first - len(self.background)
            if background
            else self._first + len(self.objects)
        )
        placed = PlacedObject(instance, obj, T, box)
        (self.background if background else self.objects).append(placed)
        self._surfaces.append(obj.surface.moved(T, placed.instance))
        return placed

    def build(
        self, light: Light, sky: tuple[tuple[float, float, float], tuple[float, float, float]]
    ) -> World:
        """The finished world."""
        return World(tuple(self.objects), tuple(self.background), Surface.join(self._surfaces), light, sky)


class Footprints:
    """Rectangles on the floor that must not overlap."""

    def __init__(self) -> None:
        self._taken: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []

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
        middle, reach = np.asarray(center, float), float(np.hypot(*(np.asarray(size) / 2 + gap)))
        for other, place, radius in self._taken:
            if np.abs(place - middle).max() < reach + radius and _overlap(corners, other):
                return False
        self._taken.append((corners, middle, reach))
        return True

    def distance(self, point: tuple[float, float]) -> float:
        """Meters from a point to the nearest rectangle, 0 inside one, inf when the floor is empty."""
        return min((_distance(np.asarray(point), corners) for corners, _, _ in self._taken), default=np.inf)


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
