"""Which boxes to keep: thresholds per word, non-maximum suppression, a limit per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.detections import Detections2D
from data_prep.detect.vocabulary import normalize_word
from data_prep.errors import InputError


@dataclass(frozen=True)
class Selection:
    """What is kept of a detector's output.

    Attributes:
        min_score: detections below are left out.
        min_scores: word → threshold of its own; case, ``_`` and blanks do not matter.
        nms: of two boxes with the same word whose IoU is above, the one with the lower score goes.
        nms_across_words: the same for boxes with different words; None keeps them all. Large vocabularies call one
            thing by several names.
        max_boxes: the best so many of an image.

    Raises:
        InputError: a number is out of range.
    """

    min_score: float = 0.3
    min_scores: Mapping[str, float] = field(default_factory=dict)
    nms: float = 0.5
    nms_across_words: float | None = None
    max_boxes: int = 300

    def __post_init__(self) -> None:
        numbers = {"min_score": self.min_score, "nms": self.nms, "nms_across_words": self.nms_across_words}
        numbers |= {f"min_score {word}": score for word, score in self.min_scores.items()}
        for name, value in numbers.items():
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"is {value}", field=name, fix="give a number from 0 to 1")
        if self.max_boxes < 1:
            raise InputError(f"is {self.max_boxes}", field="max_boxes", fix="give 1 or more")
        object.__setattr__(
            self, "min_scores", {normalize_word(word): score for word, score in self.min_scores.items()}
        )

    @property
    def lowest_score(self) -> float:
        """No detection below can be kept."""
        return min([self.min_score, *self.min_scores.values()])

    def apply(self, detections: Detections2D, width: int, height: int) -> Detections2D:
        """Clip to the image, drop what is empty or weak, suppress doubles; best first.

        Args:
            detections: as the detector gave them.
            width, height: of the image in pixels.
        """
        if not len(detections):
            return detections
        limits = np.array([width, height, width, height], np.float32)
        boxes = np.clip(detections.boxes, 0, limits)
        thresholds = [self.min_scores.get(normalize_word(word), self.min_score) for word in detections.labels]
        good = (detections.scores >= thresholds) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        kept = np.flatnonzero(good)
        kept = kept[nms(boxes[kept], detections.scores[kept], self.nms, [detections.labels[i] for i in kept])]
        if self.nms_across_words is not None:
            kept = kept[nms(boxes[kept], detections.scores[kept], self.nms_across_words)]
        kept = kept[: self.max_boxes]
        chosen = detections[kept]
        return Detections2D(boxes[kept], chosen.scores, chosen.labels, None, chosen.masks, chosen.attributes)


def nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    iou: float,
    labels: Sequence[object] | None = None,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (M, 4) x0 y0 x1 y1.
        scores: (M,); of equal ones the first wins.
        iou: a box goes if its IoU with a better one that stays is above.
        labels: (M,) boxes with different labels do not compete; None: all do.

    Returns:
        Positions of the boxes that stay, best first.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    names = [0] * len(order) if labels is None else list(labels)
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    group = np.array([number[name] for name in names], np.int64)
    alive = np.ones(len(order), bool)
    for k in range(len(number)):
        rivals = np.flatnonzero(group[order] == k)  # ranks
        boxes_k = np.asarray(boxes, np.float64)[order[rivals]]
        for position, rank in enumerate(rivals[:-1]):
            if alive[rank]:
                rest = rivals[position + 1 :]
                alive[rest] &= overlaps(boxes_k[position], boxes_k[position + 1 :]) <= iou
    return order[alive]


def overlaps(box: NDArray, others: NDArray) -> NDArray[np.float64]:
    """IoU of one box (4,) with others (M, 4); 0 where both are empty."""
    shared = intersections(box, others)
    union = area(box) + area(others) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def intersections(box: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Area in pixels that one box (4,) shares with each of others (M, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return np.clip(high - low, 0, None).astype(np.float64).prod(axis=1)


def area(boxes: NDArray) -> NDArray[np.float64]:
    """Areas of boxes (..., 4) in square pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).astype(np.float64).prod(axis=-1)
