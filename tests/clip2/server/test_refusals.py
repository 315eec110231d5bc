"""Bad, huge, slow, lying and aborted requests: one line of JSON each, and the server goes on answering."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.live_server import Live, multipart, running
from support.recognition_stand_ins import box_surface, tiny_bank, tiny_model

from clip2 import Client
from clip2.server import Limits
from clip2.server.engine import Engine
from data_prep.errors import InputError

CUBE = box_surface((0, 0, 0), (1, 1, 1), spacing=0.1).astype(np.float32)
LIMITS = Limits(max_mb=0.5, max_points=5000, max_objects=3, seconds=1.0, concurrent=1, queue=2)


@pytest.fixture(scope="module")
def model():
    return tiny_model(tiny_bank())


@pytest.fixture(scope="module")
def live(model):
    with running(model, LIMITS) as server:
        yield server


def npz(points: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, points=points)
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file, file.open("points.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f4", "fortran_order": False, "shape": (10_000_000, 3)}
        )
        for _ in range(120):
            member.write(bytes(1_000_000))
    return stream.getvalue()


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def rgbd(**changes: bytes) -> tuple[bytes, str]:
    fields = {
        "color": png(np.zeros((4, 6, 3), np.uint8)),
        "depth": png(np.full((4, 6), 1000, np.uint16)),
        "intrinsics": b"5,5,3,2",
        "depth_scale": b"1000",
    }
    return multipart(**{**fields, **changes})


def tensors(**changes: object) -> bytes:
    points = {"name": "points", "shape": [2, 3], "datatype": "FP32", "data": [0, 0, 0, 1, 1, 1]}
    return json.dumps({"inputs": [{**points, **changes}]}).encode()


INFER = "/v2/models/encode/infer"
PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex 200000000\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
BAD = {
    "no body": ("/v1/recognize", b"", 400, "body: is empty"),
    "text": ("/v1/recognize", b"hello", 400, "begins with b'hello'"),
    "a script": ("/v1/embed", b"<script>", 400, "<script>"),
    "pickle": ("/v1/embed", b"\x80\x04K\x01.", 400, "unlike PLY"),
    "cut short": ("/v1/embed", npz(CUBE)[:-40], 400, "cannot be read"),
    "not whole records": ("/v1/embed?columns=3", bytes(13), 400, "not a positive multiple of 12"),
    "nan": ("/v1/embed?columns=3", np.full((3, 3), np.nan, "<f4").tobytes(), 400, "no finite point"),
    "200 M points": ("/v1/recognize", PLY, 413, "200,000,000 points"),
    "too many points": ("/v1/recognize", npz(np.ones((5001, 3), np.float32)), 413, "holds 5,001 points"),
    "too large": ("/v1/recognize", bytes(600_000), 413, "larger than 500,000 bytes"),
    "zip bomb": ("/v1/recognize", bomb(), 413, "10,000,000 points"),
    "threshold": ("/v1/recognize?threshold=2", b"x", 400, "threshold: "),
    "columns": ("/v1/embed?columns=2", b"x", 400, "columns: "),
    "proposals": ("/v1/recognize?proposals=magic", b"x", 400, "proposals: "),
    "up": ("/v1/embed?up=w", npz(CUBE), 400, "up"),
    "scale": ("/v1/embed?scale=inf", npz(CUBE), 400, "scale"),
    "unknown label": ("/v1/recognize?labels=zorg", npz(CUBE), 400, "zorg"),
    "empty labels": ("/v1/recognize?labels=", npz(CUBE), 400, "is empty"),
    "not JSON": (INFER, b"{", 400, "is not JSON"),
    "deep JSON": (INFER, b"[" * 100_000, 400, "is not JSON"),
    "a JSON list": (INFER, b"[]", 400, "is not a JSON object"),
    "much JSON": (INFER, b"[" + b"0," * 100_000 + b"0]", 400, "of JSON, at most"),
    "no inputs": (INFER, b"{}", 400, "inputs: is missing"),
    "shape lies": (INFER, tensors(shape=[3, 3]), 400, "points: is not a tensor"),
    "negative shape": (INFER, tensors(shape=[-1, 3]), 400, "points: is not a tensor"),
    "text as data": (INFER, tensors(data=["a"] * 6), 400, "points: is not a tensor"),
    "type": (INFER, tensors(datatype="BYTES"), 400, "points: is not a tensor"),
    "name": (INFER, tensors(name="voxels"), 400, "voxels: is not an input"),
    "nan by name": (INFER, tensors(data=[float("nan")] * 6), 400, "NaN"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_get_one_line(live, case):
    path, body, status, message = BAD[case]
    answer = live.ask(path, body)
    assert answer.status == status
    assert message in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert answer.json["request_id"] == answer.headers["x-request-id"]


FORMS = {
    "no depth": ({"depth": b""}, "depth"),
    "no number": ({"intrinsics": b"5,5,x,2"}, "intrinsics: is not 4 numbers"),
    "scale of zero": ({"depth_scale": b"0"}, "depth_scale: is 0"),
    "8-bit depth": ({"depth": png(np.zeros((4, 6), np.uint8))}, "depth"),
    "other size": ({"color": png(np.zeros((5, 6, 3), np.uint8))}, "image"),
    "pose": ({"pose": b"[[1,0],[0,1]]"}, "pose: is not 4 x 4 numbers"),
    "many pixels": ({"color": png(np.zeros((100, 60, 3), np.uint8))}, "100 pixels, at most 5,000"),
    "PostScript": ({"color": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n"}, "image: cannot be read"),
    "nothing measured": ({"depth": png(np.zeros((4, 6), np.uint16))}, "holds no measurement"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_bad_images_get_one_line(live, case):
    changes, message = FORMS[case]
    body, content_type = rgbd(**changes)
    answer = live.ask("/v1/recognize", body, Content_Type=content_type)
    assert answer.status == 400
    assert message in answer.json["error"]


def test_broken_forms_get_one_line(live):
    body, content_type = multipart(a=npz(CUBE), b=npz(CUBE), c=npz(CUBE), d=npz(CUBE))
    assert live.ask("/v1/embed", body, Content_Type=content_type).status == 400  # max_objects is 3
    for broken in (body[:300], b"", b"--edge\r\n\r\n", body.replace(b"name=", b"nome=")):
        assert live.ask("/v1/embed", broken, Content_Type=content_type).status == 400
    assert live.ask("/v1/embed", body, Content_Type="multipart/form-data").status == 400
    assert "two clouds" not in live.ask("/v1/recognize", body, Content_Type=content_type).json["error"]


def test_paths_in_names_are_only_shown(live, tmp_path):
    body, content_type = multipart(a=npz(CUBE))
    body = body.replace(b"a.file", b"../../../etc/passwd")
    answer = live.ask("/v1/classify?labels=chair", body, Content_Type=content_type)
    assert answer.json["objects"][0]["file"] == "../../../etc/passwd"
    assert answer.json["objects"][0]["top"][0]["label"] == "chair"


def test_wrong_paths_and_methods(live):
    assert live.ask("/v1/nothing").status == 404
    assert live.ask("/v1/recognize").status == 405
    assert live.ask("/v1/labels", b"x").status == 405


def test_odd_requests_make_no_new_metrics(live):
    for name in ("ZORG", "GLUB"):
        live.ask(f"/{name}", method=name)
    text = live.ask("/metrics").content.decode()
    assert "ZORG" not in text
    assert 'clip2_requests_total{method="other",route="none",status="404"}' in text


def test_a_request_id_of_the_client_is_kept_unless_it_is_odd(live):
    assert live.ask("/v2", X_Request_ID="robot-7").headers["x-request-id"] == "robot-7"
    assert live.ask("/v2", X_Request_ID="a b\x1b[31m").headers["x-request-id"] != "a b\x1b[31m"


def post(length: int | str, path: str = "/v1/embed?columns=3") -> str:
    return f"POST {path} HTTP/1.1\nHost: x\nContent-Length: {length}\n\n"


def still_answers(live: Live) -> bool:
    return live.ask("/v1/embed?columns=3", CUBE.tobytes()).status == 200


def test_a_body_that_lies_about_its_length(live):
    with live.open(post(1200)) as connection:  # fewer bytes than announced
        connection.sendall(bytes(600))
        assert still_answers(live)
        assert b" 408 " in connection.recv(4096)
    with live.open(post(24)) as connection:  # more bytes than announced: the rest is no request
        connection.sendall(np.ones((2, 3), "<f4").tobytes() + b"garbage of some length\r\n\r\n")
        assert connection.recv(65536).split(b" ")[1] in (b"200", b"400")
    for length in ("-5", "many", str(10**18)):
        with live.open(post(length)) as connection:
            connection.sendall(bytes(100))
            assert connection.recv(4096).split(b" ")[1] in (b"400", b"413")
    assert still_answers(live)


def test_a_chunked_body_is_counted(live):
    head = "POST /v1/embed?columns=3 HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n"
    with live.open(head) as connection:
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with contextlib.suppress(OSError):  # the server may close before all is sent
            for _ in range(12):
                connection.sendall(piece)
        assert b" 413 " in connection.recv(4096)


def test_slow_and_silent_clients_block_nobody(live):
    slow = [live.open(post(1200)) for _ in range(30)]  # far more than requests may wait
    silent = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(30)]
    try:
        for connection in slow:
            connection.sendall(bytes(12))
        began = time.perf_counter()
        assert still_answers(live)
        assert time.perf_counter() - began < LIMITS.seconds
    finally:
        for connection in (*slow, *silent):
            connection.close()
    assert still_answers(live)


def test_clients_that_leave_are_forgotten(live, monkeypatch):
    started, release = threading.Event(), threading.Event()
    real = Engine.recognize

    def slow(self, frame, query, most):
        started.set()
        release.wait(10)
        return real(self, frame, query, most)

    monkeypatch.setattr(Engine, "recognize", slow)
    body = npz(CUBE)
    gone = [live.open(post(len(body), "/v1/recognize?labels=chair")) for _ in range(3)]
    for connection in gone:
        connection.sendall(body)
    assert started.wait(10)
    for connection in gone:
        connection.close()
    deadline = time.monotonic() + 5
    while live.metric("clip2_requests_working") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.metric("clip2_requests_working") == 0
    release.set()
    assert still_answers(live)


def test_a_full_queue_says_when_to_come_back(live, monkeypatch):
    release = threading.Event()
    real = Engine.recognize

    def slow(self, frame, query, most):
        release.wait(10)
        return real(self, frame, query, most)

    monkeypatch.setattr(Engine, "recognize", slow)
    statuses: list[int] = []
    body = npz(CUBE)

    def ask() -> None:
        statuses.append(live.ask("/v1/recognize?labels=chair", body).status)

    threads = [threading.Thread(target=ask) for _ in range(3)]  # 1 works, 2 wait
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while live.metric("clip2_requests_working") < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    refused = live.ask("/v1/recognize?labels=chair", body)
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "the queue is full" in refused.json["error"]
    assert live.ask("/v2/health/live").status == 200
    client = Client(live.url, attempts=5)  # waits as told, and gets its answer
    threading.Timer(0.3, release.set).start()
    assert len(client.recognize(CUBE, "chair")) <= 1
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 504}
    assert live.metric("clip2_refused_total") >= 1


def test_what_takes_too_long_is_ended(live, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(Engine, "recognize", lambda *arguments: release.wait(10) and {})
    answer = live.ask("/v1/recognize?labels=chair", npz(CUBE))
    release.set()
    assert (answer.status, answer.json["error"]) == (504, "not done within 1 s")
    assert still_answers(live)


def test_a_bug_is_told_by_its_id_only(live, monkeypatch):
    def broken(*arguments: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(Engine, "recognize", broken)
    answer = live.ask("/v1/recognize?labels=chair", npz(CUBE))
    assert answer.status == 500
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert b"secret" not in answer.content
    assert still_answers(live)


def test_a_token_guards_everything_but_health(model):
    with running(model, token="s3cret") as guarded:
        assert guarded.ask("/v2/health/ready").status == 200
        for path in ("/v1/labels", "/metrics", "/docs", "/openapi.json", "/nothing"):
            assert guarded.ask(path).status == 401
        assert guarded.ask("/v1/embed?columns=3", CUBE.tobytes()).headers["www-authenticate"] == "Bearer"
        assert guarded.ask("/v1/labels", Authorization="Bearer wrong").status == 401
        assert guarded.ask("/v1/labels", Authorization="Bearer s3cret").status == 200
        assert Client(guarded.url, token="s3cret").embed([CUBE]).shape == (1, 16)
        with pytest.raises(InputError, match="answered 401: the token is missing or wrong"):
            Client(guarded.url).labels()


def test_no_other_web_page_may_ask(live):
    answer = live.ask("/v1/labels", Origin="http://elsewhere.example")
    assert "access-control-allow-origin" not in answer.headers


def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=r"does not answer .* Fix: start clip2 serve"):
        Client(url).labels()


@pytest.mark.parametrize("name", ["max_mb", "max_points", "seconds", "queue"])
def test_limits_are_positive(name):
    with pytest.raises(InputError, match=f"{name}: is 0"):
        Limits(**{name: 0}).check()
