"""The objects of a map, by id and by place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.map_object import MapObject
from clip2.mapping.places import Places

_FIRST_DROPPED = {"tentative": 0, "lost": 1, "confirmed": 2}


class ObjectStore:
    """All objects of a map, at most ``max_objects``.

    Args:
        max_objects: objects kept by :meth:`prune`.

    Attributes:
        objects: by id.
        next_id: number of the next object.
    """

    def __init__(self, max_objects: int) -> None:
        self.objects: dict[int, MapObject] = {}
        self.next_id = 0
        self._places, self._most = Places(), max_objects

    def new_id(self) -> int:
        """A number that no object had."""
        self.next_id += 1
        return self.next_id - 1

    def add(self, one: MapObject) -> None:
        """Take in an object."""
        self.objects[one.id] = one
        self.next_id = max(self.next_id, one.id + 1)
        self.place(one)

    def place(self, one: MapObject) -> None:
        """Its box has changed."""
        self._places.put(one.id, one.box[:3], one.diagonal / 2)

    def drop(self, id: int) -> None:
        """Take out an object."""
        del self.objects[id]
        self._places.remove(id)

    def within(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[MapObject]:
        """The objects that reach into the box from ``low`` to ``high``."""
        return [self.objects[id] for id in self._places.within(low, high)]

    def prune(self) -> None:
        """Drop what is too much: tentative objects first, then lost ones, then those unseen for longest."""
        over = len(self.objects) - self._most
        if over > 0:
            ranked = sorted(self.objects.values(), key=lambda one: (_FIRST_DROPPED[one.state], one.last_seen))
            for one in ranked[:over]:
                self.drop(one.id)
