"""Result of one update: the objects of a frame with their ids, and the changes of the map."""

from __future__ import annotations

from dataclasses import dataclass

from clip2.recognition.instances import Instances3D


@dataclass(frozen=True)
class MapUpdate(Instances3D):
    """Objects seen in one frame, with the ids of the map, and what has changed.

    ``indices`` and ``visible_boxes`` are of this frame, ``boxes`` of the map's whole object. Slices keep the ids below.

    Attributes:
        new: ids confirmed for the first time in this frame.
        changed: ids of confirmed objects whose box, state or embedding changed.
        lost: ids of confirmed objects whose place was found empty in this frame.

    >>> import numpy as np
    >>> empty = MapUpdate((), np.zeros((0, 7)), np.zeros((0, 3, 3)), (), np.zeros(0), np.zeros((0, 8)), new=(3,))
    >>> len(empty), empty.new, empty.lost
    (0, (3,), ())
    """

    new: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
