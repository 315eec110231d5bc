"""Word lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.detect.vocabulary import Vocabulary, list_vocabularies
from data_prep.errors import InputError


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("coco", 80, "person", "toothbrush"),
        ("lvis", 1203, "aerosol_can", "zucchini"),
        ("objects365", 365, "person", "table tennis ball"),
        ("nuscenes", 10, "car", "barrier"),
        ("nuscenes23", 23, "animal", "truck"),
        ("scannet200", 200, "wall", "mattress"),
    ],
)
def test_lists_have_as_many_words_as_their_datasets(name: str, count: int, first: str, last: str) -> None:
    vocabulary = Vocabulary.load(name)
    assert (len(vocabulary.labels), vocabulary.labels[0], vocabulary.labels[-1]) == (count, first, last)


def test_every_list_that_ships_can_be_read() -> None:
    for name in list_vocabularies():
        assert len(Vocabulary.load(name).labels) > 0


@pytest.mark.parametrize("name", ["coco", "lvis"])
def test_lists_are_those_that_published_vectors_were_made_for(name: str, real_data: Path) -> None:
    with np.load(real_data / f"clip/ovdet_{name}_prompt_ensemble.npz") as bank:
        assert Vocabulary.load(name).labels == tuple(str(word) for word in bank["names"])


def test_a_file_may_ask_for_other_phrases_than_its_labels(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(
        "\ufeff# people first\n\npedestrian = person, walker  # both\ntraffic_cone\n", encoding="utf-8"
    )
    vocabulary = Vocabulary.load(str(file))
    assert vocabulary.labels == ("pedestrian", "traffic_cone")
    assert vocabulary.queries() == (("person", "walker", "traffic cone"), (0, 0, 1))
    assert vocabulary.describe()["name"] == "mine.txt"


def test_what_is_asked_for_decides_the_hash() -> None:
    assert Vocabulary.load("mug,cup").describe() == Vocabulary.load(" mug , cup").describe()
    assert Vocabulary.load("mug,cup").describe() != Vocabulary.load("cup,mug").describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mug, Mug", "vocabulary: 'Mug' comes twice (first as 'mug')"),
        (",", "holds no labels"),
        ("mug=,cup", "has an empty phrase beside 'mug'"),
        ("words.txt", "words.txt: vocabulary: does not exist"),
        ("scannet20", "'scannet20' is not a list (there are coco, "),
        (
            "scannet20",
            "Fix: did you mean scannet200? Give your own file by its path, labels with commas",
        ),
    ],
)
def test_unusable_words_are_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        Vocabulary.load(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_word_that_looks_like_a_list_is_meant_where_a_comma_says_so() -> None:
    assert Vocabulary.load("cocoa,").labels == ("cocoa",)
    with pytest.raises(InputError, match=r"did you mean coco.*: cocoa,$"):
        Vocabulary.load("cocoa")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\x00mug")
    with pytest.raises(InputError, match=r"words\.txt: vocabulary: cannot be read"):
        Vocabulary.load(str(tmp_path / "words.txt"))
