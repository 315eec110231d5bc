"""Zero-shot scores against cases worked out by hand, and real CLIP vectors against known figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clip2.classification import zero_shot_classify
from clip2.evaluation import (
    best_ranks,
    confusion_matrix,
    hit_at_k,
    score_zero_shot,
    top_k_accuracy,
)
from clip2.teacher import TextBank
from data_prep.errors import InputError


def test_probabilities_by_hand() -> None:
    """Cosines 1 and 0 with scale ln 3 are 3 to 1; the length of the vectors does not matter."""
    got = zero_shot_classify([[5.0, 0.0], [0.0, 0.1]], [[1.0, 0.0], [0.0, 2.0]], logit_scale=np.log(3))
    np.testing.assert_allclose(got, [[0.75, 0.25], [0.25, 0.75]], atol=1e-6)


def test_tensors_and_arrays_are_the_same() -> None:
    random = np.random.default_rng(0)
    objects, words = random.normal(size=(4, 8)), random.normal(size=(3, 8))
    from_tensors = zero_shot_classify(torch.tensor(objects, requires_grad=True), torch.tensor(words))
    np.testing.assert_allclose(from_tensors, zero_shot_classify(objects, words), atol=1e-5)


def test_a_large_scale_does_not_overflow() -> None:
    got = zero_shot_classify([[1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]], logit_scale=1e5)
    np.testing.assert_array_equal(got, [[1, 0]])


SCORES = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
TARGETS = [0, 1, 1, 2, 2]


def test_scores_by_hand() -> None:
    """Right: objects 0, 2, 3. Object 1 is right second, object 4 third. Class accuracies 1, 1/2, 1/2."""
    report = score_zero_shot(SCORES, TARGETS, ("a", "b", "c"))
    assert report.top1 == pytest.approx(3 / 5)
    assert report.top3 == report.top5 == 1
    assert report.class_mean == pytest.approx(2 / 3)
    assert report.per_class == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert report.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert top_k_accuracy(SCORES, TARGETS, 2) == pytest.approx(4 / 5)
    assert json.loads(json.dumps(report.to_json()))["objects"] == 5


def test_words_that_do_not_occur_do_not_count_in_the_class_mean() -> None:
    report = score_zero_shot(SCORES[:3], TARGETS[:3], ("a", "b", "c"))
    assert report.class_mean == pytest.approx((1 + 1 / 2) / 2)
    assert "c" not in report.per_class


def test_equal_scores_earn_nothing() -> None:
    """A model that says the same for every word is right as often as the first word is."""
    assert top_k_accuracy(np.zeros((4, 4)), [0, 1, 2, 3]) == 0.25


def test_any_right_word_counts() -> None:
    relevant = [[True, False, True], [False, False, True]]
    assert hit_at_k([[0.1, 0.2, 0.9], [0.5, 0.4, 0.1]], relevant) == 0.5
    assert hit_at_k([[0.1, 0.2, 0.9], [0.5, 0.4, 0.1]], relevant, k=3) == 1


def test_ranks_are_those_of_a_stable_sort() -> None:
    random = np.random.default_rng(3)
    scores = random.integers(0, 4, size=(200, 9)).astype(np.float32)  # many equal scores
    relevant = random.random((200, 9)) < 0.3
    relevant[:, 4] |= ~relevant.any(axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = np.take_along_axis(relevant, order, axis=1).argmax(axis=1)
    np.testing.assert_array_equal(best_ranks(scores, relevant), expected)


def test_confusion_rows_are_truth() -> None:
    assert confusion_matrix([1, 1, 0], [0, 1, 0], 2).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    "embeddings, text, said",
    [
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], "as wide as the embeddings"),
        ([[1.0, 0.0]], np.zeros((0, 2)), "at least one label"),
        ([[np.nan, 0.0]], [[1.0, 0.0]], "embeddings: holds NaN"),
        ([[0.0, 0.0]], [[1.0, 0.0]], "length zero"),
        ([1.0, 0.0], [[1.0, 0.0]], "give \\(count, width\\)"),
    ],
)
def test_vectors_that_do_not_fit(embeddings: object, text: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        zero_shot_classify(embeddings, text)


@pytest.mark.parametrize(
    "targets, said",
    [([0, 1], r"\(2,\)"), ([0, 1, 1, 2, 3], "0 to 2"), ([0, 1, 1, 2, -1], "0 to 2"), ([0.0] * 5, "whole")],
)
def test_targets_that_do_not_fit(targets: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        top_k_accuracy(SCORES, targets)


def coco_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """CLIP vectors of the labeled images and (B, 80) which of the COCO words are in each."""
    data = np.load(folder / "images_with_embeddings" / "image_embeddings.npz", allow_pickle=False)
    vectors, relevant = [], []
    for file, vector in zip(data["files"], data["embeddings"], strict=True):
        labels = folder / "images_with_embeddings" / "labels" / f"{Path(str(file)).stem}.txt"
        if labels.is_file() and labels.read_text().strip():
            classes = {int(line.split()[0]) for line in labels.read_text().splitlines()}
            vectors.append(vector)
            relevant.append([number in classes for number in range(80)])
    return np.array(vectors), np.array(relevant)


def test_real_clip_vectors_name_real_images(real_data: Path) -> None:
    folder = real_data / "clip"
    vectors, relevant = coco_images(folder)
    assert len(vectors) == 88
    bank = TextBank.load(folder / "vit_b32_text_bank.npz", model="ViT-B-32/openai")
    coco = TextBank.load(folder / "ovdet_coco_prompt_ensemble.npz", model="ViT-B-32/openai")
    plain = zero_shot_classify(vectors, bank.lookup(coco.names))
    ensemble = zero_shot_classify(vectors, coco.embeddings)
    assert hit_at_k(plain, relevant) == pytest.approx(0.773, abs=5e-4)
    assert hit_at_k(plain, relevant, k=3) == pytest.approx(0.932, abs=5e-4)
    assert hit_at_k(ensemble, relevant) == pytest.approx(0.761, abs=5e-4)
    assert hit_at_k(ensemble, relevant, k=3) == pytest.approx(0.977, abs=5e-4)


def test_vectors_of_another_model_score_at_chance(real_data: Path) -> None:
    folder = real_data / "clip"
    vectors, relevant = coco_images(folder)
    control = TextBank.load(folder / "negctl_vit_b16_coco_panoptic.npz", model="ViT-B-16/openai")
    scores = zero_shot_classify(vectors, control.embeddings[:80])
    assert hit_at_k(scores, relevant) == pytest.approx(0.011, abs=5e-4)
    assert relevant.mean() > 0.011  # a word drawn at random is right more often
