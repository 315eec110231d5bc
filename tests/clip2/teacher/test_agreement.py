"""Words that a crop speaks against, and objects with several crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_clip import make_tiny_clip

from clip2.cli.main import main
from clip2.teacher import Teacher, TextBank, embed_triplets, load_features
from clip2.teacher.agreement import AGREEMENT, disagrees, find_disagreeing
from data_prep.errors import InputError
from data_prep.triplets import ObjectView, Provenance, Triplet, write_triplets

EYE = np.eye(4, dtype=np.float32)


def test_a_crop_disagrees_below_chance() -> None:
    # Four words; a crop at 60 degrees from its word and orthogonal to the others: exp(5 * 0.5) against three ones.
    image = np.array([[0.5, 0, 0, 0.0], [0, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    own = np.array([0, 0, 0])
    # Likely 12.2 / 15.2; 1/4 exactly, which is not below; 1 / (e^5 + 3).
    assert disagrees(image, own, EYE, 5.0).tolist() == [False, False, True]
    assert disagrees(image, own, EYE, 5.0, times_chance=3.5).tolist() == [True, True, True]


def test_only_what_can_be_judged_is() -> None:
    image = np.stack([EYE[0], EYE[1], EYE[1], EYE[1], EYE[1]]).astype(np.float16)
    rows = find_disagreeing(
        image,
        np.array([True, False, True, True, True]),
        ("chair", "mug", "object", "a picture of it"),
        EYE,
        [np.array(ids, np.int64) for ids in ([0, 3], [0], [2], [1], [0, 3])],
        10.0,
        1.0,
    )
    # 0 agrees, 1 has no crop, 2 is an "object", 3 is a mug that looks like one, 4 is a chair that looks like a mug.
    assert rows.tolist() == [4]


def cube(number: int, crops: list[np.ndarray], word: str = "chair") -> Triplet:
    points = np.random.default_rng(number).normal(size=(5, 3)).astype(np.float32)
    views = tuple(ObjectView(points, None, crop) for crop in crops[1:])
    first = crops[0] if crops else None
    return Triplet(f"t-{number}", points, None, first, (word,), Provenance(source="test", frame="0"), views)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (6, 10, 12, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path, pictures: list[np.ndarray]) -> Path:
    """One crop, three crops, none, two crops; in two shards."""
    groups = [pictures[:1], pictures[1:4], [], pictures[4:]]
    words = ("chair", "mug", "chair", "mug")
    triplets = [cube(number, crops, words[number]) for number, crops in enumerate(groups)]
    write_triplets(tmp_path / "set", triplets, source="test", objects_per_shard=2)
    return tmp_path / "set"


def test_several_crops_give_the_mean_direction(
    folder: Path, pictures: list[np.ndarray], tiny_teacher: Teacher
) -> None:
    report = embed_triplets(folder, tiny_teacher, batch_size=2)
    features = load_features(folder)
    assert features.image is not None
    assert features.crops.tolist() == [1, 3, 0, 2]
    assert (report.with_image, report.crops, report.disagreeing) == (3, 6, None)
    # The crops went through JPEG; the tiny CLIP moves with them, so the reference goes the same way.
    from data_prep.triplets import open_triplets

    for row, triplet in enumerate(open_triplets(folder)):
        if triplet.crops:
            mean = tiny_teacher.encode_images(triplet.crops).mean(axis=0)
            np.testing.assert_allclose(features.image[row], mean / np.linalg.norm(mean), atol=2e-3)
        else:
            assert (features.image[row] == 0).all()


def test_words_are_dropped_and_come_back(folder: Path, tiny_teacher: Teacher) -> None:
    embed_triplets(folder, tiny_teacher)
    strict = embed_triplets(folder, tiny_teacher, drop_disagreeing=1e9)  # nothing is that likely
    assert (strict.disagreeing, strict.without_text) == (3, 3)
    assert strict.shards_computed == 0, "the vectors are the same"
    features = load_features(folder)
    assert features.disagreeing.tolist() == [0, 1, 3]
    assert [len(ids) for ids in features.text_ids] == [0, 0, 1, 0]
    assert features.image_present.tolist() == [True, True, False, True], "they still teach by their picture"
    loose = embed_triplets(folder, tiny_teacher, drop_disagreeing=1e-9)
    assert (loose.disagreeing, loose.without_text) == (0, 0)
    assert embed_triplets(folder, tiny_teacher).disagreeing is None
    assert [len(ids) for ids in load_features(folder).text_ids] == [1, 1, 1, 1]


def test_a_judgement_of_other_shards_is_refused(folder: Path, tiny_teacher: Teacher) -> None:
    embed_triplets(folder, tiny_teacher, drop_disagreeing=1.0)
    (path,) = folder.glob(f"features/*/{AGREEMENT}")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "shards": "0" * 64}))
    with pytest.raises(InputError, match=r"agreement\.json: belongs to other shards"):
        load_features(folder)
    path.write_text("{")
    with pytest.raises(InputError, match=r"agreement\.json: cannot be read"):
        load_features(folder)


def test_a_bank_cannot_judge(folder: Path) -> None:
    bank = TextBank(("chair", "mug"), np.eye(2, dtype=np.float32), "ViT-B-32/openai")
    with pytest.raises(InputError, match="drop_disagreeing: needs crops"):
        embed_triplets(folder, bank=bank, drop_disagreeing=1.0)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_strictness_is_a_number_above_zero(folder: Path, tiny_teacher: Teacher, value: float) -> None:
    with pytest.raises(InputError, match="drop_disagreeing: is"):
        embed_triplets(folder, tiny_teacher, drop_disagreeing=value)


def test_the_command_reports_the_rate(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_tiny_clip(tmp_path / "clip")
    arguments = ["embed", str(folder), "--clip", clip, "--device", "cpu", "--drop-disagreeing", "1e9"]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["disagreeing"], report["crops"]) == (3, 6)
    assert main(arguments) == 0
    assert "3 (100.0%)" in capsys.readouterr().out


def test_the_command_asks_a_clip_not_a_bank(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "bank.npz", names=np.array(["chair"]), embeddings=np.array([[1, 0]], np.float32))
    arguments = [
        "embed",
        str(folder),
        "--bank",
        str(tmp_path / "bank.npz"),
        "--bank-model",
        "ViT-B-32/openai",
    ]
    assert main([*arguments, "--drop-disagreeing", "1"]) == 2
    assert "--drop-disagreeing: is for --clip" in capsys.readouterr().err
