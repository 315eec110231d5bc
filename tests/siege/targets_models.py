"""Models, what they are trained on and measured with, and what they made: everything of clip2 that is read back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import fsspec
import h5py
import numpy as np
import onnx
import safetensors.torch
import torch
from onnx import TensorProto, helper
from siege.trial import Target
from support import index_writers, labeled_scans, public_twins
from support.box_world import sweep
from support.detection_stand_ins import ColorDetector, PaintedScan
from support.recognition_stand_ins import tiny_bank, tiny_model
from support.tiny_clip import make_tiny_clip

import clip2
from clip2.auto.config import AutoConfig
from clip2.auto.stages import Record
from clip2.cli.detect import _scores_of_file
from clip2.evaluation.class_lists import class_list
from clip2.evaluation.protocol import Settings
from clip2.evaluation.result import read_results
from clip2.evaluation.scenes.results_file import ObjectsFile
from clip2.evaluation.sets.registry import OBJECT_SETS
from clip2.export import export_onnx
from clip2.mapping import ObjectMap
from clip2.object_model import ObjectModel
from clip2.pretrained import convert_checkpoint
from clip2.recognition.instances import Instances3D
from clip2.runtime import OnnxModel
from clip2.search import Index
from clip2.search.sources import read_objects
from clip2.teacher import Teacher, load_features
from clip2.teacher.text_cache import TextCache
from clip2.training import load_config, load_training_set, train
from clip2.training.loggers import read_metrics
from data_prep.config import load_config as load_any_config
from data_prep.detect import Vocabulary
from data_prep.detect.detection_run import detect_scan
from data_prep.detect.onnx_detector import OnnxDetector
from data_prep.scans import open_scan
from data_prep.triplets import open_triplets
from data_prep.triplets.captions import Captions, load_label_map
from data_prep.triplets.config import MiningConfig

YESTERDAY = Path(__file__).resolve().parents[1] / "data" / "v0.1.0"


def yesterday(name: str) -> Callable[[Path], object]:
    """Files of the first version, which every later one reads."""
    source = YESTERDAY / name
    return lambda f: shutil.copytree(source, f / name) if source.is_dir() else shutil.copy(source, f)


@cache
def small_model() -> clip2.Clip2Model:
    return tiny_model(tiny_bank())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- checkpoints, exports, public weights --------------------------------------------------------------------------------


def seal_model(folder: Path) -> None:
    """Right checksums: damaged weights get past the first door."""
    path = folder / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    for record in config.values():
        if isinstance(record, dict) and "sha256" in record and (folder / "model" / record["file"]).is_file():
            record["sha256"] = sha256(folder / "model" / record["file"])
    path.write_text(json.dumps(config), "utf-8")


def read_model(folder: Path) -> None:
    model = clip2.load(folder / "model")
    use(model)


def use(model: ObjectModel) -> None:
    clouds = list(np.load(YESTERDAY / "model" / "clouds.npy")[:2])
    described = model.describe(clouds)
    assert np.isfinite(described.embeddings).all(), "vectors that are not finite"
    model.is_in_distribution(described.features)
    if model.text_bank is not None:
        model.classify(clouds, model.text_bank.names[:3])


def write_export(folder: Path) -> None:
    # The file of the shipped model's export is too large to copy for every case.
    export_onnx(tiny_model(tiny_bank()), folder / "export")


def seal_export(folder: Path) -> None:
    path = folder / "export" / "clip2_onnx.json"
    record = json.loads(path.read_text("utf-8"))
    for graph in record["graphs"].values():
        graph["sha256"] = sha256(folder / "export" / graph["file"])
    path.write_text(json.dumps(record), "utf-8")


def write_public(folder: Path) -> None:
    twin = public_twins.TWINS["uni3d-ti"]
    state = {key: value.half() for key, value in twin.state(1).items()}
    torch.save({"module": state, "epoch": 3}, folder / "public.pt")
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in state.items()}, folder / "public.safetensors"
    )


def read_public(folder: Path) -> None:
    for path in (folder / "public.pt", folder / "public.safetensors"):
        use(convert_checkpoint(path))


def read_teacher(folder: Path) -> None:
    teacher = Teacher.load(f"local-dir:{folder / 'clip'}")
    assert np.isfinite(teacher.embed_labels(["mug"])).all()
    assert np.isfinite(teacher.encode_images([np.zeros((40, 30, 3), np.uint8)])).all()


def write_detector(folder: Path) -> None:
    rows = np.array([[[24.0, 16, 16, 16, 1, 0, 0.8, 0]]], np.float32)
    node = helper.make_node("Constant", [], ["out"], value=onnx.numpy_helper.from_array(rows))
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, rows.shape)
    graph = helper.make_graph([node], "twin", [entry], [out])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "twin.onnx",
    )
    (folder / "twin.yaml").write_text(
        "model: twin.onnx\nnames: [mug, chair, car]\nlayout: yolov5\nfill: 114\nmean: [0, 0, 0]\n"
    )


def read_detector(folder: Path) -> None:
    OnnxDetector(folder / "twin.yaml").detect([np.zeros((64, 128, 3), np.uint8)], min_score=0.3)


# -- triplets and training ---------------------------------------------------------------------------------------------------


def read_triplets(folder: Path) -> None:
    triplets = open_triplets(folder / "triplets")
    for shard in triplets.shards:
        for _ in triplets.iter_shard(shard.name):
            pass


def read_triplets_at_url(folder: Path) -> None:
    """The same over an object store: every read goes through fsspec."""
    store = fsspec.filesystem("memory")
    if store.exists("/siege"):
        store.rm("/siege", recursive=True)
    for path in (folder / "triplets").rglob("*"):
        if path.is_file():
            store.pipe_file(f"/siege/{path.relative_to(folder / 'triplets')}", path.read_bytes())
    triplets = open_triplets("memory://siege")
    for shard in triplets.shards:
        for _ in triplets.iter_shard(shard.name):
            pass


def seal_triplets(folder: Path) -> None:
    path = folder / "triplets" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for shard in manifest["shards"]:
        file = folder / "triplets" / shard["name"]
        shard["sha256"], shard["size"] = sha256(file), file.stat().st_size
    path.write_text(json.dumps(manifest), "utf-8")


def write_run(folder: Path) -> None:
    shutil.copytree(YESTERDAY / "run", folder / "run")


def resume(folder: Path) -> None:
    config = load_config(
        folder / "run" / "config.yaml", [f"data.folders=[{YESTERDAY / 'triplets'}]", "loop.loggers=[]"]
    )
    read_metrics(folder / "run")
    if (
        (config.loop.steps or 7) <= 6
        and config.loop.batch_size <= 64
        and config.model.preprocessing.num_points <= 512
    ):
        train(config, folder / "run", resume=True)


# -- results, maps, indexes, evaluation --------------------------------------------------------------------------------------


def write_map(folder: Path) -> None:
    object_map = ObjectMap(small_model())
    for step in range(3):
        object_map.update(
            *sweep({0: ((4, 0, 0.5), (1, 1, 1)), 1: ((0, 5, 0.75), (0.4, 0.4, 1.5))}, step / 10)
        )
    object_map.save(folder / "map")


def read_map(folder: Path) -> None:
    loaded = ObjectMap.load(folder / "map", small_model())
    loaded.query("chair")
    loaded.update(*sweep({0: ((4, 0, 0.5), (1, 1, 1))}, 10.0))
    _, objects = read_objects(folder / "map")
    list(objects)


def write_index(folder: Path) -> None:
    Index(folder / "db").add(index_writers.objects(30), index_writers.SPACE)


def read_index(folder: Path) -> None:
    index = Index(folder / "db")
    vector = np.ones(index_writers.WIDTH, np.float32)
    hits = index.search(vector, index_writers.SPACE, k=5)
    json.dumps([hit.to_json() for hit in hits], allow_nan=False)
    assert all(hit.object.points is None or np.isfinite(hit.object.points).all() for hit in hits)


def read_result(folder: Path) -> None:
    result = Instances3D.from_json(folder / "result.json")
    json.dumps(result.to_json(), allow_nan=False)
    _, objects = read_objects(folder / "result.json")
    list(objects)


def write_objects(folder: Path) -> None:
    labeled_scans.put_objects(folder / "objects.json", labeled_scans.objects_as_labeled())
    labeled_scans.put_labeled_scan(folder / "scan")


def read_objects_file(folder: Path) -> None:
    found, scan = ObjectsFile.read(folder / "objects.json"), open_scan("layout", folder / "scan")
    found.require_frames(scan.frame_ids())
    for i in range(len(scan)):
        found.of(scan[i])


def write_eval(folder: Path) -> None:
    from support.evaluation_stand_ins import RuleModel, flat_or_tall

    write_sets(folder / "sets")
    results = clip2.evaluate(
        RuleModel(("chair", "table"), flat_or_tall), "named-objects", folder / "sets" / "named"
    )
    clip2.evaluation.result.write_results(folder / "results.json", results)
    shutil.rmtree(folder / "sets")


_SETS = {
    "named": "named-objects",
    "modelnet": "modelnet10",
    "h5": "scanobjectnn-obj-only",
    "objects": "scanobjectnn-openshape",
}


def write_sets(root: Path) -> None:
    """Object sets of four formats: npz, OFF, HDF5, and pickled arrays as OpenShape ships them."""
    clouds = np.random.default_rng(0).uniform(-1, 1, (6, 60, 3)).astype(np.float32)
    (root / "named").mkdir(parents=True)
    np.savez(root / "named/named_objects.npz", points=clouds, name=np.array(["chair", "table"] * 3))
    folder = root / "modelnet/ModelNet10"
    for label in class_list("modelnet10").labels[:2]:
        place = folder / label.replace(" ", "_") / "test"
        place.mkdir(parents=True)
        (place / f"{place.parent.name}_0001.off").write_text(
            "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
        )
    (root / "h5/main_split_nobg").mkdir(parents=True)
    with h5py.File(root / "h5/main_split_nobg/test_objectdataset.h5", "w") as file:
        file["data"], file["label"] = clouds, np.arange(6)
    (root / "objects").mkdir()
    content = {"xyz": list(clouds), "label": np.arange(6), "rgb": [None] * 6}
    np.save(root / "objects/xyz_label.npy", np.array(content, dtype=object), allow_pickle=True)


def read_sets(folder: Path) -> None:
    for place, name in _SETS.items():
        entry = OBJECT_SETS[name]
        if entry.finds(folder / place):
            objects = entry.open(folder / place, Settings(), "test")
            for i in range(min(3, len(objects.targets))):
                objects.read(i)


def write_journal(folder: Path) -> None:
    detect_scan(PaintedScan(Path("x")), ColorDetector(), folder / "finished.json", batch_size=2)
    shutil.copytree(YESTERDAY / "detect", folder, dirs_exist_ok=True)


def read_journal(folder: Path) -> None:
    for name in ("finished.json", "killed.json"):
        detect_scan(PaintedScan(Path("x")), ColorDetector(), folder / name, batch_size=2)


def write_text_files(folder: Path) -> None:
    """Small files that users write, and that others send them."""
    (folder / "captions.jsonl").write_text(
        '{"image": "a.png", "box": [1, 2, 30, 40], "caption": "a red mug"}\n{"image": "a.png", "detection": 4, "caption": "a chair"}\n'
    )
    (folder / "labels.json").write_text('{"pedestrian": ["person", "human"], "car": [], "van": "car"}')
    (folder / "scores.yaml").write_text("car: 0.5\ndefault: 0.3\nred mug: 0.2\n")
    (folder / "words.txt").write_text("mug\nchair\n# no label\nred car\n")
    (folder / "auto.yaml").write_text("vocabulary: coco\nclip: mini\ntrain:\n  loop: {steps: 20}\n")
    (folder / "mining.yaml").write_text("max_points: 500\n")
    (folder / "auto.json").write_text(
        '{"format": "clip2-auto", "stages": {"mine": {"arguments": ["a"], "seconds": 1.0}}}'
    )


def read_text_files(folder: Path) -> None:
    captions = Captions.load(folder / "captions.jsonl")
    captions.of("a.png", np.array([1, 2, 30, 41], np.float32), 4)
    load_label_map(folder / "labels.json")
    _scores_of_file(folder / "scores.yaml")
    Vocabulary.load(str(folder / "words.txt"))
    load_any_config(AutoConfig, folder / "auto.yaml")
    load_any_config(MiningConfig, folder / "mining.yaml")
    Record(folder)


def write_text_cache(folder: Path) -> None:
    TextCache(folder / "text.sqlite").put("space", "plain", {"mug": np.ones(8, np.float32)})


def read_text_cache(folder: Path) -> None:
    cache = TextCache(folder / "text.sqlite")
    for vector in cache.get("space", "plain", ["mug", "chair"]).values():
        assert np.isfinite(vector).all()  # one of another width is computed again by who asked
    cache.put("space", "plain", {"chair": np.ones(8, np.float32)})


MODELS: dict[str, Target] = {
    "text bank": Target(lambda f: tiny_bank().save(f / "bank.npz"), lambda f: clip2.TextBank.load(f / "bank.npz")),
    "model": Target(yesterday("model"), read_model, spare=("clouds.npy", "expected.json"), reseal=seal_model),
    "hub folder": Target(lambda f: clip2.save(small_model(), f / "model"), read_model, reseal=seal_model),
    "export": Target(write_export, lambda f: use(OnnxModel(f / "export", threads=1)), spare=("*_full.onnx",), reseal=seal_export),
    "public weights": Target(write_public, read_public),
    "clip folder": Target(lambda f: make_tiny_clip(f / "clip"), read_teacher),
    "onnx detector": Target(write_detector, read_detector),
    "triplets": Target(yesterday("triplets"), read_triplets, spare=("*/cache/*/*", "*/features/*/*"), reseal=seal_triplets),
    "triplets at a URL": Target(yesterday("triplets"), read_triplets_at_url, spare=("*/cache/*/*", "*/features/*/*"), reseal=seal_triplets),
    "features": Target(yesterday("triplets"), lambda f: load_features(f / "triplets"), spare=("*.tar", "*/cache/*/*")),
    "training set": Target(yesterday("triplets"), lambda f: load_training_set([f / "triplets"], cache=True, max_points=64), reseal=seal_triplets),
    "training config": Target(lambda f: shutil.copy(YESTERDAY / "run" / "config.yaml", f), lambda f: load_config(f / "config.yaml", [])),
    "training state": Target(write_run, resume),
    "result": Target(yesterday("result.json"), read_result),
    "map": Target(write_map, read_map, spare=("*.html", "*.ply")),
    "index": Target(write_index, read_index),
    "objects file": Target(write_objects, read_objects_file),
    "evaluation": Target(write_eval, lambda f: read_results(f / "results.json")),
    "object sets": Target(write_sets, read_sets),
    "detection journal": Target(write_journal, read_journal),
    "text files": Target(write_text_files, read_text_files),
    "text cache": Target(write_text_cache, read_text_cache),
}  # fmt: skip
