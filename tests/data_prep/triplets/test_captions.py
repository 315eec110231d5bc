"""Words beyond the detector's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.triplet_stand_ins import mine_stand_ins

from data_prep.errors import InputError
from data_prep.triplets import open_triplets
from data_prep.triplets.captions import Captions, load_words

BOX = np.array([10, 10, 30, 30], np.float32)


def write_lines(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    return path


def test_a_caption_belongs_to_the_box_it_overlaps_by_half(tmp_path: Path) -> None:
    captions = Captions.load(
        write_lines(
            tmp_path / "captions.jsonl",
            {"image": "a.png", "box": [10, 10, 30, 28], "caption": "a chipped blue mug"},  # IoU 0.9
            {"image": "a.png", "box": [10, 10, 30, 19], "caption": "its rim"},  # IoU 0.45
            {"image": "b.png", "box": [10, 10, 30, 30], "caption": "another picture's"},
        )
    )
    assert captions.of("a.png", BOX, 7, "mug") == ("a chipped blue mug",)
    assert captions.of("a.png", BOX + 100, 7, "mug") == ()
    assert captions.of("c.png", BOX, 7, "mug") == ()


def test_a_caption_may_name_the_annotation(tmp_path: Path) -> None:
    captions = Captions.load(
        write_lines(tmp_path / "c.jsonl", {"image": "a.png", "detection": 7, "caption": " the mug of Ann "})
    )
    assert captions.of("a.png", BOX, 7, "mug") == ("the mug of Ann",)
    assert captions.of("a.png", BOX, 8, "mug") == ()


def test_templates_come_after_what_was_written_for_the_crop(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.jsonl", {"image": "a.png", "detection": 7, "caption": "Ann's"})
    captions = Captions.load(path, templates=("a photo of a {}",))
    assert captions.of("a.png", BOX, 7, "mug") == ("Ann's", "a photo of a mug")


def test_mined_triplets_hold_word_caption_and_template(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "c.jsonl", {"image": "images/000.png", "detection": 11, "caption": "red mug"}
    )
    captions = Captions.load(path, templates=("a {} in a room",))
    mine_stand_ins(tmp_path / "out", count=1, captions=captions)
    texts = [triplet.texts for triplet in open_triplets(tmp_path / "out")]
    assert texts[:2] == [
        ("mug", "red mug", "a mug in a room"),
        ("traffic light", "a traffic light in a room"),
    ]


def test_other_captions_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "out", count=1, captions=Captions.load(templates=("a {}",)))
    with pytest.raises(InputError, match="captions"):
        mine_stand_ins(tmp_path / "out", count=1, captions=Captions.load(templates=("the {}",)))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: is not a JSON object"),
        ('{"image": "a.png", "caption": "x"}', "line 2: has the box None"),
        ('{"image": "a.png", "box": [3, 3, 1, 9], "caption": "x"}', "line 2: has the box"),
        ('{"image": "a.png", "box": [3, 3, 9, 9], "caption": " "}', "line 2: has no image or no caption"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"image": "a.png", "detection": 1, "caption": "fine"}\n' + line + "\n")
    with pytest.raises(InputError, match="captions.jsonl: " + problem) as caught:
        Captions.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "a {} of {name}"])
def test_a_template_has_one_place_for_the_word(template: str) -> None:
    with pytest.raises(InputError, match="template"):
        Captions.load(templates=(template,))


def test_a_missing_caption_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Captions.load(tmp_path / "none.jsonl")


def test_synonyms_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"pedestrian": ["person", "human"], "misc": [], "Car": "automobile"}))
    assert load_words(path) == {"pedestrian": ("person", "human"), "misc": (), "Car": ("automobile",)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[1]", "is not a JSON object"), ("{", "cannot be read"), ('{"car": [3]}', "car: is")],
)
def test_a_wrong_word_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"words.json: {problem}"):
        load_words(path)
