"""Mined triplets of the synthetic world, and what is kept out of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clip2.model_config import TeacherSpec
from clip2.teacher import Teacher
from clip2.teacher.embed import embed_triplets
from clip2.world.points.data import (
    WorldSet,
    draw_unseen,
    is_kept_out,
    kept_out_pairs,
    load_world,
    mine_world,
    world_scan,
)
from clip2.world.points.score_card import measure
from clip2.world.points.study import rows_to_learn
from clip2.world.teacher.pictures import is_held_out
from data_prep.world import list_categories
from data_prep.world.palette import COLORS


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher.load("mini", precision="fp32")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, teacher: Teacher) -> WorldSet:
    folder = tmp_path_factory.mktemp("world") / "room"
    mine_world(world_scan("room", 6, 5, assemblies=15), folder)
    embed_triplets(folder, teacher)
    return load_world([folder])


def test_most_words_of_the_detector_are_true(world: WorldSet) -> None:
    named = (world.category >= 0) & (world.objects.own_texts[:, 0] >= 0)
    said = np.array(world.objects.texts)[world.objects.own_texts[named, 0]]
    true = np.array(list_categories())[world.category[named]]
    assert named.sum() > 30
    assert 0.7 < (said == true).mean() < 1.0  # it has flaws


def test_nameless_things_have_a_picture_and_no_truth(world: WorldSet) -> None:
    nameless = world.objects.own_texts[:, 0] < 0
    assert nameless.any()
    assert world.objects.image_present[nameless].all()
    assert (world.category[nameless] < 0).mean() > 0.5
    assert ((world.color < 0) == (world.category < 0)).all()


def test_selecting_keeps_each_object_whole(world: WorldSet) -> None:
    rows = np.array([7, 2, 11])
    chosen = world.select(rows)
    for new, old in enumerate(rows):
        for got, expected in zip(chosen.objects.cloud(new), world.objects.cloud(int(old)), strict=True):
            assert np.array_equal(got, expected)  # type: ignore[arg-type]
    assert np.array_equal(chosen.category, world.category[rows])
    assert len(world.select(np.arange(0))) == 0


def test_nothing_of_a_kept_out_category_is_learned(world: WorldSet) -> None:
    names = list_categories()
    unseen = [names[world.category[world.category >= 0][0]], "truck"]
    kept = world.select(rows_to_learn(world, unseen))
    assert 0 < len(kept) < len(world)
    assert not np.isin(kept.category, [names.index(name) for name in unseen]).any()
    learned = kept.objects.without_texts(unseen)
    assert not set(unseen) & set(learned.texts)
    for row in range(len(kept)):
        before = [kept.objects.texts[i] for i in kept.objects.own_texts[row] if i >= 0]
        after = [learned.texts[i] for i in learned.own_texts[row] if i >= 0]
        assert before == after
    known = kept.category >= 0
    assert not kept_out_pairs()[kept.category[known], kept.color[known]].any()


def test_words_of_a_detector_that_confuses_are_kept_out_too(world: WorldSet) -> None:
    said = int(world.objects.own_texts[world.objects.own_texts[:, 0] >= 0][0, 0])
    unseen = [world.objects.texts[said]]
    left = world.objects.own_texts[rows_to_learn(world, unseen)]
    assert not (left == said).any()


def test_draws_share_no_category_and_teacher_and_pupil_no_secret() -> None:
    draws = [draw_unseen(draw) for draw in range(3)]
    assert all(len(draw) == 4 and draw == sorted(draw) for draw in draws)
    assert len({name for draw in draws for name in draw}) == 12
    both = [
        (name, color)
        for name in list_categories()
        for color in COLORS
        if is_kept_out(name, color) and is_held_out(name, color)
    ]
    assert len(both) < 20  # of 803; two independent tenths
    assert 0.07 < kept_out_pairs().mean() < 0.13


class _Echo:
    """A model whose points are the teacher's own picture vectors."""

    def __init__(self, world: WorldSet, teacher: Teacher) -> None:
        rows = np.flatnonzero(world.category >= 0)
        images = world.objects.images
        assert images is not None
        self._vectors = torch.from_numpy(images[rows].astype(np.float32))
        self.teacher = TeacherSpec(name=teacher.model, width=teacher.width, templates=teacher.templates)

    def encode(self, clouds: list[Any], colors: list[Any]) -> torch.Tensor:
        assert len(clouds) == len(colors) == len(self._vectors)
        return self._vectors


def test_a_pupil_equal_to_its_teacher_scores_as_the_teacher(world: WorldSet, teacher: Teacher) -> None:
    names = list_categories()
    present = sorted({names[c] for c in world.category if c >= 0})[:4]
    card = measure(_Echo(world, teacher), teacher, world, present, clear=False)  # type: ignore[arg-type]
    assert card.seen == card.teacher_seen
    assert card.of_teacher == 1
    assert card.unseen_pairs == card.teacher_unseen_pairs
    assert card.unseen_among_unseen is not None
    assert card.unseen_among_all is not None
    assert card.unseen_among_unseen >= card.unseen_among_all
    assert card.seen_objects + card.unseen_objects + card.pair_objects == (world.category >= 0).sum()


def test_changed_triplets_are_looked_up_again(tmp_path: Path, teacher: Teacher) -> None:
    folder = tmp_path / "street"
    mine_world(world_scan("street", 2, 5), folder)
    embed_triplets(folder, teacher)
    first = load_world([folder])
    np.savez(folder / "truth.npz", category=np.zeros(1, np.int64), color=np.zeros(1, np.int64))
    assert np.array_equal(load_world([folder]).category, first.category)
    assert not first.objects.has_color.any()


def test_exact_boxes_tell_what_shows_well(tmp_path: Path, teacher: Teacher) -> None:
    folder = tmp_path / "room"
    mine_world(world_scan("room", 2, 9, detector="perfect"), folder)
    embed_triplets(folder, teacher)
    exact = load_world([folder])
    assert (exact.category >= 0).all()
    assert 0.2 < exact.clear.mean() < 0.95
    assert exact.objects.clouds.count[exact.clear].min() > 30
