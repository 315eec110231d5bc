"""Requests to a real server: what it answers is never a failure of its own."""

from __future__ import annotations

import http.client
import io
import json
import socket
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import numpy as np
from siege.trial import Target
from support import rgbd_twins
from support.live_server import Live, multipart, running
from support.recognition_stand_ins import box_surface, tiny_bank, tiny_model

from clip2.server import Limits
from data_prep.errors import InputError

# On a busy machine a sound request takes long.
LIMITS = Limits(max_mb=2, max_points=5000, max_objects=4, seconds=60.0)
_PATIENCE = 6.0
_RUNNING = ExitStack()


@cache
def server() -> Live:
    """One for all cases of a process, which ends it."""
    return _RUNNING.enter_context(running(tiny_model(tiny_bank()), LIMITS))


def request(
    path: str, body: bytes = b"", kind: str = "application/octet-stream", method: str = "POST"
) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    if method == "POST":
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def write_requests(folder: Path) -> None:
    points = box_surface((0, 0, 0), (1, 1, 1), spacing=0.2).astype("<f4")
    npz = io.BytesIO()
    np.savez(npz, points=points)
    rgbd_twins.write_picture(folder / "color.png")
    rgbd_twins.write_depth_png(folder / "depth.png", rgbd_twins.depth_meters(0), 1000)
    images = {name: (folder / f"{name}.png").read_bytes() for name in ("color", "depth")}
    form, form_kind = multipart(**images, intrinsics=b"60,60,32,24", depth_scale=b"1000")
    objects, objects_kind = multipart(a=npz.getvalue(), b=npz.getvalue())
    tensors = {
        "inputs": [{"name": "points", "shape": [2, 3], "datatype": "FP32", "data": [0, 0, 0, 1, 1, 1]}]
    }
    pose = ",".join(map(str, np.eye(4).ravel()))
    requests = {
        "recognize": request("/v1/recognize?labels=chair,table&up=z&scale=1&threshold=0.1", npz.getvalue()),
        "bare": request("/v1/recognize?columns=3&proposals=auto", points.tobytes()),
        "rgbd": request("/v1/recognize?brief=true", form, form_kind),
        "classify": request("/v1/classify?labels=chair,table", npz.getvalue()),
        "classify-form": request("/v1/classify", objects, objects_kind),
        "embed": request("/v1/embed", npz.getvalue()),
        "infer": request("/v2/models/encode/infer", json.dumps(tensors).encode(), "application/json"),
        "kitchen-1": request(f"/v1/maps/kitchen/frames?pose={pose}&timestamp=1.5", npz.getvalue()),
        "kitchen-2": request("/v1/maps/kitchen/objects?labels=chair&threshold=0.5", method="GET"),
        "kitchen-3": request("/v1/maps/kitchen", method="DELETE"),
        **{name: request(path, method="GET") for name, path in (("maps", "/v1/maps"), ("labels", "/v1/labels"), ("metrics", "/metrics"), ("docs", "/docs"), ("model", "/v2/models/encode"))},
    }  # fmt: skip
    for name in images:
        (folder / f"{name}.png").unlink()
    for name, content in requests.items():
        (folder / f"{name}.http").write_bytes(content)


def send(folder: Path) -> None:
    """Send the request that is damaged (it differs from the sound one beside the folder) and see that others are answered."""
    refused = ""
    for path in sorted(folder.iterdir()):
        sound = folder.parent / "sound" / path.name
        if (
            folder.name == "sound"
            or not sound.exists()
            or not path.is_file()
            or path.read_bytes() != sound.read_bytes()
        ):
            content = path.read_bytes() if path.is_file() else b""
            refused = refused or _ask(content, _PATIENCE if sound.exists() else LIMITS.seconds)
    assert server().ask("/v2/health/live").status == 200
    if refused:
        raise InputError(refused)


def _ask(content: bytes, patience: float) -> str:
    """The server's refusal; empty: it answered."""
    with socket.create_connection(("127.0.0.1", server().port), timeout=15) as connection:
        with suppress(OSError):  # it had enough
            connection.sendall(content)
        response = http.client.HTTPResponse(connection)
        try:
            connection.settimeout(patience)
            response.begin()
            body = response.read()
        except TimeoutError:  # of a request that was cut short it waits for the rest
            return "waits for more"
        except http.client.IncompleteRead:  # an answer that began
            raise
        except (http.client.HTTPException, ConnectionResetError):  # bytes behind the request were not read
            return "closed the connection"
    assert response.status < 500 or response.status == 503, f"status {response.status}: {body[:200]!r}"
    if response.status >= 400 and "json" in response.headers.get("content-type", ""):
        return str(json.loads(body)["error"])
    return "" if response.status < 400 else f"status {response.status}"


SERVER = {"server": Target(write_requests, send)}
