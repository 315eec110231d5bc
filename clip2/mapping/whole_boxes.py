"""Boxes of whole objects of a map, where the label tells what the sensor has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.map_object import MapObject
from clip2.recognition.found_objects import BELIEVED
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_completion import SeenObject, complete_boxes
from data_prep.geometry.box_iou import box_rows
from data_prep.geometry.typical_sizes import typical_size


def whole_boxes(
    objects: Sequence[MapObject], labels: Sequence[str], scores: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(N, 7) boxes: extended to the usual size of a likely label, away from where the object was seen; else the visible one.

    Args:
        objects: N objects of a map.
        labels, scores: of them.
    """
    boxes = np.array([one.box for one in objects]).reshape(-1, 7)
    rows = [
        i
        for i, one in enumerate(objects)
        if scores[i] >= BELIEVED and one.viewpoint is not None and typical_size(labels[i]) is not None
    ]
    seen = [SeenObject(objects[i].points(), labels[i], objects[i].viewpoint) for i in rows]
    visible = [OrientedBox.from_yaw(boxes[i, :3], boxes[i, 3:6], boxes[i, 6]) for i in rows]
    if rows:
        boxes[rows] = box_rows(whole.amodal for whole in complete_boxes(seen, visible))
    return boxes
