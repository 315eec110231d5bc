"""What the embedded teacher learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip2.world.teacher.batches import Batches, Mixture, augment
from clip2.world.teacher.captions import KINDS, Caption, Captioner, true_of
from clip2.world.teacher.pictures import Pictures, Pool, draw_objects, draw_scene, is_held_out
from data_prep.world import get_category, list_categories
from data_prep.world.palette import COLORS


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    names = len(list_categories())
    return Pictures.join([draw_objects(5, range(names), views=2), draw_scene("room", 400, [0])])


def equal(a: Pictures, b: Pictures) -> bool:
    arrays = ("images", "masks", "boxes", "category", "color", "in_scene")
    return a.words == b.words and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays)


def test_an_object_is_the_same_whatever_is_drawn_with_it() -> None:
    together, alone = draw_objects(3, range(10, 14), views=1), draw_objects(3, [12], views=1)
    assert np.array_equal(together.images[2], alone.images[0])
    assert not np.array_equal(alone.images, draw_objects(4, [12], views=1).images)


def test_no_picture_to_learn_from_shows_a_held_out_pair(pictures: Pictures) -> None:
    names, colors = list_categories(), list(COLORS)
    seen = {(names[c], colors[k]) for c, k in zip(pictures.category, pictures.color, strict=True)}
    assert len(seen) > 60
    assert not any(is_held_out(*pair) for pair in seen)
    kept = draw_objects(5, range(73), views=1, held_out=True)
    assert all(is_held_out(names[c], colors[k]) for c, k in zip(kept.category, kept.color, strict=True))


def test_about_a_tenth_of_all_pairs_is_held_out_and_no_color_or_most_of_a_category() -> None:
    table = np.array([[is_held_out(name, color) for color in COLORS] for name in list_categories()])
    assert 0.07 < table.mean() < 0.13
    assert table.mean(axis=0).max() < 0.25
    assert table.mean(axis=1).max() < 0.5


def test_masks_and_boxes_agree(pictures: Pictures) -> None:
    masks = np.unpackbits(pictures.masks, axis=-1).astype(bool)
    for mask, box in zip(masks, pictures.boxes.astype(int), strict=True):
        x0, y0, x1, y1 = box
        assert mask[y0:y1, x0:x1].sum() == mask.sum() > 0
        assert mask[y0].any()
        assert mask[:, x1 - 1].any()


def test_pool_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    pools = [Pool(tmp_path / str(n), objects=20, rooms=1, streets=1, seed=9) for n in (1, 2)]
    assert [len(list(pool.draw(workers))) for pool, workers in zip(pools, (1, 2), strict=True)] == [3, 3]
    assert equal(pools[0].load(), pools[1].load())
    assert list(pools[0].draw()) == []  # nothing is drawn twice


def test_captions_are_true_of_their_own_pictures(pictures: Pictures) -> None:
    rng, captioner = np.random.default_rng(0), Captioner()
    rows = np.arange(len(pictures))
    for _ in range(5):
        captions = [
            captioner.write(int(pictures.category[i]), int(pictures.color[i]), pictures.words[i], rng)
            for i in rows
        ]
        assert true_of(captions, pictures, rows, np.ones(len(rows), bool)).diagonal().all()


def test_a_caption_without_color_is_true_of_its_category_in_any_color(pictures: Pictures) -> None:
    row = int(pictures.category[0])
    plain, red = (
        Caption("a thing", (row,), -1, ""),
        Caption("a red thing", (row,), list(COLORS).index("red"), ""),
    )
    rows = np.arange(len(pictures))
    true = true_of([plain, red], pictures, rows, np.ones(len(rows), bool))
    assert np.array_equal(true[0], pictures.category == row)
    assert np.array_equal(true[1], true[0] & (pictures.color == list(COLORS).index("red")))
    hidden = true_of([red], pictures, rows, np.zeros(len(rows), bool))
    assert (
        not hidden.any()
    )  # its color cannot be judged, and the caption is not about the picture as it is shown


def test_kinds_name_categories_that_exist() -> None:
    assert {name for members in KINDS.values() for name in members} <= set(list_categories())
    synonyms = {word for name in list_categories() for word in get_category(name).synonyms}
    assert not {kind.removeprefix("a ") for kind in KINDS} & (synonyms | set(list_categories()))


def test_augmented_pictures_keep_the_object_and_say_when_its_color_is_gone(pictures: Pictures) -> None:
    rows = np.arange(64)
    images, shown = augment(pictures, rows, np.random.default_rng(1))
    again, _ = augment(pictures, rows, np.random.default_rng(1))
    assert images.shape == (64, 3, 64, 64)
    assert torch.equal(images, again)
    assert images.min() >= -2.01
    assert images.max() <= 2.01
    assert 0.5 < shown.mean() < 0.95


def test_batches_pair_every_picture_with_its_words(pictures: Pictures) -> None:
    def tokenize(sentences: list[str]) -> torch.Tensor:
        return torch.tensor([[hash(sentence) % 1000] for sentence in sentences])

    mixture = Mixture(batch_size=32, colored_categories=3)
    batches = Batches(pictures, tokenize, 4, 0, mixture, alone=2)
    silent, spoken = batches[1], batches[2]
    assert len(silent.texts) == 0
    assert spoken.also_true.diagonal().all()
    assert len(spoken.texts) > 32 + len(list_categories())
    colored = len(spoken.texts) - 32 - len(list_categories())
    assert spoken.pairs.max() < colored
    assert torch.equal(spoken.images, batches[2].images)
