"""Selection of a detector's boxes: thresholds per label, non-maximum suppression, a limit per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError
from data_prep.geometry.boxes2d import clip_boxes_2d
from data_prep.labels import normalize_label
from data_prep.storage.extras import require_extra


@dataclass(frozen=True)
class Selection:
    """Rules for keeping a detector's boxes.

    Attributes:
        min_score: detections below are dropped.
        min_scores: label → its own threshold; case, ``_`` and blanks do not matter.
        nms: of two boxes with the same label and a higher IoU than this, the one with the lower score is dropped.
        nms_across_labels: the same for boxes with different labels; None keeps them all. Large vocabularies have
            several labels for one thing.
        max_boxes: number of boxes to keep per image, best first.

    Raises:
        InputError: a number is out of range.
    """

    min_score: float = 0.3
    min_scores: Mapping[str, float] = field(default_factory=dict)
    nms: float = 0.5
    nms_across_labels: float | None = None
    max_boxes: int = 300

    def __post_init__(self) -> None:
        numbers = {"min_score": self.min_score, "nms": self.nms, "nms_across_labels": self.nms_across_labels}
        numbers |= {f"min_score {word}": score for word, score in self.min_scores.items()}
        for name, value in numbers.items():
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"is {value}", field=name, fix="give a number from 0 to 1")
        if self.max_boxes < 1:
            raise InputError(f"is {self.max_boxes}", field="max_boxes", fix="give 1 or more")
        object.__setattr__(
            self, "min_scores", {normalize_label(word): score for word, score in self.min_scores.items()}
        )

    @property
    def lowest_score(self) -> float:
        """The lowest of all thresholds."""
        return min([self.min_score, *self.min_scores.values()])

    def apply(self, detections: Detections2D, width: int, height: int) -> Detections2D:
        """Clip boxes to the image, drop empty and weak ones, suppress duplicates; best first.

        Args:
            detections: raw output of the detector.
            width, height: of the image in pixels.
        """
        if not len(detections):
            return detections
        boxes = clip_boxes_2d(detections.boxes, width, height)
        thresholds = [
            self.min_scores.get(normalize_label(word), self.min_score) for word in detections.labels
        ]
        good = (detections.scores >= thresholds) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        kept = np.flatnonzero(good)
        kept = kept[nms(boxes[kept], detections.scores[kept], self.nms, [detections.labels[i] for i in kept])]
        if self.nms_across_labels is not None:
            kept = kept[nms(boxes[kept], detections.scores[kept], self.nms_across_labels)]
        kept = kept[: self.max_boxes]
        chosen = detections[kept]
        return Detections2D(
            boxes[kept].astype(np.float32),
            chosen.scores,
            chosen.labels,
            None,
            chosen.masks,
            chosen.attributes,
        )


def nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    iou: float,
    labels: Sequence[object] | None = None,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression, by torchvision.

    Args:
        boxes: (M, 4) x0 y0 x1 y1.
        scores: (M,); of equal scores the first wins.
        iou: a box goes if its IoU with a kept better one is above this.
        labels: (M,) boxes with different labels do not compete; None: all do.

    Returns:
        Positions of the kept boxes, best first.

    Raises:
        InputError: torchvision is not installed.
    """
    if not len(boxes):
        return np.zeros(0, np.int64)
    torch = require_extra("torch", "detect", needed_for="non-maximum suppression")
    ops = require_extra("torchvision.ops", "detect", needed_for="non-maximum suppression")
    names = [0] * len(boxes) if labels is None else list(labels)
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    kept = ops.batched_nms(
        torch.from_numpy(np.array(boxes, np.float64)),
        torch.from_numpy(np.array(scores, np.float64)),
        torch.tensor([number[name] for name in names]),
        iou,
    )
    positions: NDArray[np.int64] = kept.numpy()
    return positions
