"""Detections of the library ``supervision`` (Roboflow), recognized by their attributes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError


def from_supervision(detections: Any, labels: Sequence[str] | None = None) -> Detections2D:
    """Take over ``supervision.Detections`` of one image; the library itself is not needed.

    Args:
        detections: has ``xyxy`` (M, 4) and, each possibly None, ``confidence`` (M,) in 0..1, ``class_id`` (M,) int,
            ``mask`` (M, H, W) bool, ``tracker_id`` (M,) int and ``data`` with ``class_name`` (M,).
        labels: the word of each class id, where ``data`` has no names; goes before them.

    Returns:
        Scores are 1 where there is no confidence; ``tracker_id`` becomes the attribute ``track_id``.

    Raises:
        InputError: no words can be told, or the arrays do not fit together.
    """
    boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
    count = len(boxes)
    scores, class_id, masks, track_id = (
        getattr(detections, name, None) for name in ("confidence", "class_id", "mask", "tracker_id")
    )
    return Detections2D(
        boxes=boxes,
        scores=np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
        labels=_words(count, class_id, getattr(detections, "data", None) or {}, labels),
        masks=None if masks is None else np.asarray(masks, bool),
        attributes={} if track_id is None else {"track_id": np.asarray(track_id, np.int64)},
    )


def _words(count: int, class_id: Any, data: Any, labels: Sequence[str] | None) -> tuple[str, ...]:
    names = data.get("class_name")
    if labels is None and names is not None:
        return tuple(str(name) for name in names)
    if count == 0:
        return ()
    if labels is None or class_id is None:
        raise InputError(
            'has neither data["class_name"] nor class_id with labels',
            source="supervision.Detections",
            fix="give labels=, the word of each class id",
        )
    numbers = np.asarray(class_id, np.int64)
    if numbers.min() < 0 or numbers.max() >= len(labels):
        raise InputError(
            f"runs from {numbers.min()} to {numbers.max()}, there are {len(labels)} labels",
            source="supervision.Detections",
            field="class_id",
            fix="give the word of every class id",
        )
    return tuple(labels[number] for number in numbers)
