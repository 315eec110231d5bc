"""Detections of another library, known by their attributes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.detect import Detections2D
from data_prep.errors import InputError


def foreign(**given: object) -> SimpleNamespace:
    """What ``supervision.Detections`` holds for two boxes in a 6x4 image."""
    fields = {
        "xyxy": np.array([[0, 1, 3, 4], [2, 0, 6, 2]], np.float64),
        "confidence": np.array([0.9, 0.4], np.float32),
        "class_id": np.array([1, 0]),
        "mask": None,
        "tracker_id": None,
        "data": {"class_name": np.array(["mug", "cup"])},
        "metadata": {},
    }
    return SimpleNamespace(**{**fields, **given})


def test_boxes_scores_and_names_are_taken_over() -> None:
    found = Detections2D.from_supervision(foreign())
    np.testing.assert_array_equal(found.boxes, [[0, 1, 3, 4], [2, 0, 6, 2]])
    np.testing.assert_allclose(found.scores, [0.9, 0.4])
    assert found.labels == ("mug", "cup")
    assert found.masks is None


def test_class_ids_are_looked_up() -> None:
    found = Detections2D.from_supervision(foreign(data={}), labels=["cup", "mug"])
    assert found.labels == ("mug", "cup")


def test_masks_and_tracks_come_along() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, 1:, :3] = True
    found = Detections2D.from_supervision(foreign(mask=masks, tracker_id=np.array([7, 3])))
    assert found.masks is not None
    np.testing.assert_array_equal(found.masks, masks)
    np.testing.assert_array_equal(found[1:].attributes["track_id"], [3])


def test_without_confidence_the_score_is_one() -> None:
    np.testing.assert_array_equal(Detections2D.from_supervision(foreign(confidence=None)).scores, [1, 1])


def test_nothing_found_is_empty() -> None:
    nothing = foreign(xyxy=np.empty((0, 4)), confidence=np.empty(0), class_id=np.empty(0, int), data={})
    assert len(Detections2D.from_supervision(nothing)) == 0


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        ({"data": {}}, None, "has neither"),
        ({"data": {}, "class_id": None}, ["cup"], "has neither"),
        ({"data": {}}, ["cup"], "class_id: runs from 0 to 1, there are 1 labels"),
        ({"confidence": np.ones(3)}, None, "detections.scores: has 3 entries for 2 boxes"),
        ({"mask": np.zeros((1, 4, 6), bool)}, None, "detections.masks: has 1 entries for 2 boxes"),
    ],
)
def test_what_does_not_fit_is_one_line(given: dict, labels: list[str] | None, message: str) -> None:
    with pytest.raises(InputError) as error:
        Detections2D.from_supervision(foreign(**given), labels)
    assert message in str(error.value)
