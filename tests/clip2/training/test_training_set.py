from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_clip import make_tiny_clip
from support.training_shapes import surface, unit_rows

from clip2.teacher import Teacher, TextBank, embed_triplets
from clip2.training import TrainingSet, load_training_set, pack
from clip2.training.dataset import combine
from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets import ObjectView, Provenance, Triplet, write_triplets
from data_prep.triplets.provenance import ViewRecord

MODEL = "ViT-B-32/openai"


def triplet(number: int, texts: tuple[str, ...], frame: int, colored: bool = False) -> Triplet:
    random = np.random.default_rng(number)
    points = surface(number % 3, random, 40 + number)
    return Triplet(
        key=f"t{number}",
        points=points,
        colors=random.integers(0, 256, points.shape, dtype=np.uint8) if colored else None,
        crop=random.integers(0, 256, (20, 16, 3), dtype=np.uint8) if number % 2 else None,
        texts=texts,
        provenance=Provenance(source="test", frame=f"{frame:06d}", center=(0.0, 0.0, 0.0)),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six objects of three frames; embedded with words only."""
    rows = [("chair", "seat"), ("Chair",), ("table",), ("chair",), ("table",), ("unheard of",)]
    triplets = [triplet(i, texts, i // 2, colored=i == 0) for i, texts in enumerate(rows)]
    write_triplets(tmp_path / "a", triplets, source="test", objects_per_shard=4)
    embed_triplets(tmp_path / "a", bank=TextBank(("chair", "seat", "table"), unit_rows(3), MODEL))
    return tmp_path / "a"


def words_of(data: TrainingSet, i: int) -> list[str]:
    return [data.texts[row] for row in data.own_texts[i] if row >= 0]


def test_a_folder_is_packed_as_it_is(folder: Path) -> None:
    data = load_training_set([folder])
    assert len(data) == 5
    assert dict(data.left_out) == {"no image, and no text with a vector": 1}
    assert [words_of(data, i) for i in range(5)] == [
        ["chair", "seat"],
        ["chair"],
        ["table"],
        ["chair"],
        ["table"],
    ]
    assert data.frames.tolist() == [0, 0, 1, 1, 2]
    assert data.has_color.tolist() == [True, False, False, False, False]
    assert data.images is None
    assert data.teacher.name == MODEL
    vectors = dict(zip(("chair", "seat", "table"), unit_rows(3), strict=True))
    for text, vector in zip(data.texts, data.text_vectors, strict=True):
        assert np.allclose(vector, vectors[text])
    original = triplet(3, ("chair",), 1).points
    points, colors = data.cloud(3)
    assert colors is None
    assert sorted(map(tuple, points.tolist())) == sorted(map(tuple, original.tolist()))


def test_pictures_are_rows_of_their_objects(tmp_path: Path) -> None:
    write_triplets(tmp_path / "a", [triplet(i, ("mug",), i) for i in range(4)], source="test")
    teacher = Teacher.load(make_tiny_clip(tmp_path / "clip"), device="cpu")
    embed_triplets(tmp_path / "a", teacher)
    data = load_training_set([tmp_path / "a"])
    assert data.image_present.tolist() == [False, True, False, True]
    assert data.images is not None
    crop = triplet(3, ("mug",), 3)
    assert crop.crop is not None
    # The crop went through a JPEG in between.
    assert (data.images[3].astype(np.float32) @ teacher.encode_images([crop.crop])[0]) > 0.99


def test_max_points_keeps_the_same_uniform_sample_every_time(folder: Path) -> None:
    small = load_training_set([folder], max_points=16)
    assert small.clouds.count.tolist() == [16] * 5
    assert small.fingerprint() == load_training_set([folder], max_points=16).fingerprint()
    assert small.fingerprint() != load_training_set([folder], max_points=17).fingerprint()


def test_folders_are_joined_word_by_word(folder: Path, tmp_path: Path) -> None:
    more = [triplet(i, texts, i, colored=True) for i, texts in enumerate([("table", "Chair"), ("lamp",)])]
    write_triplets(tmp_path / "b", more, source="test")
    names = ("lamp", "table", "chair")
    rows = np.stack([unit_rows(4)[3], unit_rows(3)[2], unit_rows(3)[0]])
    embed_triplets(tmp_path / "b", bank=TextBank(names, rows, MODEL))
    data = load_training_set([folder, tmp_path / "b"])
    assert len(data) == 7
    assert sorted(data.texts) == ["chair", "lamp", "seat", "table"]
    assert words_of(data, 5) == ["table", "chair"]
    assert words_of(data, 0) == ["chair", "seat"]
    assert data.frames.tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert data.has_color.tolist() == [True, False, False, False, False, True, True]


def test_folders_of_different_clips_are_refused() -> None:
    one = pack([(surface(0, np.random.default_rng(0)), None)] * 2, [[0], [0]], ["a"], unit_rows(1), MODEL)
    other = pack(
        [(surface(0, np.random.default_rng(0)), None)], [[0]], ["a"], unit_rows(1), "ViT-L-14/openai"
    )
    with pytest.raises(BadDatasetError, match=r"second: .*ViT-L-14/openai.*ViT-B-32/openai"):
        combine([one, other], ["first", "second"])


def ball(vectors: np.ndarray, templates: str | None = None, word: str = "chair") -> TrainingSet:
    cloud = surface(0, np.random.default_rng(0)), None
    return pack([cloud], [[0]], [word], vectors, MODEL, templates=templates)


def test_one_word_with_two_vectors_is_refused_naming_both_folders() -> None:
    with pytest.raises(BadDatasetError) as error:
        combine([ball(unit_rows(1)), ball(unit_rows(2)[1:], word="Chair")], ["first", "second"])
    assert "second: 'Chair': has a different vector in first" in str(error.value)
    rounded = unit_rows(1) + np.float32(2e-5)
    assert len(combine([ball(unit_rows(1)), ball(rounded)], ["first", "second"]).texts) == 1


def test_folders_of_different_prompts_are_refused() -> None:
    one, other = ball(unit_rows(1), "clip2"), ball(unit_rows(1), "ulip-64", word="table")
    with pytest.raises(BadDatasetError, match=r"second: templates: .*'ulip-64'.* first with 'clip2'"):
        combine([one, other], ["first", "second"])
    # A bank that does not say its prompts goes with any.
    assert combine([ball(unit_rows(1)), other], ["first", "second"]).teacher.templates == "ulip-64"


def test_prompts_travel_with_the_features(tmp_path: Path) -> None:
    write_triplets(tmp_path / "a", [triplet(i, ("mug",), i) for i in range(2)], source="test")
    embed_triplets(tmp_path / "a", Teacher.load(make_tiny_clip(tmp_path / "clip")), templates="ulip-64")
    assert load_training_set([tmp_path / "a"]).teacher.templates == "ulip-64"


def test_held_out_frames_share_nothing_with_training() -> None:
    frames = np.repeat(np.arange(10), 3)
    cloud = surface(0, np.random.default_rng(0)), None
    data = pack([cloud] * 30, [[0]] * 30, ["a"], unit_rows(1), MODEL, frames=frames.tolist())
    train, held_out = data.split(0.3, seed=0)
    assert len(held_out) == 9
    assert sorted([*train, *held_out]) == list(range(30))
    assert not set(frames[train]) & set(frames[held_out])
    assert data.split(0.0, seed=0)[1].size == 0
    assert len(data.split(0.01, seed=0)[1]) == 3  # at least one frame when any is asked for


def test_one_frame_cannot_be_split() -> None:
    data = pack(
        [(surface(0, np.random.default_rng(0)), None)] * 2,
        [[0]] * 2,
        ["a"],
        unit_rows(1),
        MODEL,
        frames=[0, 0],
    )
    with pytest.raises(BadDatasetError, match="hold_out"):
        data.split(0.5, seed=0)


def test_what_is_no_object_is_counted() -> None:
    good = surface(0, np.random.default_rng(0), 50)
    holed = good.copy()
    holed[3] = np.nan
    objects = [
        (good, None),
        (np.ones((5, 3), np.float32), None),
        (np.ones((7, 3), np.float32), None),
        (np.ones((1, 3), np.float32), None),
        (holed, None),
        (good, np.zeros((50, 3), np.float32)),
        (good.astype(np.int32), None),
    ]
    data = pack(objects, [[0]] * len(objects), ["a"], unit_rows(1), MODEL)  # type: ignore[arg-type]
    assert len(data) == 1
    assert dict(data.left_out) == {
        "all points are the same place": 2,
        "fewer than two points": 1,
        "points that are NaN or infinite": 1,
        "colors of another shape or type than (n, 3) uint8": 1,
        "points of another shape or type than (n, 3) float": 1,
    }


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(BadDatasetError, match="no object to learn from"):
        pack([(np.ones((5, 3), np.float32), None)], [[0]], ["a"], unit_rows(1), MODEL)
    with pytest.raises(InputError, match="no triplets given"):
        load_training_set([])


def test_a_folder_without_features_says_what_to_run(tmp_path: Path) -> None:
    write_triplets(tmp_path / "a", [triplet(0, ("mug",), 0)], source="test")
    with pytest.raises(InputError, match="clip2 embed"):
        load_training_set([tmp_path / "a"])


def test_the_views_of_an_associated_object_are_learned_with_its_targets(tmp_path: Path) -> None:
    looks = [surface(1, np.random.default_rng(seed), 30) for seed in range(2)]
    rows = [triplet(0, ("chair",), 0), triplet(1, ("table",), 1)]
    views = (ObjectView(looks[0], None, None), ObjectView(None, None, np.zeros((8, 8, 3), np.uint8)))
    rows[1] = replace(rows[1], views=(*views, ObjectView(looks[1], None, None)))
    records = (ViewRecord(frame="000001", center=(0.0, 0.0, 0.0)),) * 4
    rows[1] = replace(rows[1], provenance=replace(rows[1].provenance, views=records))
    folder = tmp_path / "a"
    write_triplets(folder, rows, source="test")
    embed_triplets(folder, bank=TextBank(("chair", "table"), unit_rows(2), MODEL))
    for cache in (False, True):
        whole = load_training_set([folder], cache=cache, max_points=64)
        data = load_training_set([folder], cache=cache, max_points=64, views=True)
        assert len(whole) == 2
        assert data.triplets.tolist() == [0, 1, 1, 1]
        assert [words_of(data, i) for i in range(4)] == [["chair"], ["table"], ["table"], ["table"]]
        assert data.frames.tolist() == [0, 1, 1, 1]
        assert [len(data.cloud(i)[0]) for i in range(4)] == [40, 41, 30, 30]
