"""Labels of a model whose teacher ships with the package: from its bank, else from the text tower."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.mini_stand_ins import WIDTH, WORDS, put_tiny_mini, put_tiny_mini_points

import clip2
from clip2.teacher import TextBank, TextSource
from clip2.teacher.bundled import BUNDLED, bundled_teacher
from clip2.teacher.text_with_tower import BankWithTower, own_text_source
from data_prep.errors import InputError


def source(teacher, tmp_path=None, **changes) -> BankWithTower:
    bank = TextBank.from_teacher(teacher, WORDS)
    return BankWithTower(
        **{
            "teacher": BUNDLED["mini"],
            "model": teacher.model,
            "width": WIDTH,
            "bank": bank,
            "templates": None,
            **changes,
        }
    )


def test_a_phrase_lands_where_the_teacher_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = put_tiny_mini(tmp_path, monkeypatch)
    text = source(teacher)
    assert isinstance(text, TextSource)
    asked = ["table", "something red to sit on", "chair"]
    assert text.embed_labels(asked) == pytest.approx(teacher.encode_texts(asked), abs=1e-6)
    spoken = source(teacher, bank=None).with_templates("ulip-64").embed_labels(asked)
    assert spoken == pytest.approx(teacher.encode_texts(asked, "ulip-64"), abs=1e-6)


def test_words_of_the_bank_keep_its_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = put_tiny_mini(tmp_path, monkeypatch)
    moved = np.roll(teacher.encode_texts(WORDS), 1, axis=0)  # what a bank says counts, even if it is odd
    text = source(teacher, bank=TextBank(WORDS, moved, teacher.model))
    assert np.array_equal(text.embed_labels(WORDS), moved)
    assert np.array_equal(text.embed_labels(["Traffic_Light"])[0], moved[3])
    assert text.names == WORDS


def test_the_tower_sleeps_while_the_bank_knows_the_words(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from clip2.teacher.text_bank import TextBank\n"
        "from clip2.teacher.text_with_tower import own_text_source\n"
        "bank = TextBank(('chair', 'table'), np.eye(2, 16, dtype=np.float32), 'mini@0')\n"
        "own_text_source('mini@0', 16, bank, None).embed_labels(['table'])\n"
        "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_tower_than_the_model_was_taught_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put_tiny_mini(tmp_path / "before", monkeypatch)
    text = source(before)
    now = put_tiny_mini(tmp_path / "now", monkeypatch, seed=1)
    assert len(text.embed_labels(WORDS)) == len(WORDS)  # needs no tower
    with pytest.raises(InputError) as error:
        text.embed_labels(["chair", "something red to sit on"])
    for part in ("something red to sit on", before.model, now.model):
        assert part in str(error.value)


def test_an_altered_tower_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = source(put_tiny_mini(tmp_path / "a", monkeypatch))
    folder = tmp_path / "b"
    put_tiny_mini(folder, monkeypatch)
    weights = folder / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match="checksum"):
        text.embed_labels(["something red to sit on"])


@pytest.mark.parametrize("labels", [[], [""], ["chair", "Chair"]])
def test_bad_lists_are_refused(labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError):
        source(put_tiny_mini(tmp_path, monkeypatch)).embed_labels(labels)


def test_prompts_of_the_bank_cannot_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = source(put_tiny_mini(tmp_path, monkeypatch))
    assert text.with_templates("clip2").templates == "clip2"
    with pytest.raises(InputError, match="ulip-64"):
        text.with_templates("ulip-64")
    with pytest.raises(InputError, match="unknown"):
        text.with_templates("clip3")


def test_only_a_bundled_teacher_has_a_tower() -> None:
    assert bundled_teacher("mini@0123456789ab") is BUNDLED["mini"]
    for other in ("mini", "ViT-B-32/openai", "minima/x", "minima@0123456789ab"):
        assert bundled_teacher(other) is None
    bank = TextBank(("chair",), np.eye(1, 16, dtype=np.float32), "ViT-B-32/openai")
    assert own_text_source("ViT-B-32/openai", 16, bank, None) is bank
    assert own_text_source("local-dir@0123456789ab", 16, None, None) is None
    by_name = own_text_source("ViT-B-32/openai", 16, None, "ulip-64")
    assert (by_name.model, by_name.width, by_name.templates) == ("ViT-B-32/openai", 16, "ulip-64")


def test_a_model_uses_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = put_tiny_mini_points(tmp_path, monkeypatch)
    model = clip2.load("mini-points")
    cloud = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    assert model.classify([cloud]).labels == WORDS
    asked = ("chair", "something red to sit on")
    assert model.classify([cloud], asked).labels == asked
    assert np.array_equal(model.classify([cloud], asked).scores, saved.classify([cloud], asked).scores)
    random = np.random.default_rng(1)
    scan = np.concatenate([random.uniform(-0.2, 0.2, (2000, 3)) + [x, 0, 0] for x in (0, 3, 6)])
    found = clip2.Recognizer(model).set_scan((scan, None))
    assert found.query().vocabulary == WORDS
    assert found.query(background="box").vocabulary == ("chair", "table", "traffic light")
    assert found.query("something red to sit on, chair").vocabulary == asked[::-1]
