"""Objects found in one scan: their points, boxes and background, before they have names."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals import OUTDOOR_EXTENT, Kind, Proposals, propose_objects, spread
from clip2.recognition.proposals.lifted import propose_lifted
from clip2.recognition.proposals.masks import MaskedFrames, propose_with_masks
from clip2.recognition.proposals.sweep import viewpoint_of
from data_prep.check.units import millimeter_note
from data_prep.detect.detections import Detections2D
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_completion import SeenObject, complete_boxes
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.upright_box import fit_upright_boxes
from data_prep.scans import Frame

# Probability of a label from which its usual size shapes the box.
BELIEVED = 0.5


@dataclass(eq=False)
class FoundObjects:
    """N objects of a frame; alternatives come last, so that the numbers of the others do not depend on them.

    Attributes:
        frame: what was searched.
        objects: N proposals.
        background: proposals that are part of the room or street.
        boxes: N, of the points alone.
        viewpoint: (3,) world position of the one sensor, or None.
        floor: N heights of the floor or ground below, None where it is unknown.
        seconds: time of the steps ``propose`` and ``boxes``.
        notes: oddities of the frame, one line each.
    """

    frame: Frame
    objects: Proposals
    background: Proposals
    boxes: list[OrientedBox]
    viewpoint: NDArray | None
    floor: list[float | None]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    _whole: tuple[list[tuple[int, str | None]], list[OrientedBox]] = field(default=([], []))
    _world: weakref.ref[NDArray[np.float64]] | None = None

    @classmethod
    def find(
        cls,
        frame: Frame,
        detections: Sequence[Detections2D] | None,
        proposals: Kind,
        masks: MaskedFrames | None,
    ) -> tuple[FoundObjects, list[NDArray[np.float64]]]:
        """Search a frame; arguments as of :meth:`clip2.Recognizer.set_scan`.

        Returns:
            The objects, and the world points (n, 3) of each.
        """
        started = time.perf_counter()
        world = frame.world_points()
        viewpoint = viewpoint_of(frame, world)
        if detections is None:
            found = propose_objects(world, proposals, viewpoint, frame.colors, alternatives=masks is None)
            if masks is not None:
                found = propose_with_masks(world, masks, found)
        else:
            found = propose_lifted(frame, detections)
        objects = found.objects()
        clouds = [world.take(index, axis=0) for index in objects.indices]
        # A cloud of coincident points has no shape.
        shaped = [i for i, cloud in enumerate(clouds) if (cloud != cloud[0]).any()]
        shaped.sort(key=lambda i: objects.alternative[i])
        objects, clouds = objects[np.array(shaped, np.int64)], [clouds[i] for i in shaped]
        proposed = time.perf_counter()
        boxes = fit_upright_boxes(clouds)
        floor = _floor(world, found, boxes)
        background = found[np.array([label is not None for label in found.background], dtype=bool)]
        seconds = {"propose": proposed - started, "boxes": time.perf_counter() - proposed}
        notes = (*frame.notes, *millimeter_note(world))
        result = cls(frame, objects, background, boxes, viewpoint, floor, seconds, notes)
        result._world = weakref.ref(world)
        return result, clouds

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def distinct(self) -> int:
        """How many objects are no alternatives."""
        return int((~self.objects.alternative).sum())

    def world_points(self) -> NDArray[np.float64]:
        """World points of the frame, one array for all results that are alive.

        Only results hold it: in float64 it is larger than the rest of the scan, and cheap to compute again.
        """
        world = None if self._world is None else self._world()
        if world is None:
            world = self.frame.world_points()
            self._world = weakref.ref(world)
        return world

    def whole_boxes(
        self, numbers: NDArray[np.int64], labels: Sequence[str], likely: NDArray[np.float32]
    ) -> list[OrientedBox]:
        """Boxes of whole objects: a label tells the usual size of what is half hidden, if it is likely right.

        Args:
            numbers: (K,) of the objects.
            labels: K.
            likely: (K,) probabilities of the labels.
        """
        wanted = [
            (i, label if share >= BELIEVED else None)
            for i, label, share in zip(numbers.tolist(), labels, likely.tolist(), strict=True)
        ]
        # A box depends on its neighbors, so only the same query can reuse its boxes.
        if self._whole[0] != wanted:
            world = self.world_points()
            seen = [
                SeenObject(world[self.objects.indices[i]], label, self.viewpoint, self.floor[i])
                for i, label in wanted
            ]
            boxes = complete_boxes(seen, [self.boxes[i] for i, _ in wanted])
            self._whole = wanted, [box.amodal for box in boxes]
        return self._whole[1]

    def background_points(
        self, numbers: NDArray[np.int64], labels: Sequence[str]
    ) -> dict[str, NDArray[np.int64]]:
        """Background label → ascending indices of its points: of what is background by its shape, and of some objects.

        Args:
            numbers: (K,) of objects that are background by their name.
            labels: K, their names.
        """
        pieces = [*zip(self.background.background, self.background.indices, strict=True)]
        pieces += [(label, self.objects.indices[i]) for i, label in zip(numbers, labels, strict=True)]
        marked: dict[str, NDArray[np.bool_]] = {}
        for label, index in pieces:
            marked.setdefault(str(label), np.zeros(len(self.frame.points), bool))[index] = True
        return {label: np.flatnonzero(mark) for label, mark in marked.items()}


def _floor(world: NDArray, found: Proposals, boxes: Sequence[OrientedBox]) -> list[float | None]:
    """Height of the floor under each box: the room's, or of the ground outdoors; None if unknown."""
    floors = [index for index, label in zip(found.indices, found.background, strict=True) if label == "floor"]
    if floors:
        height = float(np.median(world[np.concatenate(floors), 2]))
        return [height] * len(boxes)
    if not boxes or (found.ground is None and spread(world) < OUTDOOR_EXTENT):
        return [None] * len(boxes)
    heights = (found.ground or GroundMap.fit(world)).height(np.array([box.center[:2] for box in boxes]))
    return [float(height) for height in heights]
