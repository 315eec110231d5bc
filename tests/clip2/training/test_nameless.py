"""Things without a name teach by their picture alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from support.tiny_clip import make_tiny_clip
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.objectives import ContrastiveObjective, Embeddings, ObjectiveConfig, Targets
from clip2.teacher import Teacher, embed_triplets
from clip2.training import TrainConfig, TrainingSet, load_training_set, pack, train
from clip2.training.dataset import combine
from data_prep.errors import BadDatasetError
from data_prep.triplets import Provenance, Triplet, write_triplets

Tiny = Callable[..., TrainConfig]


def triplet(number: int, texts: tuple[str, ...], pictured: bool) -> Triplet:
    random = np.random.default_rng(number)
    return Triplet(
        key=f"t{number}",
        points=surface(number % 3, random, 60),
        colors=None,
        crop=random.integers(0, 256, (20, 16, 3), dtype=np.uint8) if pictured else None,
        texts=texts,
        provenance=Provenance(source="test", frame=f"{number:06d}", center=(0.0, 0.0, 0.0)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six objects: named, nameless, and both, with and without pictures."""
    root = tmp_path_factory.mktemp("nameless")
    rows = [
        (("chair",), True),
        (("Object",), True),  # keeps its picture
        (("object", "table"), False),  # keeps its other word
        (("object",), False),  # teaches nothing
        (("thing",), False),
        (("object", "thing"), True),
    ]
    write_triplets(root / "a", [triplet(i, *row) for i, row in enumerate(rows)], source="test")
    embed_triplets(root / "a", Teacher.load(make_tiny_clip(root / "clip"), device="cpu"))
    return root / "a"


def words_of(data: TrainingSet) -> list[list[str]]:
    return [[data.texts[row] for row in own if row >= 0] for own in data.own_texts]


def test_a_word_that_names_nothing_is_neither_target_nor_negative(folder: Path) -> None:
    data = load_training_set([folder])
    assert data.texts == ("chair", "table", "thing")
    assert len(data.text_vectors) == 3
    assert words_of(data) == [["chair"], [], ["table"], ["thing"], ["thing"]]
    assert data.image_present.tolist() == [True, True, False, False, True]
    assert dict(data.left_out) == {"no image, and no text that names anything": 1}


def test_which_words_name_nothing_can_be_said(folder: Path) -> None:
    data = load_training_set([folder], nameless=("object", "Thing"))
    assert data.texts == ("chair", "table")
    assert words_of(data) == [["chair"], [], ["table"], []]
    assert dict(data.left_out) == {"no image, and no text that names anything": 2}
    everything = load_training_set([folder], nameless=())
    assert len(everything) == 6
    assert sorted(map(str.lower, everything.texts)) == ["chair", "object", "table", "thing"]


def nameless_set(count: int = 40, width: int = 16) -> TrainingSet:
    """Balls, boxes and pipes that one detector calls "object", each kind with pictures of its own."""
    random = np.random.default_rng(1)
    kinds = np.arange(count) % 3
    pictures = unit_rows(3, width, seed=6)[kinds].astype(np.float16)
    return pack(
        [(surface(kind, random), None) for kind in kinds],
        [[0]] * count,
        ["object"],
        unit_rows(1, width),
        "ViT-B-32/openai",
        images=pictures,
        image_present=np.ones(count, bool),
    )


def test_a_set_without_any_name_is_a_set_and_joins_others(shapes: TrainingSet) -> None:
    nameless = nameless_set()
    assert nameless.texts == ()
    assert nameless.text_vectors.shape == (0, 16)
    assert len(nameless.fingerprint()) == 64
    assert combine([nameless, nameless], ["a", "b"]).text_vectors.shape == (0, 16)
    both = combine([shapes, nameless], ["shapes", "nameless"])
    assert both.texts == WORDS
    assert (both.own_texts[len(shapes) :] == -1).all()


def test_it_trains_on_the_image_term_alone_and_says_so(tiny: Tiny, tmp_path: Path) -> None:
    said = io.StringIO()
    config = tiny("data.hold_out=0.2", "objective.text_negatives=vocabulary")
    data = nameless_set()
    result = train(config, tmp_path, data=data, console=Console(file=said, width=200))
    assert "no texts to learn from: training on the image term alone" in said.getvalue()
    assert "32 objects have no text and train by their image alone" in said.getvalue()
    assert result.metrics["terms"] == "image"
    assert result.metrics["objects_held_out"] == 0  # nobody can name them right
    assert "train/text_loss" not in result.metrics
    model = clip2.load(tmp_path)
    assert model.text_bank is None
    # It learned: pictures of one's own kind are nearest, 12 steps from chance.
    embedded = model.encode([data.cloud(i)[0] for i in range(30)]).numpy()
    nearest = (embedded @ unit_rows(3, seed=6).T).argmax(axis=1)
    assert np.mean(nearest == np.arange(30) % 3) > 0.6


def test_evaluation_names_only_what_has_a_name(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    own = shapes.own_texts.copy()
    own[::2] = -1  # those with a picture
    result = train(tiny("data.hold_out=0.5", "loop.steps=3"), tmp_path, data=replace(shapes, own_texts=own))
    _, held_out = shapes.split(0.5, seed=0)
    assert 0 < result.metrics["objects_held_out"] == int((held_out % 2 == 1).sum()) < len(held_out)
    assert 0 <= result.metrics["held_out/top1"] <= 1


@pytest.mark.parametrize("negatives", ["batch", "vocabulary"])
def test_nameless_samples_change_the_image_term_and_nothing_in_the_text_term(negatives: str) -> None:
    texts, pictures = torch.from_numpy(unit_rows(3)), torch.from_numpy(unit_rows(8, seed=9))
    points = torch.from_numpy(unit_rows(8, seed=2)).requires_grad_()
    own = torch.tensor([0, 1, 2, 0, 1, -1, -1, -1])
    objective = ContrastiveObjective(ObjectiveConfig(text_negatives=negatives))  # type: ignore[arg-type]
    scale = torch.tensor(10.0)

    def losses(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        targets = Targets(texts, own[rows], own[rows, None], pictures[rows], torch.ones(8, dtype=bool)[rows])
        found = objective(Embeddings(points[rows], scale, scale), targets)
        assert found.text is not None
        assert found.image is not None
        return found.text, found.image

    (text, image), (text_of_named, image_of_named) = losses(slice(8)), losses(slice(5))
    assert text.item() == pytest.approx(text_of_named.item(), abs=1e-6)
    assert abs(image.item() - image_of_named.item()) > 1e-3
    (by_text,) = torch.autograd.grad(text, points, retain_graph=True)
    (by_image,) = torch.autograd.grad(image, points)
    assert (by_text[5:] == 0).all()
    assert (by_text[:5].abs().sum(1) > 0).all()
    assert (by_image.abs().sum(1) > 0).all()


def test_no_term_to_learn_from_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="no object has a target of the objective"):
        train(tiny("objective.image_weight=0"), tmp_path, data=nameless_set())
