"""Which boxes stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.detect import Detections2D
from data_prep.detect.nms import Selection, nms
from data_prep.errors import InputError


def plain_nms(boxes: np.ndarray, scores: np.ndarray, iou: float, labels: list[str]) -> list[int]:
    """Greedy suppression as it is written in every textbook, one pair at a time."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for j in kept:
            w = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            h = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            shared = max(w, 0) * max(h, 0)
            union = sum((boxes[k][2] - boxes[k][0]) * (boxes[k][3] - boxes[k][1]) for k in (i, j)) - shared
            if labels[i] == labels[j] and union and shared / union > iou:
                break
        else:
            kept.append(i)
    return kept


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), iou=st.floats(0, 1))
def test_suppression_agrees_with_the_textbook(seed: int, count: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 15, (count, 2))], axis=1).astype(np.float32)
    scores = rng.integers(0, 8, count) / 8  # ties: the first of equals goes first
    labels = [str(word) for word in rng.integers(0, 3, count)]
    assert nms(boxes, scores, iou, labels).tolist() == plain_nms(boxes, scores, iou, labels)
    assert nms(boxes, scores, iou).tolist() == plain_nms(boxes, scores, iou, ["one"] * count)


def test_two_boxes_by_hand() -> None:
    # 10x10 each, shifted by 5: 50 shared of 150, IoU 1/3.
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], np.float32)
    assert nms(boxes, np.array([0.5, 0.9]), 0.34).tolist() == [1, 0]
    assert nms(boxes, np.array([0.5, 0.9]), 0.33).tolist() == [1]
    assert nms(boxes, np.array([0.5, 0.9]), 0.33, ["cup", "mug"]).tolist() == [1, 0]


def found(*rows: tuple[list[float], float, str]) -> Detections2D:
    boxes, scores, labels = zip(*rows, strict=True)
    return Detections2D(np.array(boxes, np.float32), np.array(scores, np.float32), labels)


def test_a_word_of_its_own_threshold() -> None:
    detections = found(([0, 0, 9, 9], 0.4, "traffic_cone"), ([20, 0, 29, 9], 0.4, "mug"))
    selection = Selection(min_score=0.3, min_scores={"Traffic cone": 0.5})
    assert selection.apply(detections, 100, 100).labels == ("mug",)
    assert selection.lowest_score == 0.3
    assert Selection(min_scores={"mug": 0.1}).lowest_score == 0.1


def test_boxes_are_clipped_and_what_lies_outside_goes() -> None:
    kept = Selection().apply(found(([-5, 2, 50, 60], 0.9, "mug"), ([60, 0, 70, 9], 0.9, "cup")), 40, 30)
    np.testing.assert_array_equal(kept.boxes, [[0, 2, 40, 30]])


def test_the_best_boxes_stay_when_there_are_too_many() -> None:
    rows = [([10.0 * k, 0.0, 10.0 * k + 9, 9.0], 0.3 + 0.1 * k, "mug") for k in range(5)]
    kept = Selection(max_boxes=2).apply(found(*rows), 100, 100)
    np.testing.assert_allclose(kept.scores, [0.7, 0.6])


def test_one_thing_by_two_names() -> None:
    detections = found(([0, 0, 10, 10], 0.8, "armchair"), ([0, 0, 10, 10], 0.9, "chair"))
    assert len(Selection().apply(detections, 20, 20)) == 2
    assert Selection(nms_across_labels=0.7).apply(detections, 20, 20).labels == ("chair",)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"min_score": 1.2}, "min_score"),
        ({"min_scores": {"mug": -1.0}}, "min_score mug"),
        ({"nms": float("nan")}, "nms"),
        ({"nms_across_labels": 2.0}, "nms_across_labels"),
        ({"max_boxes": 0}, "max_boxes"),
    ],
)
def test_impossible_numbers_are_named(settings: dict, field: str) -> None:
    with pytest.raises(InputError) as error:
        Selection(**settings)
    assert str(error.value).startswith(f"{field}: is ")
