"""The zero-shot protocol on tiny folders in the true formats, with scores known by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.evaluation_stand_ins import FLAT, TALL, TEN, RuleModel, flat_or_tall, put_mesh

import clip2
from clip2.evaluation import Settings
from clip2.evaluation.metrics import bootstrap_interval
from data_prep.errors import InputError


@pytest.fixture
def modelnet(tmp_path: Path) -> Path:
    """Three tables, one of them tall, and one chair: the rule is right 3 times of 4, class mean (2/3 + 1) / 2."""
    root = tmp_path / "ModelNet10"
    for number, size in enumerate((FLAT, (2.0, 1.0, 0.2), TALL)):
        put_mesh(root, "table", number, size)
    put_mesh(root, "chair", 0, (1.0, 1.5, 3.0))
    return tmp_path


def test_an_off_tree_by_hand(modelnet: Path) -> None:
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", modelnet)
    assert (result.count, result.metrics["top-1"].value) == (4, 0.75)
    assert result.metrics["class mean"].value == pytest.approx((2 / 3 + 1) / 2)
    rows = {row.label: (row.count, row.values["top-1"]) for row in result.classes}
    assert rows["table"] == (3, pytest.approx(2 / 3))
    assert rows["chair"] == (1, 1.0)
    assert rows["bed"][0] == 0
    assert result.confusion.counts[TEN.index("table")][TEN.index("chair")] == 1
    assert any(note.startswith("8 classes have no object") for note in result.notes)
    assert result.seconds > 0
    assert result.memory > 1e6
    assert len(result.model_digest) == 16


def test_grids_by_hand_and_the_empty_one_is_told(tmp_path: Path) -> None:
    flat, tall = np.zeros((2, 12, 12, 12), np.int32)
    flat[2:10, 2:10, 4:6] = 1
    tall[4:7, 4:7, 1:11] = 1
    np.savez(
        tmp_path / "modelnet10.npz",
        X_test=np.stack([flat, tall, np.zeros_like(flat)]),
        y_test=np.array([TEN.index("table"), TEN.index("bed"), 0]),
        X_train=flat[None],
        y_train=np.array([TEN.index("table")]),
    )
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", tmp_path)
    assert (result.count, result.metrics["top-1"].value) == (2, 0.5)
    assert "1 empty grid left out" in result.conditions.counted
    settings = Settings(trained_on=(tmp_path,))
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", tmp_path, settings=settings)
    assert any(note.startswith("1 of 2 test objects are also in") for note in result.notes)
    assert result.metrics["top-1 without repeats"].value == 0  # what is left is the bed, called chair


def test_a_run_that_was_interrupted_continues_and_gives_the_same(modelnet: Path, tmp_path: Path) -> None:
    model = RuleModel(TEN, flat_or_tall)
    settings = Settings(cache=tmp_path / "cache")
    (first,) = clip2.evaluate(model, "modelnet10", modelnet, settings=settings)
    (again,) = clip2.evaluate(model, "modelnet10", modelnet, settings=settings)
    assert model.calls == [4]
    assert again.metrics == first.metrics
    assert again.data_digest == first.data_digest
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:-1])  # damaged: computed again
    (mended,) = clip2.evaluate(model, "modelnet10", modelnet, settings=settings)
    assert model.calls == [4, 4]
    assert mended.metrics == first.metrics
    put_mesh(modelnet / "ModelNet10", "chair", 0, FLAT)  # other data: nothing of the cache fits
    (changed,) = clip2.evaluate(model, "modelnet10", modelnet, settings=settings)
    assert model.calls == [4, 4, 4]
    assert changed.data_digest != first.data_digest


def test_a_limit_is_told(modelnet: Path) -> None:
    (result,) = clip2.evaluate(
        RuleModel(TEN, flat_or_tall), "modelnet10", modelnet, settings=Settings(limit=2)
    )
    assert result.count == 2
    assert "2 of 4 drawn with --limit" in result.conditions.counted


def test_a_folder_of_another_class_is_refused(modelnet: Path) -> None:
    put_mesh(modelnet / "ModelNet10", "spaceship", 0, FLAT)
    with pytest.raises(InputError, match="holds spaceship, which the class list does not have"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", modelnet)


def test_a_mesh_that_is_cut_off_names_its_file(modelnet: Path) -> None:
    file = modelnet / "ModelNet10" / "chair" / "test" / "chair_0000.off"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match="chair_0000"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", modelnet)


def test_labels_are_asked_under_names_that_the_bank_has(modelnet: Path) -> None:
    names = ["nightstand" if label == "night stand" else label for label in TEN]
    (result,) = clip2.evaluate(RuleModel(names, flat_or_tall), "modelnet10", modelnet)
    assert "night stand as 'nightstand'" in result.conditions.prompts
    with pytest.raises(InputError, match="has no vector for 1 of 10 labels of modelnet10: bed"):
        clip2.evaluate(RuleModel([n for n in TEN if n != "bed"], flat_or_tall), "modelnet10", modelnet)


def test_vectors_of_another_space_are_refused(modelnet: Path) -> None:
    from support.evaluation_stand_ins import rule_bank

    model = RuleModel(TEN, flat_or_tall)
    with pytest.raises(InputError, match="ViT-B-16/openai"):
        clip2.evaluate(model, "modelnet10", modelnet, text=rule_bank(TEN, "ViT-B-16/openai"))


def test_workers_give_the_same(modelnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip2.evaluation.embedding.CHUNK", 2)
    one, two = (
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", modelnet, settings=Settings(workers=n))[0]
        for n in (1, 2)
    )
    assert one.data_digest == two.data_digest
    assert one.metrics == two.metrics


def test_copies_are_sampled_alike(tmp_path: Path) -> None:
    file = put_mesh(tmp_path / "ModelNet10", "table", 0, FLAT)
    copy = tmp_path / "ModelNet10" / "table" / "train" / "table_0099.off"
    copy.parent.mkdir()
    shutil.copy(file, copy)
    settings = Settings(trained_on=(tmp_path,))
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "modelnet10", tmp_path, settings=settings)
    assert any(note.startswith("1 of 1 test objects") for note in result.notes)


def test_the_interval_of_a_mean_by_its_formula() -> None:
    """A share of 0.3 of 400 objects has a standard error of 0.0229, so the interval is 0.3 ± 0.045."""
    right = np.arange(400) < 120
    low, high = bootstrap_interval(right)
    assert low == pytest.approx(0.255, abs=0.008)
    assert high == pytest.approx(0.345, abs=0.008)
    # Two classes of equal size, one always right, one half: only the second one varies, by 0.05 / 2.
    groups = np.repeat([0, 1], 100)
    right = np.concatenate([np.ones(100), np.arange(100) % 2])
    low, high = bootstrap_interval(right, groups)
    assert low == pytest.approx(0.701, abs=0.008)
    assert high == pytest.approx(0.799, abs=0.008)
