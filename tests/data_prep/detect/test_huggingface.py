"""Real model classes with random weights, loaded by the real path; the library's own pipeline is the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_detectors import make_tiny_grounding_dino, make_tiny_omdet, make_tiny_owl, make_tiny_sam

from data_prep.detect.huggingface import HuggingFaceDetector
from data_prep.detect.nms import nms
from data_prep.detect.vocabulary import Vocabulary
from data_prep.errors import InputError

WORDS = Vocabulary.load("mug,bottle,traffic cone,red chair,dog")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((90, 120), (64, 80), (100, 40))]


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_owl(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture(scope="module")
def grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_grounding_dino(tmp_path_factory.mktemp("dino"))


@pytest.mark.parametrize("kind", ["owlv2", "owlvit"])
def test_owl_answers_as_the_library_does(kind: str, images: list[np.ndarray], tmp_path: Path) -> None:
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    folder = make_tiny_owl(tmp_path, kind=kind)
    answers = HuggingFaceDetector(str(folder), WORDS, batch_size=2).detect(images, 0.02)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    phrases = [list(WORDS.labels)]
    for image, answer in zip(images, answers, strict=True):
        with torch.no_grad():
            outputs = model(**processor(images=image, text=phrases, return_tensors="pt"))
        expected = processor.post_process_grounded_object_detection(
            outputs, threshold=0.02, target_sizes=[image.shape[:2]], text_labels=phrases
        )[0]
        height, width = image.shape[:2]
        boxes = np.clip(expected["boxes"].numpy(), 0, [width, height, width, height])
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        assert len(answer) == inside.sum() > 3
        np.testing.assert_allclose(answer.boxes, boxes[inside], atol=1e-3)
        np.testing.assert_allclose(answer.scores, expected["scores"].numpy()[inside], atol=1e-5)
        assert answer.labels == tuple(np.array(expected["text_labels"])[inside])


def test_grounding_dino_answers_as_the_library_does(grounding_dino: Path, images: list[np.ndarray]) -> None:
    """Phrases of one token each: there the mean over a phrase's tokens is the library's maximum."""
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    words = Vocabulary.load("a,b,c,d")
    answers = HuggingFaceDetector(str(grounding_dino), words).detect(images[:1], 0.0)
    processor = AutoProcessor.from_pretrained(grounding_dino)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(grounding_dino).eval()
    inputs = processor(images=images[0], text=["a. b. c. d."], return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    tokens = outputs.logits[0].sigmoid()[:, [1, 3, 5, 7]]  # [CLS] a . b . c . d . [SEP]
    boxes = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], threshold=0.0, text_threshold=0.0, target_sizes=[images[0].shape[:2]]
    )[0]["boxes"]
    limits = np.array([120, 90, 120, 90])
    boxes = np.clip(boxes.numpy(), 0, limits)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    np.testing.assert_allclose(answers[0].boxes, boxes[inside], atol=1e-3)
    np.testing.assert_allclose(answers[0].scores, tokens.amax(dim=1).numpy()[inside], rtol=1e-3)
    assert answers[0].labels == tuple(words.labels[k] for k in tokens.argmax(dim=1).numpy()[inside])


def test_more_words_than_a_prompt_holds_are_asked_in_turn(
    grounding_dino: Path, images: list[np.ndarray]
) -> None:
    words = [f"{a}{b}{c}" for a in "abc" for b in "defg" for c in "hi"]  # 24 words of 3 tokens and a stop: 96
    answers = HuggingFaceDetector(str(grounding_dino), Vocabulary.of(words)).detect(images, 0.0)
    parts = [
        HuggingFaceDetector(str(grounding_dino), Vocabulary.of(words[k : k + 11])).detect(images, 0.0)
        for k in (0, 11, 22)  # 48 tokens of room: [CLS], eleven words, [SEP]
    ]
    for answer, *chunks in zip(answers, *parts, strict=True):
        assert answer.labels == tuple(label for chunk in chunks for label in chunk.labels)
        np.testing.assert_allclose(answer.boxes, np.concatenate([chunk.boxes for chunk in chunks]), atol=1e-3)


def test_a_label_is_found_by_any_of_its_phrases(owl: Path, images: list[np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cup = mug, bottle\nthing = traffic cone, red chair, dog\n")
    plain = HuggingFaceDetector(str(owl), WORDS).detect(images, 0.0)
    grouped = HuggingFaceDetector(str(owl), Vocabulary.load(str(tmp_path / "words.txt"))).detect(images, 0.0)
    to_label = dict(zip(WORDS.labels, ["cup", "cup", "thing", "thing", "thing"], strict=True))
    for one, other in zip(plain, grouped, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
        assert tuple(to_label[label] for label in one.labels) == other.labels


def test_1203_words_answer_as_their_parts_do(owl: Path, images: list[np.ndarray]) -> None:
    vocabulary = Vocabulary.load("lvis")
    (whole,) = HuggingFaceDetector(str(owl), vocabulary).detect(images[:1], 0.0)
    halves = [
        HuggingFaceDetector(str(owl), Vocabulary.of(labels)).detect(images[:1], 0.0)[0]
        for labels in (vocabulary.labels[:700], vocabulary.labels[700:])
    ]
    np.testing.assert_allclose(whole.scores, np.maximum(*(half.scores for half in halves)), atol=1e-5)


def test_successors_are_driven_by_their_own_processor(images: list[np.ndarray], tmp_path: Path) -> None:
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    folder = make_tiny_omdet(tmp_path)
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopq"]  # 70, more than are asked for at once
    answers = HuggingFaceDetector(str(folder), Vocabulary.of(words)).detect(images[:2], 0.3)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    for image, answer in zip(images, answers, strict=False):
        scores = []
        for asked in (words[:64], words[64:]):
            inputs = processor(images=image, text=[asked], return_tensors="pt")
            with torch.no_grad():
                outputs = model(**inputs)
            found = processor.post_process_grounded_object_detection(
                outputs, [asked], threshold=0.3, target_sizes=[image.shape[:2]]
            )[0]
            scores.append(found["scores"].numpy())
        assert len(answer) > 0
        np.testing.assert_allclose(np.sort(answer.scores), np.sort(np.concatenate(scores)), atol=1e-4)


def test_answers_do_not_depend_on_the_batch(owl: Path, images: list[np.ndarray]) -> None:
    alone = HuggingFaceDetector(str(owl), WORDS, batch_size=1).detect(images, 0.1)
    together = HuggingFaceDetector(str(owl), WORDS, batch_size=3).detect(images, 0.1)
    for one, other in zip(alone, together, strict=True):
        assert one.labels == other.labels
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)


def test_half_precision_finds_nearly_the_same_and_keeps_pixels_sharp(
    owl: Path, images: list[np.ndarray]
) -> None:
    (full,) = HuggingFaceDetector(str(owl), WORDS).detect(images[:1], 0.0)
    (half,) = HuggingFaceDetector(str(owl), WORDS, precision="bf16").detect(images[:1], 0.0)
    assert len(full) == len(half)
    np.testing.assert_allclose(full.scores, half.scores, atol=0.05)
    shares = torch.from_numpy(half.boxes[:, 2] - half.boxes[:, 0]) / 120
    assert (shares.bfloat16().float() != shares).float().mean() > 0.9  # not rounded to eight bits


def test_boxes_lie_in_the_image(owl: Path, images: list[np.ndarray]) -> None:
    for image, answer in zip(images, HuggingFaceDetector(str(owl), WORDS).detect(images, 0.0), strict=True):
        height, width = image.shape[:2]
        assert (answer.boxes >= 0).all()
        assert (answer.boxes <= [width, height, width, height]).all()
        assert len(nms(answer.boxes, answer.scores, 1.0)) == len(answer)


def test_nothing_to_look_at_is_nothing_found(owl: Path) -> None:
    assert HuggingFaceDetector(str(owl), WORDS).detect([], 0.1) == []


def test_its_settings_follow_the_weights_not_the_folder(owl: Path, tmp_path: Path) -> None:
    settings = HuggingFaceDetector(str(owl), WORDS).settings()
    assert settings == HuggingFaceDetector(f"local-dir:{owl}", WORDS).settings()
    assert (
        settings["version"]
        != HuggingFaceDetector(str(make_tiny_owl(tmp_path, 1)), WORDS).settings()["version"]
    )
    assert str(owl) not in json.dumps(settings)


def test_words_without_end_are_named(grounding_dino: Path) -> None:
    words = Vocabulary.of(["mug", "a" * 60])
    with pytest.raises(InputError, match=r"vocabulary: 'a{60}' makes 60 tokens, this model takes 1 to 45"):
        HuggingFaceDetector(str(grounding_dino), words)


def test_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a model of AutoModelForZeroShotObjectDetection"):
        HuggingFaceDetector(str(make_tiny_sam(tmp_path)), WORDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:99"}, "device: cuda:99 is not available. Fix: use cpu or auto"),
        ({"device": "tpu"}, "device: 'tpu' is not known"),
        ({"precision": "int4"}, "precision: 'int4' is unknown"),
        ({"device": "cpu", "precision": "fp16"}, "precision: fp16 needs a GPU"),
        ({"batch_size": 0}, "batch_size: is 0"),
    ],
)
def test_impossible_options_are_one_line(owl: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        HuggingFaceDetector(str(owl), WORDS, **options)
    assert message in str(error.value)


def test_weights_that_are_not_there_say_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as error:
        HuggingFaceDetector("nobody/no-such-detector", WORDS)
    assert "is not on this machine and cannot be fetched" in str(error.value)
    assert "copy the files of https://huggingface.co/nobody/no-such-detector into a folder" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_damaged_folders_are_named(owl: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        HuggingFaceDetector(str(tmp_path / "missing"), WORDS)
    with pytest.raises(InputError, match=r"config\.json: is missing"):
        HuggingFaceDetector(str(tmp_path), WORDS)
    for file in owl.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        HuggingFaceDetector(str(tmp_path), WORDS)
    tensors = load_file(owl / "model.safetensors")
    save_file({key: value for key, value in tensors.items() if "class_head" not in key}, weights)
    with pytest.raises(InputError, match=r"lacks \d+ weights of Owlv2ForObjectDetection, first: class_head"):
        HuggingFaceDetector(str(tmp_path), WORDS)
    weights.unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        HuggingFaceDetector(str(tmp_path), WORDS)
