"""Cached features: right vectors for the right triplets, never twice, never stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from clip2.teacher import Teacher, TextBank, embed_triplets, load_features
from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets import Provenance, Triplet, open_triplets, write_triplets

WORDS = ("chair", "mug", "Night_Stand")


def triplet(number: int, crop: bool = True, texts: tuple[str, ...] | None = None) -> Triplet:
    random = np.random.default_rng(number)
    image = random.integers(0, 256, (8 + number, 12, 3), dtype=np.uint8) if crop else None
    points = random.normal(size=(5, 3)).astype(np.float32)
    words = texts or (WORDS[number % 3],)
    return Triplet(f"t-{number}", points, None, image, words, Provenance(source="test", frame=str(number)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten triplets in four shards; number 4 has no crop."""
    triplets = [triplet(number, crop=number != 4) for number in range(10)]
    write_triplets(tmp_path / "set", triplets, source="test", objects_per_shard=3)
    return tmp_path / "set"


@pytest.fixture
def bank() -> TextBank:
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0]], np.float32)
    return TextBank(("chair", "night stand", "cup"), vectors, "ViT-B-32/openai")


def test_each_triplet_has_its_own_vectors(folder: Path, tiny_teacher: Teacher) -> None:
    report = embed_triplets(folder, tiny_teacher)
    features = load_features(folder)
    assert features.image is not None
    assert (len(features), features.width, features.model) == (10, 32, tiny_teacher.model)
    assert features.image_present.tolist() == [number != 4 for number in range(10)]
    assert (features.image[4] == 0).all()
    for number, sample in enumerate(open_triplets(folder)):
        (row,) = features.text_ids[number]
        expected = tiny_teacher.encode_texts(list(sample.texts))[0]
        np.testing.assert_allclose(features.text_embeddings[row], expected, atol=1e-6)
        if sample.crop is not None:
            vector = tiny_teacher.encode_images([sample.crop])[0]
            np.testing.assert_allclose(features.image[number], vector, atol=1e-3)
    assert (report.objects, report.with_image, report.without_text, report.texts) == (10, 9, 0, 3)
    assert (report.shards_computed, report.shards_kept) == (4, 0)


def test_spellings_of_one_word_share_a_row(tmp_path: Path, tiny_teacher: Teacher) -> None:
    said = [("Traffic_Light", "lamp"), ("traffic light",), ("LAMP", "lamp", "Traffic light")]
    triplets = [triplet(number, texts=texts) for number, texts in enumerate(said)]
    write_triplets(tmp_path / "set", triplets, source="test", objects_per_shard=1)
    embed_triplets(tmp_path / "set", tiny_teacher)
    features = load_features(tmp_path / "set")
    assert features.texts == ("Traffic_Light", "lamp")
    assert [ids.tolist() for ids in features.text_ids] == [[0, 1], [0], [1, 0]]


def test_a_bank_embeds_words_only_and_says_what_it_lacks(folder: Path, bank: TextBank) -> None:
    report = embed_triplets(folder, bank=bank)
    features = load_features(folder)
    assert features.image is None
    assert not features.image_present.any()
    assert features.texts == ("chair", "Night_Stand")
    np.testing.assert_array_equal(features.text_embeddings, bank.embeddings[:2])
    assert [ids.tolist() for ids in features.text_ids[:3]] == [[0], [], [1]]
    assert features.usable.tolist() == [number % 3 != 1 for number in range(10)]
    assert dict(features.unknown_texts) == {"mug": 3}
    assert (report.without_text, dict(report.unknown_texts)) == (3, {"mug": 3})


