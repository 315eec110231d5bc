"""Labels and captions beyond the detector's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.triplet_stand_ins import mine_stand_ins

from data_prep.config import parse_config
from data_prep.errors import InputError
from data_prep.triplets import MiningConfig, open_triplets
from data_prep.triplets.captions import Captions, load_label_map

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
    assert captions.of("a.png", BOX, 7) == ("a chipped blue mug",)
    assert captions.of("a.png", BOX + 100, 7) == ()
    assert captions.of("c.png", BOX, 7) == ()


def test_a_caption_may_name_the_annotation(tmp_path: Path) -> None:
    captions = Captions.load(
        write_lines(tmp_path / "c.jsonl", {"image": "a.png", "detection": 7, "caption": " the mug of Ann "})
    )
    assert captions.of("a.png", BOX, 7) == ("the mug of Ann",)
    assert captions.of("a.png", BOX, 8) == ()


def test_mined_triplets_hold_label_caption_and_template_in_this_order(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "c.jsonl", {"image": "images/000.png", "detection": 11, "caption": "red mug"}
    )
    settings = {"captions": Captions.load(path), "caption_templates": ("a {} in a room",)}
    mine_stand_ins(tmp_path / "out", count=1, **settings)
    texts = [triplet.texts for triplet in open_triplets(tmp_path / "out")]
    assert texts[:2] == [
        ("mug", "red mug", "a mug in a room"),
        ("traffic light", "a traffic light in a room"),
    ]


def test_other_captions_in_the_same_folder_are_rejected(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "out", count=1, caption_templates=("a {}",))
    with pytest.raises(InputError, match=r"mining\.caption_templates: was"):
        mine_stand_ins(tmp_path / "out", count=1, caption_templates=("the {}",))
    path = write_lines(tmp_path / "c.jsonl", {"image": "a.png", "detection": 7, "caption": "a mug"})
    with pytest.raises(InputError, match="captions_sha256: is not what it was"):
        mine_stand_ins(tmp_path / "out", count=1, caption_templates=("a {}",), captions=Captions.load(path))


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
def test_a_template_has_one_place_for_the_label(template: str) -> None:
    with pytest.raises(InputError, match=r"mining: caption_templates: .* has not exactly one \{\}"):
        parse_config(MiningConfig, {"caption_templates": [template]}, source="mining")


def test_a_missing_caption_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Captions.load(tmp_path / "none.jsonl")


def test_synonyms_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"pedestrian": ["person", "human"], "misc": [], "Car": "automobile"}))
    assert load_label_map(path) == {"pedestrian": ("person", "human"), "misc": (), "Car": ("automobile",)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[1]", "is not a JSON object"), ("{", "cannot be read"), ('{"car": [3]}', "car: is")],
)
def test_a_wrong_label_map_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"labels.json: {problem}"):
        load_label_map(path)
