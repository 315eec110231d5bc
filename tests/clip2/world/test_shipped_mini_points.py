"""``mini-points`` as it ships, on scenes of seeds that nothing else uses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clip2
from clip2.checkpoint import OOD_FILE, read_config
from clip2.teacher import Teacher
from clip2.teacher.embed import embed_triplets
from clip2.world.points.data import WorldSet, load_world, mine_world, world_scan
from clip2.world.points.score_card import EncoderCard, measure
from clip2.world.points.ship import FILES, SHIPPED
from data_prep.world import list_categories

FRESH_SEED = 40_009


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher.load("mini", precision="fp32")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, teacher: Teacher) -> WorldSet:
    folder = tmp_path_factory.mktemp("fresh")
    for setting, frames in (("room", 24), ("street", 6)):
        mine_world(world_scan(setting, frames, FRESH_SEED, detector="perfect"), folder / setting)  # type: ignore[arg-type]
        embed_triplets(folder / setting, teacher)
    return load_world([folder / "room", folder / "street"])


@pytest.fixture(scope="module")
def card(fresh: WorldSet, teacher: Teacher) -> EncoderCard:
    return measure(clip2.load("mini-points"), teacher, fresh)


def test_it_names_what_it_was_taught_as_well_as_its_teacher(card: EncoderCard) -> None:
    assert card.seen_objects > 150
    assert card.of_teacher > 0.95


def test_the_stated_accuracy_holds_in_other_scenes(card: EncoderCard) -> None:
    stated = json.loads((SHIPPED / "score_card.json").read_text())["seen"]
    # Objects of one scene are not independent: twice the error of independent ones, and three of those.
    noise = 2 * np.sqrt(stated * (1 - stated) / card.seen_objects)
    assert abs(card.seen - stated) < 3 * noise


def test_what_ships_is_whole_and_small(teacher: Teacher) -> None:
    config = read_config(SHIPPED)
    assert config.ood is not None
    names = [
        config.ood.file if name == OOD_FILE else name for name in FILES
    ]  # older releases named it otherwise
    assert sum((SHIPPED / name).stat().st_size for name in names) < 8e6
    assert config.model.teacher.name == teacher.model
    model = clip2.load("mini-points")
    assert model.text_bank is not None
    assert list(model.text_bank.names) == list_categories()
    assert model.ood_detector is not None


def test_model_card_states_the_figures_of_the_score_card() -> None:
    text = (SHIPPED / "README.md").read_text()
    figures = json.loads((SHIPPED / "score_card.json").read_text())
    assert "not CLIP" in text
    for key in ("seen", "teacher_seen", "unseen_pairs", "category_in_unseen_color"):
        assert f"{figures[key]:.1%}" in text


def test_nothing_of_objects_without_color_is_refused(fresh: WorldSet) -> None:
    model = clip2.load("mini-points")
    rows = np.flatnonzero(fresh.objects.has_color & (fresh.category >= 0) & fresh.clear)[:60]
    clouds = [fresh.objects.cloud(int(row))[0] for row in rows]
    answer = model.classify(clouds, list_categories())
    names = np.array(list_categories())[fresh.category[rows]]
    assert np.mean([top[0][0] == name for top, name in zip(answer.top(1), names, strict=True)]) > 0.4