def test_a_killed_run_is_continued_where_it_stopped(tmp_path: Path, tiny_teacher: Teacher) -> None:
    """And ends with the same bytes as a run that was never killed."""
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    triplets = [triplet(number, texts=("chair", f"word {number}")) for number in range(10)]
    for path in (folder, whole):
        write_triplets(path, triplets, source="test", objects_per_shard=3)

    def kill(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_triplets(folder, tiny_teacher, progress=kill)
    with pytest.raises(InputError, match=r"2 of 4 have no features.*first shard-000002\.tar.*clip2 embed"):
        load_features(folder)
    report = embed_triplets(folder, tiny_teacher)
    assert (report.shards_computed, report.shards_kept) == (2, 2)
    embed_triplets(whole, tiny_teacher)
    files = [file for file in sorted((whole / "features").rglob("*")) if file.is_file()]
    assert len(files) == 5
    for file in files:
        assert (folder / file.relative_to(whole)).read_bytes() == file.read_bytes()


def test_a_second_run_computes_nothing(folder: Path, tiny_teacher: Teacher) -> None:
    embed_triplets(folder, tiny_teacher)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.safetensors")}
    assert embed_triplets(folder, tiny_teacher).shards_computed == 0
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.safetensors")} == before


def test_mined_again_means_embedded_again(folder: Path, bank: TextBank, tmp_path: Path) -> None:
    """Shard 1 changes and shard 3 goes; shards 0 and 2 stay as they were."""
    embed_triplets(folder, bank=bank)
    changed = [triplet(number, texts=("cup",) if number == 4 else None) for number in range(9)]
    write_triplets(tmp_path / "new", changed, source="test", objects_per_shard=3)
    shutil.copytree(folder / "features", tmp_path / "new" / "features")
    with pytest.raises(InputError, match=r"mined again, first shard-000001\.tar.*clip2 embed"):
        load_features(tmp_path / "new")
    report = embed_triplets(tmp_path / "new", bank=bank)
    assert (report.shards_computed, report.shards_kept) == (1, 2)
    assert load_features(tmp_path / "new").texts == ("chair", "Night_Stand", "cup")
    assert len(list((tmp_path / "new" / "features").rglob("*.safetensors"))) == 3


def test_half_written_and_damaged_files_are_made_again(folder: Path, bank: TextBank) -> None:
    embed_triplets(folder, bank=bank)
    first, second = sorted((folder / "features").rglob("*.safetensors"))[:2]
    first.write_bytes(first.read_bytes()[:40])
    second.unlink()
    (second.parent / f".{second.name}.part").write_bytes(b"half")
    assert embed_triplets(folder, bank=bank).shards_computed == 2
    assert not list((folder / "features").rglob("*.part"))


def test_several_sets_live_beside_one_another(folder: Path, bank: TextBank, tiny_teacher: Teacher) -> None:
    embed_triplets(folder, bank=bank)
    embed_triplets(folder, tiny_teacher)
    embed_triplets(folder, tiny_teacher, templates="plain")
    assert load_features(folder, "ViT-B/32").model == "ViT-B-32/openai"
    with pytest.raises(InputError, match="has 3 sets of features"):
        load_features(folder)
    with pytest.raises(InputError, match=r"has 2 sets.*\.clip2\..*\.plain\."):
        load_features(folder, tiny_teacher.model)
    (plain,) = (path.name for path in (folder / "features").glob("*.plain.*"))
    assert load_features(folder, plain).templates == "plain"
    with pytest.raises(InputError, match="no features of 'ViT-L-14/openai', only "):
        load_features(folder, "ViT-L-14/openai")


def test_folders_without_features_or_triplets(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no features.*clip2 embed"):
        load_features(folder)
    with pytest.raises(BadDatasetError, match=r"manifest\.json"):
        load_features(tmp_path)


def test_a_spoiled_index_is_named(folder: Path, bank: TextBank) -> None:
    embed_triplets(folder, bank=bank)
    (index,) = folder.rglob("index.json")
    for spoiled, said in [
        ("{", "cannot be read"),
        ("[]", "format: is not a clip2-features file"),
        ("{}", "format: is not a clip2-features file"),
    ]:
        index.write_text(spoiled)
        with pytest.raises(InputError, match=rf"index\.json: {said}"):
            load_features(folder)
    index.write_text('{"format": "clip2-features", "version": 99}')
    with pytest.raises(InputError, match="version: is 99, this release reads 1"):
        load_features(folder)


@pytest.mark.parametrize("which", ["neither", "both"])
def test_one_source_of_vectors_at_a_time(
    folder: Path, bank: TextBank, tiny_teacher: Teacher, which: str
) -> None:
    sources = {} if which == "neither" else {"teacher": tiny_teacher, "bank": bank}
    with pytest.raises(InputError, match="either a CLIP model or a text bank"):
        embed_triplets(folder, **sources)


def test_unknown_prompts_are_refused_before_any_work(folder: Path, tiny_teacher: Teacher) -> None:
    with pytest.raises(InputError, match="'best' is unknown"):
        embed_triplets(folder, tiny_teacher, templates="best")
    assert not (folder / "features").exists()


def test_features_never_hide_the_shards(folder: Path, bank: TextBank) -> None:
    embed_triplets(folder, bank=bank)
    open_triplets(folder).verify()
    assert len(list(open_triplets(folder))) == 10
