"""Answers over HTTP: the same as of the library, in every form of body."""

from __future__ import annotations

import io
import json
import threading
from urllib.parse import quote

import numpy as np
import pytest
import trimesh
from PIL import Image
from support.live_server import multipart, running
from support.recognition_stand_ins import THREE_BOXES, box_surface, ground, tiny_bank, tiny_model

import clip2
from clip2 import Client, InputError, Recognizer
from data_prep.geometry import Camera
from data_prep.scans import Frame, open_scan

SCENE = np.concatenate(
    [ground(spacing=0.05), *(box_surface(c, s, np.radians(yaw), 0.03) for c, s, yaw in THREE_BOXES)]
).astype(np.float32)
OBJECTS = [
    box_surface((0, 0, 0), size, spacing=0.05).astype(np.float32) for size in ((1, 0.8, 0.1), (0.3, 0.3, 1.5))
]


@pytest.fixture(scope="module")
def model():
    return tiny_model(tiny_bank())


@pytest.fixture(scope="module")
def live(model):
    with running(model) as server:
        yield server


def npz(points: np.ndarray, **more: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, points=points, **more)
    return stream.getvalue()


def expected(model, scan, labels="chair,table,box", **options) -> dict:
    return Recognizer(model).set_scan(scan).query(labels, **options).to_json()


def same(answer: dict, document: dict) -> bool:
    """Equal but for rounding: batches of other sizes differ in the last bits."""
    objects, wanted = answer["objects"], document["objects"]
    assert [o["label"] for o in objects] == [o["label"] for o in wanted]
    assert np.allclose([o["score"] for o in objects], [o["score"] for o in wanted], atol=1e-4)
    return [o["indices"] for o in objects] == [o["indices"] for o in wanted]


def test_recognize_answers_like_the_library(live, model):
    answer = live.ask("/v1/recognize?labels=chair,table,box&unknown=name", npz(SCENE)).json
    document = expected(model, SCENE, unknown="name")
    assert len(document["objects"]) >= 3
    assert same(answer, document)
    assert set(document) - {"frame"} <= set(answer)
    assert answer["notes"] == []
    assert set(answer["seconds"]) == {"propose", "boxes", "encode"}
    read = clip2.Instances3D.from_json({name: answer[name] for name in document})
    assert len(read) == len(document["objects"])


@pytest.mark.parametrize("kind", ["ply", "npz", "bare", "form"])
def test_every_form_of_body_is_the_same_scan(live, model, kind):
    ply = bytes(trimesh.PointCloud(SCENE).export(file_type="ply"))
    bodies = {
        "ply": (ply, "", ""),
        "npz": (npz(SCENE), "", "text/plain"),
        "bare": (SCENE.tobytes(), "&columns=3", ""),
        "form": (multipart(scan=ply)[0], "", multipart()[1]),
    }
    body, query, content_type = bodies[kind]
    headers = {"Content_Type": content_type} if content_type else {}
    answer = live.ask(f"/v1/recognize?labels=chair,table,box{query}", body, **headers).json
    assert same(answer, expected(model, SCENE))


def test_axes_and_units_are_turned_to_meters_and_z_up(live, model):
    millimeters_y_up = 1000 * SCENE[:, [0, 2, 1]] * [1, 1, -1]
    answer = live.ask("/v1/recognize?labels=box&up=y&scale=0.001", npz(millimeters_y_up)).json
    centers = [o["center"] for o in answer["objects"]]
    boxes = [o["center"] for o in expected(model, SCENE, "box")["objects"]]
    assert np.allclose(sorted(centers), sorted(boxes), atol=0.02)


def test_an_rgbd_image_is_recognized(live, model):
    frame = open_scan("procedural", "room", frames=1, image_size=(160, 120))[0]
    view, depth = frame.views[0], frame.depth
    camera = Camera(view.camera.K, view.camera.width, view.camera.height)
    stored = np.round(1000 * depth).astype(np.uint16)
    color, raw = io.BytesIO(), io.BytesIO()
    Image.fromarray(view.image).save(color, "PNG")
    Image.fromarray(stored).save(raw, "PNG")
    pose = frame.T_world_points @ view.camera.T_points_cam
    K = view.camera.K
    body, content_type = multipart(
        color=color.getvalue(),
        depth=raw.getvalue(),
        intrinsics=f"{K[0, 0]},{K[1, 1]},{K[0, 2]},{K[1, 2]}".encode(),
        depth_scale=b"1000",
        pose=json.dumps(pose.tolist()).encode(),
    )
    answer = live.ask("/v1/recognize?labels=chair,box", body, Content_Type=content_type).json
    same_frame = Frame.from_depth("scan", camera, view.image, (stored / 1000.0).astype(np.float32), pose)
    assert same(answer, expected(model, same_frame, "chair,box"))


