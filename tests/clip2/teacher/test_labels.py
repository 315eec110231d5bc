"""Label lists: duplicates, empty entries and spelling variants."""

from __future__ import annotations

import pytest

from clip2.labels import normalize_label, parse_labels
from clip2.teacher import canonical_model
from data_prep.errors import InputError


@pytest.mark.parametrize(
    "given, expected",
    [
        ("mug, bottle", ("mug", "bottle")),
        (["Traffic_Light", " cup "], ("Traffic_Light", "cup")),
        (["boots, leather"], ("boots, leather",)),
        (("night  stand",), ("night stand",)),
    ],
)
def test_words_keep_their_spelling(given: str | list[str], expected: tuple[str, ...]) -> None:
    assert parse_labels(given) == expected


@pytest.mark.parametrize("given", ["", "  ", " , ", [], [""]])
def test_no_words_are_refused(given: str | list[str]) -> None:
    with pytest.raises(InputError, match="is empty"):
        parse_labels(given)


def test_an_empty_word_between_commas_is_refused() -> None:
    with pytest.raises(InputError, match="label 2 of 3 is empty"):
        parse_labels("mug,,bottle")


@pytest.mark.parametrize(
    "given, said",
    [
        ("mug,cup,mug", "'mug' is given twice"),
        ("night_stand,Night Stand", "'night_stand' and 'Night Stand' are the same label"),
    ],
)
def test_one_word_twice_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_labels(given)


def test_the_list_is_named_in_the_error() -> None:
    with pytest.raises(InputError, match=r"^--labels: "):
        parse_labels("", source="--labels")


def test_spellings_of_one_word_normalize_alike() -> None:
    assert len({normalize_label(word) for word in ("TV_set", "tv set", " Tv  SET")}) == 1


@pytest.mark.parametrize(
    "alias, name",
    [
        ("ViT-B/32", "ViT-B-32/openai"),
        ("ViT-L/14@336px", "ViT-L-14-336/openai"),
        ("ViT-B-32-quickgelu/openai", "ViT-B-32/openai"),
        ("ViT-B-16-quickgelu/dfn2b", "ViT-B-16/dfn2b"),
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32/laion2b_s34b_b79k"),
    ],
)
def test_names_of_one_space_are_one_name(alias: str, name: str) -> None:
    assert canonical_model(alias) == name
