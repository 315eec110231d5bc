"""What a 2D detector says about one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError


@dataclass(frozen=True)
class Detections2D:
    """Boxes, scores and words for one image; slices like a list.

    Attributes:
        boxes: (M, 4) float32 x0 y0 x1 y1 in pixels, x0 <= x1 and y0 <= y1.
        scores: (M,) float32 in 0..1.
        labels: M words, as the detector gave them.
        ids: (M,) int64, unique within the image's source; annotation ids where there are any.
        masks: (M, H, W) bool; or (M,) objects, each an (H, W) bool or None, where only some detections have one;
            or None.
        attributes: further (M, ...) arrays by name, for example ``track_id``.

    Raises:
        InputError: lengths differ, a box is inverted or not finite, a label is empty.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    ids: NDArray[np.int64] | None = None
    masks: NDArray | None = None
    attributes: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4)
        count = len(boxes)
        ids = np.arange(count) if self.ids is None else np.asarray(self.ids, dtype=np.int64)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float32))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "ids", ids)
        columns: dict[str, Sized] = {
            "scores": self.scores,
            "labels": self.labels,
            "ids": ids,
            **self.attributes,
        }
        if self.masks is not None:
            columns["masks"] = self.masks
        for name, column in columns.items():
            if len(column) != count:
                raise InputError(f"has {len(column)} entries for {count} boxes", field=f"detections.{name}")
        wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"box {first} is {boxes[first].tolist()}",
                field="detections.boxes",
                fix="give x0 <= x1, y0 <= y1",
            )
        if any(not label.strip() for label in self.labels):
            raise InputError("holds an empty word", field="detections.labels", fix="name every box")

    @classmethod
    def empty(cls) -> Detections2D:
        """No detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @classmethod
    def from_supervision(cls, detections: Any, labels: Sequence[str] | None = None) -> Detections2D:
        """What the library ``supervision`` holds; see :func:`data_prep.detect.supervision.from_supervision`."""
        from data_prep.detect.supervision import from_supervision

        return from_supervision(detections, labels)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: slice | ArrayLike) -> Detections2D:
        """Select by slice, integer array or boolean array; every field follows."""
        keep = np.arange(len(self))[index]  # type: ignore[index]
        keep = np.atleast_1d(keep)
        assert self.ids is not None
        return Detections2D(
            boxes=self.boxes[keep],
            scores=self.scores[keep],
            labels=tuple(self.labels[i] for i in keep),
            ids=self.ids[keep],
            masks=None if self.masks is None else self.masks[keep],
            attributes={name: column[keep] for name, column in self.attributes.items()},
        )
