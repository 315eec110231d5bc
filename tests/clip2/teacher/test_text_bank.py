"""Text banks: what goes in comes out, and vectors of different spaces never meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2.teacher import TextBank, TextSource
from data_prep.errors import InputError

MODEL = "ViT-B-32/openai"


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(rows, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})
    return path


@pytest.fixture
def bank() -> TextBank:
    return TextBank(("mug", "night stand", "Traffic_Light"), unit((1, 0), (0, 1), (3, 4)), MODEL)


def test_a_word_is_found_however_it_is_spelled(bank: TextBank) -> None:
    np.testing.assert_array_equal(bank.lookup(["traffic  light", "NIGHT_STAND"]), bank.embeddings[[2, 1]])
    np.testing.assert_array_equal(bank.lookup("traffic light, mug"), bank.embeddings[[2, 0]])
    assert "Mug" in bank
    assert "cup" not in bank


def test_unknown_words_are_named_with_their_nearest(bank: TextBank) -> None:
    with pytest.raises(InputError, match=r"'mugg' \(nearest: mug\), 'zzz' \(nothing similar\)"):
        bank.lookup(["mugg", "night stand", "zzz"])


@pytest.mark.parametrize("labels, said", [([], "is empty"), (["mug", "Mug"], "are the same label")])
def test_empty_and_repeated_lists_are_refused(bank: TextBank, labels: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        bank.lookup(labels)


def test_save_and_load_change_nothing(bank: TextBank, tmp_path: Path) -> None:
    bank.save(tmp_path / "new" / "bank.npz")
    back = TextBank.load(tmp_path / "new" / "bank.npz")
    assert (back.names, back.model, back.templates) == (bank.names, bank.model, bank.templates)
    np.testing.assert_array_equal(back.embeddings, bank.embeddings)
    assert back.fingerprint() == bank.fingerprint()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bank.npz"]


def test_a_file_that_does_not_state_its_model_must_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "bank.npz", names=["mug"], embeddings=unit((1, 0)))
    with pytest.raises(InputError, match=r"bank\.npz: model: is missing: the file does not state"):
        TextBank.load(path)
    assert TextBank.load(path, model="ViT-B/32").model == MODEL


def test_a_file_that_states_another_model_is_refused(bank: TextBank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.npz")
    assert TextBank.load(tmp_path / "bank.npz", model="ViT-B-32-quickgelu/openai").model == MODEL
    with pytest.raises(
        InputError, match=r"is 'ViT-B-32/openai' in the file, but 'ViT-B-16/openai' was given"
    ):
        TextBank.load(tmp_path / "bank.npz", model="ViT-B-16/openai")


def test_another_model_or_width_is_refused_by_name(bank: TextBank) -> None:
    bank.require("ViT-B/32", 2)
    with pytest.raises(InputError, match=r"ViT-B-32/openai \(2 wide\), expected ViT-B-16/openai"):
        bank.require("ViT-B-16/openai", 2)
    with pytest.raises(InputError, match=r"\(2 wide\), expected ViT-B-32/openai \(512 wide\)"):
        bank.require(MODEL, 512)


def test_select_keeps_order_and_spelling(bank: TextBank) -> None:
    chosen = bank.select(["Night_Stand", "mug"])
    assert chosen.names == ("Night_Stand", "mug")
    np.testing.assert_array_equal(chosen.embeddings, bank.embeddings[[1, 0]])


def test_merging_adds_words_and_keeps_known_ones(bank: TextBank) -> None:
    both = bank.merged(TextBank(("MUG", "cup"), unit((0, 1), (1, 1)), MODEL))
    assert both.names == (*bank.names, "cup")
    np.testing.assert_array_equal(both.lookup(["mug"]), bank.lookup(["mug"]))
    with pytest.raises(InputError, match=r"ViT-B-16/openai"):
        bank.merged(TextBank(("cup",), unit((1, 1)), "ViT-B-16/openai"))


def test_rounded_rows_become_unit_and_others_are_refused() -> None:
    half = (unit((3, 4), (5, 12)) * 1.005).astype(np.float16)
    lengths = np.linalg.norm(TextBank(("a", "b"), half, MODEL).embeddings, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    with pytest.raises(InputError, match="not unit vectors"):
        TextBank(("a",), np.array([[3, 4]], np.float32), MODEL)


@pytest.mark.parametrize(
    "names, vectors, said",
    [
        (("a", "b"), unit((1, 0)), r"float32 \(1, 2\) for 2 names"),
        (("a",), np.ones(1, np.float32), r"float32 \(1,\) for 1 names"),
        (("a",), np.array([[1, 0]]), "int64"),
        ((), np.zeros((0, 2), np.float32), "for 0 names"),
        (("a", "b"), np.array([[1, 0], [np.nan, 1]], np.float32), "NaN or inf in 1 rows"),
        (("a", "a"), unit((1, 0), (1, 0)), "holds 'a' twice"),
        (("tv", "TV"), unit((1, 0), (0, 1)), "'tv' and 'TV' are one label with two vectors"),
        (("a", " "), unit((1, 0), (0, 1)), "name 1 is empty"),
    ],
)
def test_broken_banks_are_refused(names: tuple[str, ...], vectors: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TextBank(names, vectors, MODEL)


def test_two_spellings_with_one_vector_are_kept_once() -> None:
    bank = TextBank(("tv", "TV", "mug"), unit((1, 0), (1, 0), (0, 1)), MODEL)
    assert bank.names == ("tv", "mug")
    np.testing.assert_array_equal(bank.lookup(["mug"]), unit((0, 1)))


def test_files_that_are_not_banks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        TextBank.load(tmp_path / "none.npz", MODEL)
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(InputError, match="is not an npz"):
        TextBank.load(tmp_path / "text.npz", MODEL)
    with pytest.raises(InputError, match=r"embeddings: is missing \(the file has names\)"):
        TextBank.load(write(tmp_path / "half.npz", names=["a"]), MODEL)
    pickled = write(tmp_path / "p.npz", names=np.array(["a"], dtype=object), embeddings=unit((1, 0)))
    with pytest.raises(InputError, match="plain arrays"):
        TextBank.load(pickled, MODEL)
    np.save(tmp_path / "bare.npy", unit((1, 0)))
    with pytest.raises(InputError, match="is not an npz"):
        TextBank.load(tmp_path / "bare.npy", MODEL)
    whole = write(tmp_path / "whole.npz", names=["a"], embeddings=unit((1, 0))).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        TextBank.load(tmp_path / "cut.npz", MODEL)


def test_a_bank_is_a_text_source(bank: TextBank) -> None:
    assert isinstance(bank, TextSource)
    np.testing.assert_array_equal(bank.embed_labels(["mug"]), bank.lookup(["mug"]))


def test_real_bank_knows_its_words(real_data: Path) -> None:
    bank = TextBank.load(real_data / "clip" / "vit_b32_text_bank.npz", model=MODEL)
    assert (len(bank), bank.width) == (1592, 512)
    for word in ("chair", "traffic_light", "Fire  Hydrant", "car"):
        assert word in bank


@pytest.mark.parametrize(
    "file, model", [("vit_b16", "ViT-B-16/openai"), ("vit_l14_336", "ViT-L-14-336/openai")]
)
def test_real_banks_of_other_models_are_refused(real_data: Path, file: str, model: str) -> None:
    control = TextBank.load(real_data / "clip" / f"negctl_{file}_coco_panoptic.npz", model=model)
    with pytest.raises(InputError, match=f"holds vectors of {model}"):
        control.require(MODEL, 512)
