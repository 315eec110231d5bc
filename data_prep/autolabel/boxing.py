"""Boxes of the objects of one frame, on its ground and from its sensor, in any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from data_prep.geometry.box_completion import CompletedBox, SeenObject, complete_boxes
from data_prep.geometry.ground import floor_heights
from data_prep.geometry.typical_sizes import TypicalSize
from data_prep.scans import Scan


class FrameObjects(NamedTuple):
    """The objects of one frame.

    Attributes:
        id: of the frame.
        position: in the scan.
        objects: without viewpoint and floor, which the frame tells.
    """

    id: str
    position: int
    objects: tuple[SeenObject, ...]

    def __str__(self) -> str:
        return f"frame {self.id}"


@dataclass(frozen=True)
class FrameBoxer:
    """Reads a frame and completes the boxes of its objects. It can be pickled if the scan can.

    Attributes:
        scan: the frames.
        sizes: of labels, where the scan has shown them; None: the typical ones.
    """

    scan: Scan
    sizes: Mapping[str, TypicalSize] | None = None

    def __call__(self, at: FrameObjects) -> list[CompletedBox]:
        """One box per object."""
        if not at.objects:
            return []
        frame = self.scan[at.position]
        world = frame.world_points()
        middles = np.array([seen.points[:, :2].mean(axis=0) for seen in at.objects])
        floors = floor_heights(world, middles, indoors=frame.depth is not None).tolist()
        return complete_boxes(
            [
                replace(seen, viewpoint=frame.T_world_points[:3, 3], floor=floor)
                for seen, floor in zip(at.objects, floors, strict=True)
            ],
            sizes=self.sizes,
        )
