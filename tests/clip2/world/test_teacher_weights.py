"""The embedded teacher as it ships, and the way it is made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from clip2.teacher import Teacher
from clip2.teacher.bundled import BUNDLED
from clip2.world.teacher.batches import Mixture
from clip2.world.teacher.pictures import Pictures, draw_objects, draw_scene
from clip2.world.teacher.score_card import ScoreCard, calibrate, calibration_error, measure
from clip2.world.teacher.training import CONFIG_FILE, LOG_FILE, WEIGHTS_FILE, Recipe, seal, train
from data_prep.errors import InputError
from data_prep.world import list_categories

FRESH_SEED = 20_011  # no training and no shipped figure uses it


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher.load("mini", precision="fp32")


@pytest.fixture(scope="module")
def card(teacher: Teacher) -> ScoreCard:
    return measure(teacher, FRESH_SEED, per_category=8, rooms=6, streets=2)


def shipped() -> dict[str, float]:
    figures: dict[str, float] = json.loads((BUNDLED["mini"].folder / "score_card.json").read_text())
    return figures


@pytest.mark.parametrize(
    ("figure", "count"),
    [
        ("category", "objects"),
        ("category_in_scenes", "scene_objects"),
        ("unseen_pair", "unseen_objects"),
        ("unseen_pair_category", "unseen_objects"),
        ("unseen_pair_color", "unseen_objects"),
    ],
)
def test_shipped_figures_hold_on_objects_of_another_seed(card: ScoreCard, figure: str, count: str) -> None:
    stated, seen = shipped()[figure], getattr(card, figure)
    # Four standard deviations of a share measured on so many; those of one scene are not independent.
    noise = np.sqrt(stated * (1 - stated) / getattr(card, count)) * (2 if "scenes" in figure else 1)
    assert abs(seen - stated) < 4 * noise


def test_it_knows_its_world(card: ScoreCard) -> None:
    assert card.category > 0.9
    assert card.calibration_error < 0.05


def test_size_on_disk() -> None:
    assert sum(path.stat().st_size for path in BUNDLED["mini"].folder.iterdir()) < 15e6


def test_open_clip_itself_loads_it(teacher: Teacher) -> None:
    import open_clip

    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{BUNDLED['mini'].folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{BUNDLED['mini'].folder}")
    with torch.inference_mode():
        theirs = network.eval().encode_text(tokenizer(["a point cloud of a chair."]), normalize=True)
    assert np.allclose(theirs.numpy(), teacher.encode_texts(["chair"]), atol=1e-5)
    assert preprocess is not None


def test_words_that_mean_alike_lie_near_each_other(teacher: Teacher) -> None:
    words = ["sofa", "couch", "armchair", "chair", "bus", "mug", "traffic cone"]
    near = teacher.embed_labels(words) @ teacher.embed_labels(words).T
    sofa = dict(zip(words, near[0], strict=True))
    assert sofa["couch"] > sofa["armchair"] > max(sofa["bus"], sofa["mug"], sofa["traffic cone"])


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(BUNDLED["mini"].folder, folder)
    monkeypatch.setitem(BUNDLED, "mini", replace(BUNDLED["mini"], folder=folder))
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(weights)
    with pytest.raises(InputError, match="checksum"):
        Teacher.load("mini")
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match="is missing"):
        Teacher.load("mini")
    (folder / CONFIG_FILE).unlink()
    with pytest.raises(InputError, match="reinstall"):
        Teacher.load("mini")


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures.join(
        [draw_objects(5, range(len(list_categories())), views=2), draw_scene("room", 400, [0])]
    )


def test_training_interrupted_and_continued_is_training_undisturbed(
    tmp_path: Path, pictures: Pictures
) -> None:
    recipe = Recipe(
        steps=4, polish=2, warmup=2, alone=0.5, mixture=Mixture(batch_size=16, colored_categories=2)
    )
    quiet = Console(quiet=True)
    train(pictures, tmp_path / "whole", recipe, console=quiet, workers=0, every=2)

    class Stopped(Exception):
        pass

    class StopsAtFour(Console):
        def print(self, *objects: object, **options: object) -> None:
            if "step 4" in str(objects[0]):
                raise Stopped

    with pytest.raises(Stopped):
        train(pictures, tmp_path / "parts", recipe, console=StopsAtFour(), workers=0, every=2)
    train(pictures, tmp_path / "parts", recipe, console=quiet, workers=0, every=2)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / LOG_FILE).read_text().splitlines()]
    assert steps == [2, 4, 4, 6]  # what was not saved is done again
    whole, parts = ((tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_a_trained_folder_is_calibrated_sealed_and_loads(tmp_path: Path, pictures: Pictures) -> None:
    recipe = Recipe(
        steps=3, polish=1, warmup=1, alone=0.5, mixture=Mixture(batch_size=16, colored_categories=2)
    )
    train(pictures, tmp_path, recipe, console=Console(quiet=True), workers=0)
    scale = calibrate(tmp_path, 0, per_category=1)
    seal(tmp_path)
    teacher = Teacher.load(f"local-dir:{tmp_path}")
    assert teacher.width == 128
    assert teacher.logit_scale == pytest.approx(scale, rel=0.01)
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["weights"]["file"] == WEIGHTS_FILE


def test_calibration_error_of_hand_made_probabilities() -> None:
    # Ten answers of probability 0.8, eight of them right: honest. All right: 0.2 off.
    logits = np.log(np.tile([0.8, 0.2], (10, 1))).astype(np.float32)
    truth = np.array([0] * 8 + [1] * 2)
    assert calibration_error(logits, truth) == pytest.approx(0, abs=1e-6)
    assert calibration_error(logits, np.zeros(10, np.int64)) == pytest.approx(0.2, abs=1e-6)
