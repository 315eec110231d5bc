"""Sizes of a scan's own objects: cars of one city are shorter than those of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.box_completion import CompletedBox, SeenObject, is_too_large
from data_prep.geometry.typical_sizes import TypicalSize, size_name, typical_size

# Objects seen well that count as much as the typical size; chosen on the synthetic world.
_TYPICAL = 2.0
_MANY = 100  # points of an object that is seen well
_POOR = 0.3  # quality below which a box is often wrong, mostly because its 2D box is


class ScanSizes:
    """Typical sizes, moved toward the boxes that were fitted to the objects of a scan.

    >>> from data_prep import OrientedBox
    >>> shown, car = ScanSizes(), OrientedBox.from_yaw([9, 0, 0.7], [3.6, 1.6, 1.4], 0.0)
    >>> shown.add([SeenObject(np.zeros((200, 3)), "Car")] * 2, [CompletedBox(car, car, 1.0)] * 2)
    >>> round(shown.sizes()["car"].length, 2)
    3.9
    """

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(4))

    def add(self, objects: Iterable[SeenObject], boxes: Iterable[CompletedBox]) -> None:
        """Count objects and their whole boxes, each by its quality and its points."""
        for seen, box in zip(objects, boxes, strict=True):
            typical = typical_size(seen.label)
            if typical is not None and box.quality > _POOR and not is_too_large(box.amodal, typical):
                weight = box.quality * min(1.0, len(seen.points) / _MANY)
                *sides, height = box.amodal.size.tolist()
                self._sums[size_name(seen.label)] += weight * np.array([max(sides), min(sides), height, 1.0])

    def sizes(self) -> Mapping[str, TypicalSize]:
        """Sizes by name, for :func:`complete_boxes`."""
        found = {}
        for name, sums in sorted(self._sums.items()):
            typical = typical_size(name)
            assert typical is not None
            length, width, height = (
                (_TYPICAL * np.array(typical[:3]) + sums[:3]) / (_TYPICAL + sums[3])
            ).tolist()
            found[name] = typical._replace(length=length, width=width, height=height)
        return found
