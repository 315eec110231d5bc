"""Index of the objects of a map by place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Places:
    """Centers and radii of many objects in one table, for fast questions about a region.

    >>> places = Places()
    >>> places.put(7, np.array([1.0, 0, 0]), 0.5)
    >>> places.within(np.zeros(3), np.full(3, 0.6)), places.within(np.full(3, 5.0), np.full(3, 6.0))
    ([7], [])
    """

    def __init__(self) -> None:
        self._table = np.zeros((64, 4))
        self._ids = np.zeros(64, np.int64)
        self._row: dict[int, int] = {}

    def put(self, id: int, center: NDArray[np.float64], radius: float) -> None:
        """Add an object, or move it."""
        row = self._row.setdefault(id, len(self._row))
        if row == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._table[row, :3], self._table[row, 3], self._ids[row] = center, radius, id

    def remove(self, id: int) -> None:
        """Take an object out; the last row fills its place."""
        row, last = self._row.pop(id), len(self._row)
        if row != last:
            self._table[row], self._ids[row] = self._table[last], self._ids[last]
            self._row[int(self._ids[row])] = row

    def within(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[int]:
        """Ids of the objects that reach into the box from ``low`` to ``high``, ascending."""
        table = self._table[: len(self._row)]
        center, radius = table[:, :3], table[:, 3:]
        inside = ((center + radius >= low) & (center - radius <= high)).all(axis=1)
        return sorted(self._ids[: len(self._row)][inside].tolist())
