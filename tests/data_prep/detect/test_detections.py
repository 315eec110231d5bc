"""Detections taken over from supervision and transformers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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
        ({"data": {}}, ["cup"], "class_id: holds 1, the 1 labels do not"),
        ({"confidence": np.ones(3)}, None, "detections.scores: has 3 entries for 2 boxes"),
        ({"mask": np.zeros((1, 4, 6), bool)}, None, "detections.masks: has 1 entries for 2 boxes"),
    ],
)
def test_what_does_not_fit_is_one_line(given: dict, labels: list[str] | None, message: str) -> None:
    with pytest.raises(InputError) as error:
        Detections2D.from_supervision(foreign(**given), labels)
    assert message in str(error.value)


@pytest.fixture(scope="module")
def detr() -> tuple[Any, Any]:
    """A DETR-like model of transformers with random weights, and its raw answer for one image."""
    torch = pytest.importorskip("torch")
    hf = pytest.importorskip("transformers")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hf.YolosConfig(
        image_size=[32, 32], patch_size=16, num_detection_tokens=6, num_labels=3, use_mid_position_embeddings=False,
        id2label={0: "cup", 1: "mug", 2: "traffic light"}, **size,
    )  # fmt: skip
    torch.manual_seed(0)
    model = hf.YolosForObjectDetection(config).eval()
    with torch.inference_mode():
        return model, model(torch.rand(1, 3, 32, 32))


def test_results_of_a_detector_of_transformers(detr: tuple[Any, Any]) -> None:
    import transformers as hf

    model, outputs = detr
    width, height = 60, 40
    (results,) = hf.YolosImageProcessor().post_process_object_detection(
        outputs, threshold=0.0, target_sizes=[(height, width)]
    )
    found = Detections2D.from_transformers(results, model.config.id2label)

    # The network states boxes as center and size in shares of the image, and probabilities of three classes and "none".
    probability = outputs.logits[0].softmax(-1)[:, :-1].numpy()
    x, y, w, h = outputs.pred_boxes[0].numpy().T
    expected = np.stack(
        [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1
    )
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, probability.max(axis=1), rtol=1e-5)
    names = ["cup", "mug", "traffic light"]
    assert found.labels == tuple(names[number] for number in probability.argmax(axis=1))


def test_nothing_above_the_threshold_is_empty(detr: tuple[Any, Any]) -> None:
    import transformers as hf

    model, outputs = detr
    (results,) = hf.YolosImageProcessor().post_process_object_detection(
        outputs, threshold=1.0, target_sizes=[(40, 60)]
    )
    assert len(Detections2D.from_transformers(results, model.config.id2label)) == 0


def test_results_that_name_their_labels_need_no_table() -> None:
    grounded = {"boxes": [[0, 1, 3, 4]], "scores": [0.5], "labels": [0], "text_labels": ["mug"]}
    assert Detections2D.from_transformers(grounded).labels == ("mug",)
    assert Detections2D.from_transformers({**grounded, "labels": ["cup"], "text_labels": None}).labels == (
        "cup",
    )


@pytest.mark.parametrize(
    ("results", "id2label", "message"),
    [
        ({"scores": [], "labels": []}, {}, "boxes: is missing"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.0], "labels": [3]}, {0: "cup"}, "labels: holds 3, the 1 labels do not"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.0], "labels": [3]}, None, "labels: are class ids. Fix: give id2label="),
    ],
)  # fmt: skip
def test_results_that_do_not_fit_are_one_line(results: dict, id2label: dict | None, message: str) -> None:
    with pytest.raises(InputError) as error:
        Detections2D.from_transformers(results, id2label)
    assert message in str(error.value)
