"""``clip2 embed`` as it is called from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_clip import make_tiny_clip

from clip2.cli.main import main
from clip2.teacher import TextBank, load_features
from data_prep.triplets import Triplet, write_triplets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four triplets in two shards: chair, mug, chair, mug; the last has no crop."""
    random = np.random.default_rng(0)
    triplets = [
        Triplet(
            key=f"t-{number}",
            points=random.normal(size=(4, 3)).astype(np.float32),
            colors=None,
            crop=None if number == 3 else random.integers(0, 256, (9, 7, 3), dtype=np.uint8),
            texts=(("chair", "mug")[number % 2],),
        )
        for number in range(4)
    ]
    write_triplets(tmp_path / "set", triplets, source="test", objects_per_shard=2)
    return tmp_path / "set"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A bank as published ones are: it knows chairs, and does not say its model."""
    np.savez(tmp_path / "bank.npz", names=np.array(["chair"]), embeddings=np.array([[1, 0]], np.float32))
    return tmp_path / "bank.npz"


def test_with_a_clip_crops_and_words_are_embedded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_tiny_clip(tmp_path / "clip")
    arguments = ["embed", str(folder), "--clip", clip, "--templates", "ulip-64", "--device", "cpu", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["objects"], report["with_image"], report["without_text"], report["width"]) == (4, 3, 0, 32)
    assert (report["shards_computed"], report["shards_kept"]) == (2, 0)
    features = load_features(folder)
    assert features.templates == "ulip-64"
    assert features.image is not None
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["shards_kept"] == 2


def test_with_a_bank_it_says_what_is_missing(
    folder: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(folder), "--bank", str(bank), "--bank-model", "ViT-B/32"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "ViT-B-32/openai" in out
    assert "training on this set uses texts alone" in out
    assert "no vector for mug (2); 2 triplets have no text with a vector" in out
    assert load_features(folder, "ViT-B-32/openai").texts == ("chair",)


@pytest.mark.parametrize(
    "options, said",
    [
        ([], "--clip, --bank and --points: are all missing"),
        (["--clip", "ViT-B-32/openai", "--bank", "BANK"], "--clip and --bank: exclude each other"),
        (["--clip", "ViT-B-32/openai", "--bank-model", "ViT-B/32"], "needs --bank"),
        (["--bank", "BANK", "--clip-model", "ViT-B/32"], "needs --clip"),
        (["--bank", "BANK", "--templates", "plain"], "--templates: is for --clip"),
        (["--clip", "ViT-B-32", "--templates", "best"], "needs a TAG"),
        (["--bank", "BANK"], "does not state the CLIP model"),
        (["--bank", "nowhere.npz"], "nowhere.npz: does not exist"),
        (["--bank", "BANK", "--bank-model", "ViT-B/32", "--batch-size", "0"], "batch_size: is 0"),
        (["--points", "mini-points", "--templates", "plain"], "--templates: is stated by"),
        (["--clip", "ViT-B-33/openai"], "no model 'ViT-B-33'"),
    ],
)
def test_wrong_options_are_one_line(
    folder: Path, bank: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["embed", str(folder), *(str(bank) if word == "BANK" else word for word in options)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert not (folder / "features").exists()


def test_a_folder_that_cannot_be_written_is_said_before_a_model_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "features").touch()
    assert main(["embed", str(folder), "--clip", "local-dir:nowhere"]) == 2
    error = capsys.readouterr().err.strip()
    assert "features: is a file" in error
    assert len(error.splitlines()) == 1


def test_a_folder_that_is_no_triplet_folder(
    tmp_path: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(tmp_path), "--bank", str(bank), "--bank-model", "ViT-B/32"]) == 2
    assert "manifest.json" in capsys.readouterr().err


def test_a_bank_that_knows_no_word_is_still_a_clear_answer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TextBank(("sofa",), np.array([[1, 0]], np.float32), "ViT-B-32/openai").save(tmp_path / "sofa.npz")
    assert main(["embed", str(folder), "--bank", str(tmp_path / "sofa.npz"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["texts"], report["without_text"], report["unknown_texts"]) == (
        0,
        4,
        {"chair": 2, "mug": 2},
    )
