"""Object sets on tiny files in their true formats, with scores known by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from support.evaluation_stand_ins import RuleModel, flat_or_tall

import clip2
from clip2.evaluation.class_lists import class_list
from clip2.evaluation.protocol import PROTOCOLS
from clip2.evaluation.sets.arrays import read_object_npy, to_z_up
from clip2.evaluation.sets.registry import OBJECT_SETS
from data_prep.errors import InputError

RANDOM = np.random.default_rng(0)
# z up: a flat slab and a tall post.
SLAB = RANDOM.uniform(-1, 1, (60, 3)).astype(np.float32) * (1, 1, 0.1)
POST = RANDOM.uniform(-1, 1, (60, 3)).astype(np.float32) * (0.3, 0.3, 1)


def y_up(points: np.ndarray) -> np.ndarray:
    """The inverse of ``to_z_up``: (x, y, z) to (x, z, -y)."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1).astype(np.float32)


def save_pickled(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def top1(name: str, root: Path, labels: tuple[str, ...]) -> tuple[int, float]:
    (result,) = clip2.evaluate(RuleModel(labels, flat_or_tall), name, root)
    return result.count, result.metrics["top-1"].value


def test_the_turn_to_z_up_is_a_rotation() -> None:
    assert to_z_up(np.eye(3)).tolist() == [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    assert np.linalg.det(to_z_up(np.eye(3))) == pytest.approx(1)
    assert np.allclose(to_z_up(y_up(SLAB)), SLAB)


@pytest.mark.parametrize(
    "name, folder, stem",
    [
        ("scanobjectnn-obj-only", "main_split_nobg", "objectdataset"),
        ("scanobjectnn-pb-t50-rs", "main_split", "objectdataset_augmentedrot_scale75"),
    ],
)
def test_hdf5_of_scanobjectnn_stands_y_up(tmp_path: Path, name: str, folder: str, stem: str) -> None:
    h5py = pytest.importorskip("h5py")
    classes = class_list("scanobjectnn")
    (tmp_path / folder).mkdir()
    with h5py.File(tmp_path / folder / f"test_{stem}.h5", "w") as file:
        file["data"] = np.stack([y_up(SLAB), y_up(POST)])
        file["label"] = np.array([classes.number("table"), classes.number("sofa")])
    assert top1(name, tmp_path, classes.labels) == (2, 0.5)


def test_openshape_modelnet40(tmp_path: Path) -> None:
    clouds = [{"xyz": SLAB, "rgb": np.full((60, 3), 100.0)}, {"xyz": POST, "rgb": np.full((60, 3), 100.0)}]
    save_pickled(tmp_path / "test_pc.npy", clouds)
    rows = [{"name": "table_1", "category": "table"}, {"name": "chair_1", "category": "chair"}]
    (tmp_path / "test_split.json").write_text(json.dumps(rows))
    assert top1("modelnet40", tmp_path, class_list("modelnet40").labels) == (2, 1.0)
    (tmp_path / "test_split.json").write_text(json.dumps(rows[:1]))
    with pytest.raises(InputError, match=r"lists 1 shapes, test_pc\.npy holds 2"):
        top1("modelnet40", tmp_path, class_list("modelnet40").labels)


def test_openshape_scanobjectnn(tmp_path: Path) -> None:
    classes = class_list("scanobjectnn")
    content = {
        "xyz": np.stack([SLAB, POST]),
        "label": np.array([classes.number("table"), classes.number("chair")]),
    }
    save_pickled(tmp_path / "xyz_label.npy", content)
    assert top1("scanobjectnn-openshape", tmp_path, classes.labels) == (2, 1.0)


def test_objaverse_lvis(tmp_path: Path) -> None:
    rows = []
    for uid, category, cloud in (("a", "table", SLAB), ("b", "chair", SLAB), ("c", "chair", POST)):
        save_pickled(tmp_path / f"objaverse/000/{uid}.npy", {"xyz": cloud, "rgb": np.full((60, 3), 0.5)})
        rows.append({"uid": uid, "category": category, "data_path": f"/mnt/data/objaverse/000/{uid}.npy"})
    (tmp_path / "split").mkdir()
    (tmp_path / "split/lvis.json").write_text(json.dumps(rows))
    count, share = top1("objaverse-lvis", tmp_path, ("chair", "table"))
    assert (count, share) == (3, pytest.approx(2 / 3))


def test_shapenetpart(tmp_path: Path) -> None:
    listed = []
    for synset, cloud in (("04379243", SLAB), ("03001627", POST)):
        (tmp_path / synset).mkdir()
        np.savetxt(tmp_path / synset / "one.txt", np.hstack([y_up(cloud), np.zeros((60, 4))]))
        listed.append(f"shape_data/{synset}/one")
    (tmp_path / "train_test_split").mkdir()
    (tmp_path / "train_test_split/shuffled_test_file_list.json").write_text(json.dumps(listed))
    assert top1("shapenetpart", tmp_path, class_list("shapenetpart").labels) == (2, 1.0)


class _Deadly:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_nothing_in_an_npy_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_pickled(tmp_path / "xyz_label.npy", {"xyz": _Deadly()})
    with pytest.raises(InputError, match=r"names posix\.mkdir"):
        read_object_npy(tmp_path / "xyz_label.npy")
    assert not (tmp_path / "pwned").exists()


def test_registries_agree() -> None:
    assert {name for name in PROTOCOLS if name in OBJECT_SETS} == set(OBJECT_SETS)
    assert len(class_list("scannet200").labels) == 200
    assert len(class_list("modelnet40").labels) == 40


def test_nan_names_the_object(tmp_path: Path) -> None:
    bad = SLAB.copy()
    bad[3] = np.nan
    save_pickled(tmp_path / "xyz_label.npy", {"xyz": np.stack([SLAB, bad]), "label": np.array([9, 9])})
    with pytest.raises(InputError, match="scanobjectnn-openshape object 1: points: 1 of 60 are NaN"):
        top1("scanobjectnn-openshape", tmp_path, class_list("scanobjectnn").labels)
