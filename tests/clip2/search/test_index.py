"""Index of objects: what goes in comes out, once, whoever writes and whenever they are killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.index_writers import SPACE, WIDTH, objects, write
from support.recognition_stand_ins import THREE_BOXES, box_surface, ground, tiny_bank, tiny_model

from clip2 import Index, InputError, ObjectMap, Recognizer
from clip2.search import index as index_module
from clip2.search.objects import StoredObject
from clip2.search.page import write_hits
from data_prep.scans import Frame
from data_prep.triplets import Triplet, write_triplets

PROCESSES = multiprocessing.get_context("spawn")


def test_objects_come_back_as_they_went_in(tmp_path):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(1000, 3)) + [500_000, 4_000_000, 100]
    crop = np.zeros((90, 400, 3), np.uint8)
    crop[:, :, 0] = 200
    one = StoredObject(
        np.eye(WIDTH, dtype=np.float32)[3],
        np.array([500_000, 4_000_000, 100, 2, 1, 1, 0.5]),
        "red mug",
        0.75,
        scan="kitchen",
        source="a/result.json",
        number=7,
        track=42,
        timestamp=1.75e9,
        num_points=1000,
        points=points,
        colors=np.full((1000, 3), 9, np.uint8),
        crop=crop,
    )
    index = Index(tmp_path / "db")
    assert index.add([one], SPACE) == 1
    (hit,) = Index(tmp_path / "db").search(one.embedding, SPACE)
    found = hit.object
    assert hit.similarity == pytest.approx(1, abs=1e-5)
    for name in ("label", "score", "scan", "source", "number", "track", "timestamp", "num_points"):
        assert getattr(found, name) == getattr(one, name)
    assert np.array_equal(found.box, one.box)
    distances = np.linalg.norm(found.points[:, None] - points[None, :], axis=2).min(axis=1)
    assert len(found.points) == 256
    assert distances.max() < 1e-3, "thumbnail points are points of the object, near to a millimeter"
    assert found.crop.shape == (36, 160, 3)
    assert abs(found.crop.astype(int).mean(axis=(0, 1)) - [200, 0, 0]).max() < 5


def test_the_nearest_vectors_are_found_in_order(tmp_path):
    index, stored = Index(tmp_path / "db"), objects(300)
    index.add(stored, SPACE)
    query = np.random.default_rng(9).normal(size=WIDTH).astype(np.float32)
    cosines = np.stack([one.embedding for one in stored]) @ (query / np.linalg.norm(query))
    hits = index.search(query, SPACE, k=10)
    assert [hit.object.number for hit in hits] == np.argsort(-cosines)[:10].tolist()
    assert np.allclose([hit.similarity for hit in hits], np.sort(cosines)[::-1][:10], atol=1e-5)


def test_adding_again_adds_nothing(tmp_path):
    index = Index(tmp_path / "db")
    assert index.add(objects(50), SPACE) == 50
    assert index.add(objects(50) + objects(5, seed=1), SPACE) == 5
    assert index.add(objects(5, seed=1, source="elsewhere", scan="other"), SPACE) == 0, "known by content"
    assert index.add(objects(5, seed=2) * 3, SPACE) == 5, "the same object three times in one go"
    other = Index(tmp_path / "db")
    assert len(index) == len(other) == 60
    index.add(objects(1, seed=3), SPACE)
    assert len(other) == 61, "an index that is open sees what others add"


def test_filters(tmp_path):
    index = Index(tmp_path / "db")
    index.add(objects(20, seed=0, scan="O'Brien's; DROP TABLE objects --", timestamp=100.0), SPACE)
    index.add(objects(20, seed=1, scan='kitchen "2"\x1b[31m', timestamp=200.0), SPACE)
    index.add(objects(20, seed=2, scan="kitchen", timestamp=None), SPACE)
    query = np.ones(WIDTH)

    def scans(**filters: object) -> set[str]:
        return {hit.object.scan for hit in index.search(query, SPACE, k=100, **filters)}

    assert scans(scan="O'Brien's; DROP TABLE objects --") == {"O'Brien's; DROP TABLE objects --"}
    assert scans(scan='kitchen "2"\x1b[31m') == {'kitchen "2"\x1b[31m'}
    assert scans(scan="nowhere") == set()
    assert scans(since=150) == {'kitchen "2"\x1b[31m'}
    assert scans(until=150) == {"O'Brien's; DROP TABLE objects --"}
    near = index.search(query, SPACE, k=100, near=[50, 1, 0, 10.5])
    assert sorted(hit.object.box[0] for hit in near) == [40, 40, 40, 50, 50, 50, 60, 60, 60]
    assert index.scans() == sorted(["O'Brien's; DROP TABLE objects --", 'kitchen "2"\x1b[31m', "kitchen"])


def test_sightings_of_one_object_are_one_hit(tmp_path):
    vector = np.eye(WIDTH, dtype=np.float32)
    near = [
        StoredObject(vector[0] + 0.0, np.array([0.1 * i, 0, 0, 1, 1, 1, 0]), scan="a", timestamp=float(i))
        for i in range(4)
    ]
    away = StoredObject(vector[0], np.array([5.0, 0, 0, 1, 1, 1, 0]), scan="a")
    elsewhere = StoredObject(vector[0], np.array([0.2, 0, 0, 1, 1, 1, 0]), scan="b")
    moving = [
        StoredObject(vector[0], np.array([9.0 * i, 50, 0, 1, 1, 1, 0]), scan="a", track=5, timestamp=9.0 + i)
        for i in range(3)
    ]
    index = Index(tmp_path / "db")
    index.add([*near, away, elsewhere, *moving], SPACE)
    hits = index.search(vector[0], SPACE)
    assert sorted(1 + len(hit.others) for hit in hits) == [1, 1, 3, 4]


def test_vectors_of_two_models_never_meet(tmp_path):
    index = Index(tmp_path / "db")
    index.add(objects(3), SPACE)
    other = "ViT-B-16/openai"
    for call in (
        lambda: index.add(objects(3, seed=1), other),
        lambda: index.search(np.ones(WIDTH), other),
        lambda: Index(tmp_path / "db").add(objects(3, seed=1), other),
        lambda: index.search(np.ones(WIDTH + 1), SPACE),
    ):
        with pytest.raises(
            InputError, match=r"has vectors of ViT-B-32/openai \(16 wide\), these are of ViT-B"
        ):
            call()
    assert len(index) == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"k": 0}, "k: is 0"),
        ({"near": [1, 2, 3]}, "near: "),
        ({"near": [1, 2, 3, -1]}, "near: "),
        ({"since": float("nan")}, "since: "),
        ({"vector": np.zeros(WIDTH)}, "vector: "),
        ({"vector": np.full(WIDTH, np.nan)}, "vector: "),
        ({"vector": np.ones((1, WIDTH))}, "vector: "),
    ],
)
def test_bad_queries_are_one_line(tmp_path, arguments, message):
    index = Index(tmp_path / "db")
    index.add(objects(3), SPACE)
    with pytest.raises(InputError, match=message):
        index.search(**{"vector": np.ones(WIDTH), "model": SPACE, **arguments})


def test_bad_objects_are_refused():
    unit, box = np.eye(4, dtype=np.float32)[0], np.ones(7)
    for vector, place in (
        (2 * unit, box),
        (unit * np.nan, box),
        (unit[None], box),
        (unit, box[:6]),
        (unit, box * np.inf),
    ):
        with pytest.raises(InputError, match=r"embedding|box"):
            StoredObject(vector, place)


def test_what_is_no_index(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        Index(tmp_path / "file")
    (tmp_path / "triplets").mkdir()
    (tmp_path / "triplets" / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"triplets: holds other files\. Fix: name a new folder"):
        Index(tmp_path / "triplets")
    (tmp_path / "broken" / "objects.lance").mkdir(parents=True)
    with pytest.raises(InputError, match="broken: cannot be used"):
        Index(tmp_path / "broken")
    assert len(Index(tmp_path / "missing")) == 0
    assert not (tmp_path / "missing").exists(), "looking makes no folder"
    assert Index(tmp_path / "missing").search(np.ones(4), SPACE) == []


def test_an_index_of_a_newer_version(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "FORMAT", index_module.FileFormat("clip2-index", 3))
        Index(tmp_path / "db").add(objects(1), SPACE)
    with pytest.raises(InputError, match=r"db: version: is 3, this release reads 2\. Fix: upgrade clip2"):
        Index(tmp_path / "db")


def test_a_vector_index_is_built_when_it_pays(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "VECTOR_INDEX_FROM", 4000)
    index = Index(tmp_path / "db")
    index.add(objects(2500), SPACE)
    assert not index._table.list_indices()
    index.add(objects(2500, seed=1), SPACE)
    assert [one.columns for one in index._table.list_indices()] == [["vector"]]
    rng = np.random.default_rng(5)
    shared = total = 0
    for query in rng.normal(size=(20, WIDTH)):
        ids = [
            {(hit.object.box[0], hit.object.box[1]) for hit in index.search(query, SPACE, exact=exact)}
            for exact in (False, True)
        ]
        shared, total = shared + len(ids[0] & ids[1]), total + len(ids[1])
    assert shared / total >= 0.97
    index.add(objects(3, seed=2), SPACE)  # found before they are in the vector index
    newest = objects(3, seed=2)[1]
    assert index.search(newest.embedding, SPACE, k=1)[0].similarity == pytest.approx(1, abs=1e-4)


def test_the_vector_index_loses_no_far_object(tmp_path, monkeypatch):
    """Labels are far from all objects, and a filter can leave only far ones: both are compared with every code."""
    monkeypatch.setattr(index_module, "VECTOR_INDEX_FROM", 1000)
    monkeypatch.setattr(index_module, "_PARTITION", 100)  # rows; so that one partition is not the whole table
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, WIDTH)).astype(np.float32)
    vectors[:, 0] = 8  # all objects lie in one direction, like images, and the query in another, like a label
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(tmp_path / "db")
    boxes = np.pad(np.arange(2000.0)[:, None] * 10, ((0, 0), (0, 6)), constant_values=1)
    scans = [f"room {i % 1000}" for i in range(2000)]
    index.add(
        [StoredObject(*one, scan=scan) for *one, scan in zip(vectors, boxes, scans, strict=True)], SPACE
    )
    for query in rng.normal(size=(5, WIDTH)).astype(np.float32):
        query[0] = 0
        found, exact = index.search(query, SPACE), index.search(query, SPACE, exact=True)
        assert exact[0].similarity < 0.5
        assert [hit.object.box[0] for hit in found] == [hit.object.box[0] for hit in exact]
        assert len(index.search(query, SPACE, scan="room 7")) == 2


def test_writers_at_the_same_time_lose_and_double_nothing(tmp_path):
    writers = [PROCESSES.Process(target=write, args=(str(tmp_path / "db"), first, 6)) for first in (0, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    index = Index(tmp_path / "db")
    assert len(index) == 9 * 20, "three of the batches were written by both"
    assert all(index.add(objects(20, seed=seed), SPACE) == 0 for seed in range(9))


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_batches(tmp_path):
    moments = random.Random(0)
    for _ in range(5):
        writer = PROCESSES.Process(target=write, args=(str(tmp_path / "db"), 0, 200))
        writer.start()
        while writer.is_alive() and not (tmp_path / "db").exists():
            time.sleep(0.01)
        time.sleep(moments.uniform(0.5, 1.5))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert len(Index(tmp_path / "db")) % 20 == 0
    write(str(tmp_path / "db"), 0, 200)
    assert len(Index(tmp_path / "db")) == 4000


@pytest.fixture(scope="module")
def scene():
    model = tiny_model(tiny_bank())
    points = np.concatenate(
        [ground(spacing=0.05), *(box_surface(c, s, np.radians(a), 0.03) for c, s, a in THREE_BOXES)]
    )
    return model, Recognizer(model).set_scan(points).query("chair,table,box", unknown="name")


def test_a_result_is_found_again_with_its_clouds(tmp_path, scene):
    model, result = scene
    folder = tmp_path / "kitchen"
    result.to_json(folder / "result.json")
    result.to_ply(folder / "result.ply")
    index = Index(tmp_path / "db")
    assert index.add_path(folder / "result.json") == len(result)
    assert index.add(result, scan="the same") == 0
    assert index.model == model.teacher.name
    for i in range(len(result)):
        (hit, *_) = index.search(result.embeddings[i], index.model, k=1)
        assert hit.object.number == i
        assert (hit.object.scan, hit.object.label) == ("kitchen", result.labels[i])
        inside = result.points[result.indices[i]]
        assert np.abs(hit.object.points - inside.mean(axis=0)).max() < np.ptp(inside, axis=0).max()


def test_a_result_without_its_ply_has_no_clouds(tmp_path, scene):
    _, result = scene
    result.to_json(tmp_path / "result.json")
    index = Index(tmp_path / "db")
    index.add_path(tmp_path / "result.json")
    assert index.search(result.embeddings[0], index.model)[0].object.points is None


def test_triplets_are_encoded_and_found(tmp_path, scene):
    model, _ = scene
    shapes = {"flat": (1.0, 0.8, 0.1), "tall": (0.3, 0.3, 1.5)}
    triplets = [
        Triplet(
            name,
            box_surface((0, 0, 0), size, spacing=0.05).astype(np.float32),
            None,
            np.full((20, 30, 3), 77, np.uint8),
            (name,),
        )
        for name, size in shapes.items()
    ]
    write_triplets(tmp_path / "cups", triplets, source="catalog")
    with pytest.raises(InputError, match=r"needs a model .* add --model"):
        Index(tmp_path / "db").add_path(tmp_path / "cups")
    index = Index(tmp_path / "db")
    assert index.add_path(tmp_path / "cups", model) == 2
    for one in triplets:
        hit = index.search(model.encode([one.points]).numpy()[0], index.model, k=1)[0]
        assert (hit.object.label, hit.object.scan) == (one.key, "cups")
        assert hit.object.source.endswith(f"cups#{one.key}")
        assert hit.object.crop.shape == (20, 30, 3)


def test_a_map_is_found_by_its_ids(tmp_path):
    object_map = ObjectMap(tiny_model(tiny_bank()), "chair,table,box")
    scene = np.concatenate([ground(2, 0.05), box_surface((0, 0, 0.3), (0.6, 0.6, 0.6), spacing=0.04)])
    for number in range(4):
        object_map.update(Frame.build(f"{number}", scene, timestamp=1.75e9 + number))
    object_map.save(tmp_path / "kitchen")
    found = object_map.query()
    index = Index(tmp_path / "db")
    assert index.add_path(tmp_path / "kitchen") == len(found) >= 1
    for i in range(len(found)):
        hit = index.search(found.embeddings[i], index.model, k=1)[0].object
        assert (hit.scan, hit.track, hit.timestamp) == ("kitchen", found.track_ids[i], 1.75e9 + 3)
        assert np.allclose(hit.box, found.boxes[i], atol=1e-3)
        assert len(hit.points) > 0
    object_map.update(Frame.build("4", scene + [0.01, 0, 0], timestamp=1.75e9 + 4))
    object_map.save(tmp_path / "kitchen")
    assert index.add_path(tmp_path / "kitchen") >= 1, "objects that were seen again have changed"
    hits = index.search(found.embeddings[0], index.model, k=10)
    assert len({hit.object.track for hit in hits}) == len(hits), "and are one hit each all the same"


def test_the_page_shows_labels_as_text(tmp_path):
    index = Index(tmp_path / "db")
    label = '<script>alert("1")</script>'
    one = StoredObject(
        np.eye(WIDTH, dtype=np.float32)[0], np.ones(7), label, scan="<b>", points=np.random.default_rng(0).normal(size=(50, 3)),
        timestamp=1.75e9, crop=np.zeros((9, 9, 3), np.uint8),
    )  # fmt: skip
    index.add([one], SPACE)
    hits = index.search(one.embedding, SPACE)
    html = write_hits(tmp_path / "page.html", label, "1 object", hits).read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "2025-06-15 15:06:40" in html
    assert Path(write_hits(tmp_path / "none.html", "mug", "", [])).read_text().count("Nothing was found") == 1
