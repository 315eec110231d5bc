"""Label vectors are computed once per machine, by the text tower alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from clip2.cli.main import main
from clip2.pretrained.slip import keep_text_tower
from clip2.teacher import Teacher, TextBank
from clip2.teacher.cached_text import CachedText
from clip2.teacher.cached_text import _load as load_tower
from clip2.teacher.text_cache import TextCache
from clip2.teacher.text_tower import TextTower
from data_prep.errors import InputError
from tests.support.public_twins import slip_state, slip_text
from tests.support.tiny_clip import make_tiny_clip

LABELS = ("chair", "night_stand", "a very tall and narrow grandfather clock")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    load_tower.cache_clear()


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return make_tiny_clip(tmp_path / "clip")


@pytest.mark.parametrize("prompts", ["clip2", "ulip-64", "clip-80"])
def test_the_tower_alone_has_the_vectors_of_the_whole_model(clip: str, prompts: str) -> None:
    whole = Teacher.load(clip).encode_texts(LABELS, prompts)
    alone = TextTower.load(clip).encode_texts(LABELS, prompts)
    assert np.abs(whole - alone).max() < 1e-6
    half = TextTower.load(clip, precision="bf16").encode_texts(LABELS, prompts)
    assert (whole * half).sum(1).min() > 0.999


def test_only_the_tower_is_read(clip: str, tmp_path: Path) -> None:
    path = tmp_path / "clip" / "open_clip_model.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    broken = {key: torch.zeros(1) if key.startswith("visual.") else value for key, value in tensors.items()}
    expected = TextTower.load(clip).encode_texts(LABELS)
    safetensors.torch.save_file(broken, path)
    assert np.array_equal(TextTower.load(clip).encode_texts(LABELS), expected)
    said: list[str] = []
    TextTower.load(clip, tell=said.append)
    assert "B parameters" in said[0]
    assert "memory" in said[0]


def test_torch_files_are_read_as_tensors_only(clip: str, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    path = tmp_path / "clip" / "open_clip_model.safetensors"
    expected = TextTower.load(clip).encode_texts(LABELS)
    state = safetensors.torch.load_file(path)
    path.unlink()
    torch.save(state, path.with_suffix(".bin"))
    assert np.array_equal(TextTower.load(clip).encode_texts(LABELS), expected)
    torch.save({"state_dict": state, "trap": Trap()}, path.with_suffix(".bin"))
    with pytest.raises(InputError, match="loading would execute"):
        TextTower.load(clip)
    assert not (tmp_path / "executed").exists()


def test_a_tower_under_its_own_prefix(clip: str, tmp_path: Path) -> None:
    """Models with ``custom_text`` keep it under ``text.``, as EVA02-E-14-plus does."""
    path = tmp_path / "clip" / "open_clip_model.safetensors"
    expected = TextTower.load(clip).encode_texts(LABELS)
    state = {
        key if key.startswith("visual.") or key == "logit_scale" else f"text.{key}": value
        for key, value in safetensors.torch.load_file(path).items()
    }
    safetensors.torch.save_file(state, path)
    assert np.array_equal(TextTower.load(clip).encode_texts(LABELS), expected)


def test_the_second_time_no_tower_is_loaded(clip: str, tmp_path: Path) -> None:
    source = CachedText("ViT-B-32/openai", 32, "ulip-64", name=clip, tell=lambda line: None)
    first = source.embed_labels(LABELS)
    assert np.array_equal(first, TextTower.load(clip).encode_texts(LABELS, "ulip-64"))
    code = (
        "import sys, numpy as np; from clip2.teacher.cached_text import CachedText;"
        f"found = CachedText('ViT-B-32/openai', 32, 'ulip-64', name={clip!r}).embed_labels({LABELS!r});"
        "assert 'open_clip' not in sys.modules; sys.stdout.buffer.write(found.tobytes())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stdout == first.tobytes()
    assert ended.stderr == b""


def test_vectors_are_kept_apart_by_model_prompts_precision_and_weights(clip: str, tmp_path: Path) -> None:
    source = CachedText("ViT-B-32/openai", 32, "ulip-64", name=clip, tell=lambda line: None)
    first = source.embed_labels(["chair"])
    for other in (
        source.with_templates("plain"),
        replace(source, precision="bf16"),
        replace(source, name=make_tiny_clip(tmp_path / "other", seed=1)),
    ):
        assert not np.array_equal(other.embed_labels(["chair"]), first)
    make_tiny_clip(tmp_path / "clip", seed=2)  # other weights in the same folder
    load_tower.cache_clear()
    assert not np.array_equal(source.embed_labels(["chair"]), first)
    assert np.array_equal(
        replace(source).embed_labels(["chair"]), source.embed_labels(["CHAIR"[:0] + "chair"])
    )


def test_a_tower_of_another_width_is_refused(clip: str) -> None:
    with pytest.raises(InputError, match="is 32 wide, the model was trained against vectors of 512"):
        CachedText("ViT-B-32/openai", 512, "plain", name=clip, tell=lambda line: None).embed_labels(["mug"])


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        TextCache().put("a/b", "plain", {f"label {number} {i}": np.full(8, number, "f4") for i in range(5)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(20)))
    labels = [f"label {number} {i}" for number in range(20) for i in range(5)]
    found = TextCache().get("a/b", "plain", labels)
    assert len(found) == 100
    assert found["label 7 3"].tolist() == [7.0] * 8


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1, 100))
    monkeypatch.setattr("clip2.teacher.text_cache.time.time", lambda: float(next(now)))
    cache = TextCache(largest=10 * 32)
    for i in range(10):
        cache.put("a/b", "plain", {f"label {i}": np.ones(8, "f4")})
    cache.get("a/b", "plain", ["label 0"])
    cache.put("a/b", "plain", {"new": np.ones(8, "f4")})
    kept = set(cache.get("a/b", "plain", [*(f"label {i}" for i in range(10)), "new"]))
    assert {"new", "label 0"} <= kept
    assert "label 1" not in kept
    assert len(kept) in (9, 10)


def test_a_damaged_cache_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "text.sqlite").write_text(
        "not a database, but long enough to be taken for one" * 50
    )
    with pytest.raises(InputError, match="delete the file"):
        TextCache().get("a/b", "plain", ["mug"])


def test_a_cache_that_is_a_program_is_one_line(tmp_path: Path) -> None:
    TextCache().put("a/b", "plain", {"mug": np.ones(8, "f4")})
    with closing(sqlite3.connect(tmp_path / "cache" / "text.sqlite")) as database:
        database.execute("ALTER TABLE vectors RENAME TO x")
        database.execute(
            "CREATE VIEW vectors AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT x.* FROM x, c"
        )
    with pytest.raises(InputError, match="holds views"):
        TextCache().get("a/b", "plain", ["mug"])


@pytest.mark.parametrize("value", [None, "a vector", b"abc", np.array([1, np.nan], "<f4").tobytes()])
def test_a_damaged_vector_is_left_out(tmp_path: Path, value: object) -> None:
    TextCache().put("a/b", "plain", {"mug": np.ones(8, "f4"), "chair": np.ones(8, "f4")})
    with sqlite3.connect(tmp_path / "cache" / "text.sqlite") as database:
        database.execute("UPDATE vectors SET vector = ? WHERE label = 'mug'", (value,))
    database.close()
    assert list(TextCache().get("a/b", "plain", ["mug", "chair"])) == ["chair"]


def test_the_text_tower_in_ulips_file() -> None:
    import open_clip

    state = slip_state()
    assert keep_text_tower({**state, "point_encoder.norm.weight": torch.zeros(3)}, "ViT-L-14/openai") is None
    with pytest.raises(InputError, match="clip2 fetch ulip-pointbert"):
        TextTower.load("SLIP-ViT-B/ulip")
    keep_text_tower({**state, "point_encoder.norm.weight": torch.zeros(3)}, "SLIP-ViT-B/ulip")
    found = TextTower.load("SLIP-ViT-B/ulip").encode_texts(["chair", "table lamp"], "plain")
    with torch.no_grad():
        theirs = slip_text(state, open_clip.get_tokenizer("ViT-B-32")(["a chair", "a table lamp"]))
    theirs = torch.nn.functional.normalize(theirs, dim=-1)
    assert (torch.from_numpy(found) * theirs).sum(1).min() >= 0.999999


def test_a_bank_for_a_robot(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("person\nforklift\n")
    out = tmp_path / "bank.npz"
    arguments = ["labels", "build", "--vocabulary", f"coco,{tmp_path / 'mine.txt'}", "--clip", clip]
    arguments += ["--clip-model", "ViT-B-32/openai", "--out", str(out)]
    assert main([*arguments, "--prompts", "plain"]) == 0
    bank = TextBank.load(out)
    assert len(bank) == 81  # COCO's 80 and one more: person is in both
    assert (bank.model, bank.templates) == ("ViT-B-32/openai", "plain")
    assert np.abs(bank.lookup("forklift") - Teacher.load(clip).encode_texts("forklift", "plain")).max() < 1e-6
    capsys.readouterr()
    for wrong in (
        ["--prompts", "clip3"],
        ["--vocabulary", "mug,mug"],
        ["--vocabulary", "absent.txt"],
        ["--clip", "ViT-B-32/openai"],
    ):
        assert main([*arguments, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
