"""A place with objects in it, and what rays find there."""

from __future__ import annotations

from collections.abc import Sequence
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
    """An object and where it stands.

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
        """Its color word."""
        return self.object.color

    @property
    def size_word(self) -> str:
        """Its size word."""
        return self.object.size_word

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Other words for its category."""
        return self.object.synonyms

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against this object alone, where it stands."""
        return Tracer(self.object.surface.moved(self.T_world_object, self.instance))


@dataclass(frozen=True)
class World:
    """Everything that stands still.

    Attributes:
        objects: the things with names; everything else is background (-1).
        surface: all triangles.
        light: how it is lit.
        sky: colors at the horizon and overhead, (2, 3) sRGB 0..1, for rays that hit nothing.
    """

    objects: tuple[PlacedObject, ...]
    surface: Surface = field(repr=False)
    light: Light
    sky: tuple[tuple[float, float, float], tuple[float, float, float]]

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against everything."""
        return Tracer(self.surface)

    def owners(self, face: NDArray[np.int64]) -> NDArray[np.int32]:
        """(R,) instance ids of triangles, -1 for background and for misses."""
        return np.where(face >= 0, self.surface.owner[face], np.int32(BACKGROUND))


class WorldBuilder:
    """Collects what a world is made of.

    Args:
        first_instance: id of the first object.
    """

    def __init__(self, first_instance: int = 0) -> None:
        self.objects: list[PlacedObject] = []
        self._surfaces: list[Surface] = []
        self._first = first_instance

    def scenery(self, parts: Parts, paints: dict[str, Paint]) -> None:
        """Add nameless parts: walls, ground, buildings."""
        self._surfaces.append(Surface.paint(parts.solids, paints))

    def place(self, obj: ProceduralObject, at: Sequence[float], yaw: float) -> PlacedObject:
        """Stand an object on the point ``at``, its front turned ``yaw`` radians counter-clockwise from +x."""
        c, s = np.cos(yaw), np.sin(yaw)
        T = rigid([[c, -s, 0], [s, c, 0], [0, 0, 1]], at)
        corners = obj.surface.corners.reshape(-1, 3).astype(np.float64)
        low, high = corners.min(axis=0), corners.max(axis=0)
        box = OrientedBox((low + high) / 2, high - low).transformed(T)
        placed = PlacedObject(self._first + len(self.objects), obj, T, box)
        self.objects.append(placed)
        self._surfaces.append(obj.surface.moved(T, placed.instance))
        return placed

    def build(
        self, light: Light, sky: tuple[tuple[float, float, float], tuple[float, float, float]]
    ) -> World:
        """The finished world."""
        return World(tuple(self.objects), Surface.join(self._surfaces), light, sky)