def test_classify_and_embed_answer_like_the_library(live, model):
    body, content_type = multipart(a=npz(OBJECTS[0]), b=npz(OBJECTS[1]))
    answer = live.ask("/v1/classify?labels=chair,table&top=2", body, Content_Type=content_type).json
    named = model.classify(OBJECTS, "chair,table")
    assert [o["label"] for o in answer["objects"]] == list(named.best)
    assert [o["file"] for o in answer["objects"]] == ["a.file", "b.file"]
    assert np.allclose([o["top"][0]["score"] for o in answer["objects"]], named.scores.max(axis=1), atol=1e-4)
    vectors = live.ask("/v1/embed", body, Content_Type=content_type).json["embeddings"]
    assert np.allclose(vectors, named.embeddings, atol=1e-5)


def tensor(name: str, array: np.ndarray, datatype: str) -> dict:
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}


def test_infer_takes_ragged_and_square_batches(live, model):
    flat = np.concatenate(OBJECTS)
    lengths = np.array([len(each) for each in OBJECTS])
    document = {"id": "7", "inputs": [tensor("points", flat, "FP32"), tensor("lengths", lengths, "INT64")]}
    answer = live.ask("/v2/models/encode/infer", json.dumps(document).encode()).json
    output = {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer["outputs"]}
    assert answer["id"] == "7"
    assert np.allclose(output["embeddings"], model.encode(OBJECTS).numpy(), atol=1e-5)
    assert output["in_distribution"].tolist() == [True, True]
    square = np.stack([OBJECTS[0][:60], OBJECTS[1][:60]])
    document = {"inputs": [tensor("points", square, "FP32")], "outputs": [{"name": "embeddings"}]}
    (only,) = live.ask("/v2/models/encode/infer", json.dumps(document).encode()).json["outputs"]
    assert np.allclose(np.reshape(only["data"], only["shape"]), model.encode(square).numpy(), atol=1e-5)


def test_facts_about_server_and_model(live, model):
    assert live.ask("/v1/labels").json["labels"] == ["chair", "table", "box", "floor", "traffic light"]
    assert live.ask("/v2").json["version"] == clip2.__version__
    assert live.ask("/v2/health/ready").json == {"ready": True}
    assert live.ask("/v2/models/encode").json["outputs"][0]["shape"] == [-1, 16]
    page = live.ask("/docs").content.decode()
    assert "POST /v1/recognize" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_labels_with_quotes_and_scripts_are_text(live):
    label = '<script>alert("1")</script>\x1b[31m'
    answer = live.ask(f"/v1/recognize?labels={quote(label)}", npz(SCENE))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert "script" in answer.json["error"]


def test_the_client_answers_like_the_library(live, model, tmp_path):
    client = Client(live.url)
    found = client.recognize(SCENE, ["chair", "table", "box"], unknown="name")
    assert same(found.to_json(), expected(model, SCENE, unknown="name"))
    assert found.to_html(tmp_path / "page.html").stat().st_size > 10_000
    np.save(tmp_path / "object.npy", OBJECTS[1])
    answer = client.classify([OBJECTS[0], tmp_path / "object.npy"], "chair,table", top=1)
    assert [o["label"] for o in answer["objects"]] == list(model.classify(OBJECTS, "chair,table").best)
    assert np.allclose(client.embed(OBJECTS), model.encode(OBJECTS).numpy(), atol=1e-5)
    assert client.labels()[0] == "chair"
    with pytest.raises(InputError, match=r"answered 400: labels: 'chair' is given twice"):
        client.recognize(SCENE, "chair,chair")


def test_the_client_keeps_map_coordinates(live):
    far = SCENE.astype(np.float64) + [500_000, 4_000_000, 0]
    boxes = Client(live.url).recognize(far, "box").boxes
    near = Client(live.url).recognize(SCENE, "box").boxes
    assert np.allclose(
        sorted((boxes[:, :3] - [500_000, 4_000_000, 0]).tolist()), sorted(near[:, :3].tolist()), atol=0.02
    )


def test_many_clients_get_their_own_answers(live, model):
    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(40 + 3 * i, 3)).astype(np.float32) for i in range(60)]
    answers: dict[int, np.ndarray] = {}
    before = live.metric("clip2_batch_requests_count")

    def ask(i: int) -> None:
        answers[i] = Client(live.url).embed([clouds[i]])[0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = model.encode(clouds).numpy()
    assert all((answers[i] * wanted[i]).sum() > 0.9999 for i in range(60))
    assert live.metric("clip2_batch_requests_count") - before < 60, "no two requests shared a batch"
