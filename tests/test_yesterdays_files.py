"""Files written by version 0.1.0 (tests/data/v0.1.0, made by its make.py) still load."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from support import index_writers
from support.box_world import sweep
from support.detection_stand_ins import ColorDetector, PaintedScan
from support.recognition_stand_ins import tiny_bank, tiny_model

import clip2
from clip2.evaluation.result import read_results
from clip2.training import load_config, load_training_set, train
from clip2.training.point_cache import open_point_cache
from data_prep.detect import CocoDetections
from data_prep.detect.detection_run import detect_scan
from data_prep.scans import open_scan
from data_prep.triplets import open_triplets

YESTERDAY = Path(__file__).parent / "data" / "v0.1.0"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return shutil.copytree(YESTERDAY, tmp_path / "v0.1.0")


def test_triplets_of_associated_objects_with_captions_and_rejections() -> None:
    triplets = open_triplets(YESTERDAY / "triplets")
    found = [each for shard in triplets.shards for each in triplets.iter_shard(shard.name)]
    assert len(found) == len(triplets) == 21
    assert all(triplet.points.shape[0] <= 64 and triplet.points.dtype == np.float32 for triplet in found)
    assert max(len(triplet.crops) for triplet in found) == 2  # an object seen in both frames
    assert triplets.manifest.rejections == {"tiny-region": 1}
    assert all(triplet.texts for triplet in found)


def test_features_and_point_cache_are_used_as_they_are(files: Path) -> None:
    def unwanted(done: int, total: int) -> None:
        raise AssertionError("the cache was written again")

    open_point_cache(open_triplets(files / "triplets"), 64, unwanted)
    data = load_training_set([files / "triplets"], cache=True, max_points=64)
    assert data.clouds.home == "files"
    exact = load_training_set([files / "triplets"], max_points=64)
    assert len(data) == len(exact) == 21
    assert np.allclose(
        data.cloud(3)[0] - data.cloud(3)[0][0], exact.cloud(3)[0] - exact.cloud(3)[0][0], atol=2e-3
    )
    assert data.teacher.name.startswith("mini")


def test_an_interrupted_run_ends_with_the_weights_it_would_have_had(files: Path) -> None:
    config = load_config(files / "run" / "config.yaml", [f"data.folders=[{files / 'triplets'}]"])
    result = train(config, files / "run", resume=True)
    assert (result.step, result.finished) == (6, True)
    ours = safetensors.numpy.load_file(files / "run" / "model.safetensors")
    theirs = safetensors.numpy.load_file(YESTERDAY / "model" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    # Equal bits on one machine; other processors round differently.
    assert all(np.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)


def test_a_model_that_knows_what_is_unknown() -> None:
    model = clip2.load(YESTERDAY / "model")
    expected = json.loads((YESTERDAY / "model" / "expected.json").read_text())
    described = model.describe(list(np.load(YESTERDAY / "model" / "clouds.npy")))
    assert np.allclose(described.embeddings, expected["embeddings"], atol=1e-5)
    detector = model.ood_detector
    assert detector is not None
    assert np.allclose(detector.distance(described.features), expected["distances"], atol=1e-4)
    assert detector.is_in_distribution(described.features).tolist() == expected["known"]


def test_a_layout_folder() -> None:
    scan = open_scan("layout", YESTERDAY / "layout")
    assert scan.frame_ids() == ["room-0000-000000"]
    frame = scan[0]
    assert frame.depth is not None
    assert frame.depth.shape == (48, 64)
    assert frame.views[0].image.shape == (48, 64, 3)
    assert np.isfinite(frame.points).all()
    assert len(scan.annotations(0).labels) > 0


def test_a_recognition_result() -> None:
    result = clip2.Instances3D.from_json(YESTERDAY / "result.json")
    assert Counter(result.labels) == {"unknown": 10, "chair": 4, "table": 2}
    assert np.isfinite(result.boxes).all()
    assert clip2.Instances3D.from_json(result.to_json()).labels == result.labels


def test_a_map_can_be_asked_and_goes_on() -> None:
    loaded = clip2.ObjectMap.load(YESTERDAY / "map", tiny_model(tiny_bank()))
    found = loaded.query("chair, box")
    assert len(found) == len(loaded) == 2
    near = sorted(np.round(found.boxes[:, :2]).tolist())
    assert near == [[0, 5], [4, 0]]
    loaded.update(*sweep({0: ((4, 0, 0.5), (1, 1, 1))}, 10.0))
    assert len(loaded) >= 2


def test_an_index(files: Path) -> None:
    index = clip2.Index(files / "index")
    stored = index_writers.objects(6)
    assert len(index) == 6
    (best, *_) = index.search(stored[3].embedding, index_writers.SPACE, k=2)
    assert (best.object.number, best.object.label, best.object.scan) == (3, "label 3", "kitchen")
    assert index.add(stored, index_writers.SPACE) == 0, "they are known"
    assert index.add(index_writers.objects(2, seed=9), index_writers.SPACE) == 2


def test_an_evaluation_result() -> None:
    (result,) = read_results(YESTERDAY / "results.json")
    assert (result.benchmark, result.metrics["top-1"].value) == ("modelnet10", 0.5)
    assert np.isnan(result.metrics["rank"].value)
    assert result.confusion is not None
    assert result.confusion.counts == ((5, 5), (0, 0))
    assert result.curves[0].y == (0.5, 0.25)


def test_detections() -> None:
    detections = CocoDetections.load(YESTERDAY / "detect" / "finished.json")
    assert detections.for_image("image_0/0.png", 64, 48).labels == ("mug",)


def test_a_killed_detection_run_is_continued(files: Path) -> None:
    detector = ColorDetector()
    run = detect_scan(PaintedScan(Path("x")), detector, files / "detect" / "killed.json", batch_size=2)
    assert (run.reused, run.detected) == (2, 3)
    killed, finished = (
        json.loads((files / "detect" / name).read_text()) for name in ("killed.json", "finished.json")
    )
    assert [killed[key] for key in killed if key != "info"] == [
        finished[key] for key in finished if key != "info"
    ]
    done = detect_scan(PaintedScan(Path("x")), detector, files / "detect" / "finished.json", batch_size=2)
    assert (done.reused, done.detected) == (5, 0)
