"""Object sets on tiny files in their true formats, with scores known by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from support.evaluation_stand_ins import SPACE, RuleModel, flat_or_tall

import clip2
from clip2.evaluation.class_lists import class_list
from clip2.evaluation.protocol import PROTOCOLS, Settings
from clip2.evaluation.sets.arrays import read_object_npy, to_z_up
from clip2.evaluation.sets.named import read_named
from clip2.evaluation.sets.registry import OBJECT_SETS
from clip2.teacher import TextBank
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
    clouds = [{"xyz": y_up(cloud), "rgb": np.full((60, 3), 100.0)} for cloud in (SLAB, POST)]
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
        "xyz": np.stack([y_up(SLAB), y_up(POST)]),
        "label": np.array([classes.number("table"), classes.number("chair")]),
    }
    save_pickled(tmp_path / "xyz_label.npy", content)
    assert top1("scanobjectnn-openshape", tmp_path, classes.labels) == (2, 1.0)


def test_objaverse_lvis(tmp_path: Path) -> None:
    rows = []
    for uid, category, cloud in (("a", "table", SLAB), ("b", "chair", SLAB), ("c", "chair", POST)):
        save_pickled(
            tmp_path / f"objaverse/000/{uid}.npy", {"xyz": y_up(cloud), "rgb": np.full((60, 3), 0.5)}
        )
        rows.append({"uid": uid, "category": category, "data_path": f"/mnt/data/objaverse/000/{uid}.npy"})
    (tmp_path / "split").mkdir()
    (tmp_path / "split/lvis.json").write_text(json.dumps(rows))
    count, share = top1("objaverse-lvis", tmp_path, ("chair", "table"))
    assert (count, share) == (3, pytest.approx(2 / 3))


def test_color_of_a_colored_set_is_told(tmp_path: Path) -> None:
    save_pickled(tmp_path / "a.npy", {"xyz": y_up(SLAB), "rgb": np.full((60, 3), 0.5)})
    (tmp_path / "lvis.json").write_text(json.dumps([{"uid": "a", "category": "table", "data_path": "a.npy"}]))

    def measured(reads: bool, seen: str, **settings: bool) -> str:
        model = RuleModel(("chair", "table"), flat_or_tall, color=reads, seen=seen)
        (result,) = clip2.evaluate(model, "objaverse-lvis", tmp_path, settings=Settings(**settings))
        return result.conditions.color

    assert measured(True, "both") == "as stored"
    assert measured(True, "both", color=False) == "left out"
    for reads, seen in ((False, "both"), (True, "absent")):
        assert measured(reads, seen) == "as stored, but this model does not read it"
    with pytest.raises(InputError, match=r"the model needs color; objaverse-lvis is left without"):
        measured(True, "present", color=False)


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


def put_scene(folder: Path, labels: list[str]) -> None:
    """A scene of ScanNet with one box of eight vertices per label."""
    folder.mkdir(parents=True)
    box = trimesh.creation.box([1, 1, 1]).vertices
    points = np.concatenate([box + [3 * number, 0, 0] for number in range(len(labels))])
    trimesh.PointCloud(points).export(folder / f"{folder.name}_vh_clean_2.ply")
    segments = {"segIndices": np.repeat(np.arange(len(labels)), 8).tolist()}
    (folder / f"{folder.name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    groups = [{"objectId": i, "segments": [i], "label": label} for i, label in enumerate(labels)]
    (folder / f"{folder.name}.aggregation.json").write_text(json.dumps({"segGroups": groups}))


TABLE = "\n".join(
    "\t".join(row)
    for row in (
        ("id", "raw_category", "category", "count", "nyu40id", "nyuClass", "nyu40class"),
        ("5", "office chair", "chair", "595", "5", "chair", "chair"),
        ("17", "mini fridge", "refrigerator", "29", "24", "refridgerator", "refridgerator"),
        ("11", "trash can", "trash can", "1356", "39", "garbage bin", "otherfurniture"),
        ("9", "table", "table", "1", "40", "object", "otherprop"),
    )
)


@pytest.mark.parametrize(
    "name, found",
    [
        ("scannet17", ["chair", "refrigerator"]),
        ("scannet18", ["chair", "refrigerator", "garbagebin"]),
        ("scannet20", ["chair", "refrigerator", "other furniture"]),
    ],
)
def test_raw_names_of_scannet_go_through_its_table(tmp_path: Path, name: str, found: list[str]) -> None:
    """Without the table only the name that equals a label counts; with it, what the table says, and nothing else."""
    put_scene(tmp_path / "scans" / "scene0000_00", ["office chair", "mini fridge", "trash can", "table"])
    plain = OBJECT_SETS[name].open(tmp_path, Settings(), "test")
    assert [plain.labels[target] for target in plain.targets] == ["table"]
    assert "scannetv2-labels.combined.tsv is not beside the scans" in plain.source
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(TABLE)
    mapped = OBJECT_SETS[name].open(tmp_path, Settings(), "test")
    assert [mapped.labels[target] for target in mapped.targets] == found
    assert mapped.source.endswith("raw names by scannetv2-labels.combined.tsv")
    (tmp_path / "scannetv2-labels.combined.tsv").write_text("id\traw_category\n")
    with pytest.raises(InputError, match=r"combined\.tsv: lacks nyu40class"):
        OBJECT_SETS[name].open(tmp_path, Settings(), "test")


def test_named_objects_of_your_own(tmp_path: Path) -> None:
    """One object stands y up, one has no name in the bank."""
    file = tmp_path / "named_objects.npz"
    points = np.stack([SLAB, y_up(POST), POST]).astype(np.float32)
    names = np.array(["table", "stool", "totem"])
    np.savez(file, points=points, name=names, bank_name=["table", "chair", ""], up_axis=["z", "y", "z"])
    assert top1("named-objects", tmp_path, ("chair", "table")) == (2, 1.0)
    np.savez(file, points=points, name=names[:2])
    with pytest.raises(InputError, match=r"name: has shape \(2,\) for 3 objects"):
        top1("named-objects", tmp_path, ("chair", "table"))
    np.savez(file, points=points)
    with pytest.raises(InputError, match="lacks name"):
        top1("named-objects", tmp_path, ("chair", "table"))


def test_a_filler_is_no_color(tmp_path: Path) -> None:
    points = np.concatenate([np.random.default_rng(0).random((2, 50, 3)), np.full((2, 50, 3), 0.5)], axis=2)
    file = tmp_path / "named_objects.npz"
    np.savez(
        file, points=points.astype(np.float32), name=np.array(["chair", "table"]), has_color=[True, False]
    )
    objects = read_named(file)
    assert objects.colored
    assert [objects.load(index).colors is None for index in range(2)] == [False, True]


def test_a_bank_of_another_space_is_at_chance(tmp_path: Path) -> None:
    """Ten kinds told apart by width, right with their own bank. A bank that only claims the space names one in ten."""
    labels = tuple(f"kind {number}" for number in range(10))
    widths = np.repeat(np.arange(1, 11), 2)
    points = (
        RANDOM.uniform(0, 1, (20, 60, 3)) * np.stack([widths * 0.1, np.ones(20), np.ones(20)], 1)[:, None]
    )
    np.savez(tmp_path / "named_objects.npz", points=points, name=np.repeat(labels, 2))
    model = RuleModel(
        labels, lambda cloud, _: labels[int(np.argmin(abs(np.ptp(cloud[:, 0]) * 10 - range(1, 11))))]
    )
    (right,) = clip2.evaluate(model, "named-objects", tmp_path)
    assert right.metrics["top-1"].value > 0.8
    shares = []
    for seed in range(20):
        vectors = np.random.default_rng(seed).normal(size=(10, 10)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        wrong = TextBank(labels, vectors, SPACE, "clip2")
        shares.append(clip2.evaluate(model, "named-objects", tmp_path, text=wrong)[0].metrics["top-1"].value)
    assert 0.02 < np.mean(shares) < 0.18
    with pytest.raises(InputError, match="other/clip"):
        clip2.evaluate(
            model, "named-objects", tmp_path, text=TextBank(labels, vectors, "other/clip", "clip2")
        )


def test_registries_agree() -> None:
    assert {name for name in PROTOCOLS if name in OBJECT_SETS} == set(OBJECT_SETS)
    assert len(class_list("scannet200").labels) == 200
    assert len(class_list("modelnet40").labels) == 40


@pytest.mark.parametrize("name", OBJECT_SETS)
def test_a_root_without_the_set_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.npz").write_bytes(b"")
    for root in (tmp_path, tmp_path / "file.npz", tmp_path / "nothing"):
        with pytest.raises(InputError, match="does not hold this set"):
            OBJECT_SETS[name].open(root, Settings(), "test")


def test_nan_names_the_object(tmp_path: Path) -> None:
    bad = SLAB.copy()
    bad[3] = np.nan
    save_pickled(tmp_path / "xyz_label.npy", {"xyz": np.stack([SLAB, bad]), "label": np.array([9, 9])})
    with pytest.raises(InputError, match="scanobjectnn-openshape object 1: points: 1 of 60 are NaN"):
        top1("scanobjectnn-openshape", tmp_path, class_list("scanobjectnn").labels)


@pytest.mark.parametrize("content", ["empty", "cut", "npy", "text"])
def test_a_file_that_is_no_npz_is_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "modelnet10.npz"
    with file.open("wb") as stream:
        (np.save if content == "npy" else np.savez_compressed)(stream, np.arange(5000))
    if content != "npy":
        file.write_bytes({"empty": b"", "cut": file.read_bytes()[:200], "text": b"hello"}[content])
    with pytest.raises(InputError, match=r"modelnet10.npz: is not a readable npz file"):
        clip2.evaluate("mini-points", "modelnet10", tmp_path)
