"""Python client of the server, on the standard library's HTTP."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.instances import Instances3D
from data_prep.errors import InputError
from data_prep.scans import Frame, open_scan

if TYPE_CHECKING:
    from clip2.recognition.scannable import Scannable

_EXACT = 1e-4  # meters that coordinates may lose as float32
_LONGEST_WAIT = 60.0  # seconds between two attempts


class Client:
    """Asks a server that ``clip2 serve`` started. Calls are safe from several threads.

    Args:
        url: of the server.
        token: secret of the server, if it wants one.
        timeout: seconds to wait for an answer.
        attempts: how often a request is sent while the server is busy (503); waits as long as the server says.

    Raises:
        InputError: ``url`` is no HTTP address.

    >>> Client("127.0.0.1:8000")
    Traceback (most recent call last):
    data_prep.errors.InputError: url: is '127.0.0.1:8000'. Fix: give an address like http://127.0.0.1:8000
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 120.0, attempts: int = 5) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"is {url!r}", field="url", fix="give an address like http://127.0.0.1:8000")
        self.url, self._parts, self._timeout, self._attempts = url.rstrip("/"), parts, timeout, attempts
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def recognize(
        self, scan: Scannable, labels: str | Iterable[str] | None = None, **options: Any
    ) -> Instances3D:
        """Find and name the objects of a scan, as :class:`clip2.Recognizer` does.

        Args:
            scan: a Frame; a cloud file; points (N, 3) in meters, z-up; or these and their colors (N, 3) uint8.
            labels: to choose from; None: the server's.
            options: further parameters of ``/v1/recognize``: ``threshold=0.3``, ``background="wall,floor"`` …

        Returns:
            The objects with the points of the scan, in its world axes.

        Raises:
            InputError: the scan, or the server's refusal.
        """
        points, colors = _points_of(scan)
        answer = self._post("/v1/recognize", _npz(points, colors), labels=labels, **options)
        found = Instances3D.from_json(answer)
        frame_id = scan.id if isinstance(scan, Frame) else "scan"
        return replace(found, points=points.astype(np.float64), colors=colors, frame_id=frame_id)

    def classify(
        self,
        clouds: Sequence[Scannable],
        labels: str | Iterable[str] | None = None,
        top: int = 3,
        unknown: str = "keep",
    ) -> dict[str, Any]:
        """Name objects, one cloud each: the document of ``clip2 classify --json``.

        Raises:
            InputError: a cloud, or the server's refusal.
        """
        return self._post("/v1/classify", _form(clouds), labels=labels, top=top, unknown=unknown)

    def embed(self, clouds: Sequence[Scannable]) -> NDArray[np.float32]:
        """(B, D) float32 unit rows: embeddings of objects, one cloud each.

        Raises:
            InputError: a cloud, or the server's refusal.
        """
        return np.array(self._post("/v1/embed", _form(clouds))["embeddings"], np.float32)

    def labels(self) -> tuple[str, ...]:
        """The labels that the model lists."""
        return tuple(self._ask("GET", "/v1/labels")["labels"])

    def add_frame(self, name: str, frame: Frame) -> dict[str, Any]:
        """Take a frame into a live map, as :meth:`clip2.ObjectMap.update` does.

        Args:
            name: of the map; the first frame makes it.
            frame: with its pose and timestamp. Its points are sent, not its images.

        Returns:
            The document of the objects seen in it, with ``new``, ``changed`` and ``lost`` ids.

        Raises:
            InputError: the frame, or the server's refusal.
        """
        pose = ",".join(map(str, frame.T_world_points.ravel().tolist()))
        body = _npz(frame.points, frame.colors)
        return self._post(f"/v1/maps/{quote(name)}/frames", body, pose=pose, timestamp=frame.timestamp)

    def map_objects(
        self, name: str, labels: str | Iterable[str] | None = None, threshold: float = 0.0
    ) -> Instances3D:
        """The objects of a live map, named by any labels.

        Raises:
            InputError: no such map, or the server's refusal.
        """
        query = {} if labels is None else {"labels": _text(labels)}
        path = f"/v1/maps/{quote(name)}/objects?{urlencode({**query, 'threshold': threshold})}"
        return Instances3D.from_json(self._ask("GET", path))

    def _post(self, path: str, body: tuple[bytes, str], **options: Any) -> dict[str, Any]:
        content, kind = body
        query = urlencode({name: _text(value) for name, value in options.items() if value is not None})
        return self._ask("POST", f"{path}?{query}", content, {"Content-Type": kind})

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        for attempt in range(self._attempts):
            status, answer, wait = self._send(method, path, body, headers or {})
            if status != 503 or attempt == self._attempts - 1:
                break
            time.sleep(wait)
        if not isinstance(answer, dict) or status != 200:
            problem = answer.get("error") if isinstance(answer, dict) else None
            raise InputError(f"answered {status}: {problem or 'no clip2 answer'}", source=self.url)
        return answer

    def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, float]:
        """Status, JSON (None if it is none), and seconds to wait before the next attempt."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        assert self._parts.hostname is not None
        connection = kind(self._parts.hostname, self._parts.port, timeout=self._timeout)
        try:
            # A refusal may come before the whole body is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method, self._parts.path.rstrip("/") + path, body, {**self._headers, **headers}
                )
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise InputError(
                f"does not answer ({error or type(error).__name__})", source=self.url, fix="start clip2 serve"
            ) from error
        finally:
            connection.close()
        after = response.headers.get("Retry-After", "")
        wait = min(float(after), _LONGEST_WAIT) if after.isdigit() else 1.0
        try:
            return response.status, json.loads(content), wait
        except ValueError:
            return response.status, None, wait


def _points_of(scan: Scannable) -> tuple[NDArray, NDArray[np.uint8] | None]:
    """World points of a scan, float32 where that is exact enough, and colors."""
    if isinstance(scan, str | Path):
        scan = open_scan("cloud", scan)[0]
    if isinstance(scan, Frame):
        points, colors = scan.world_points(), scan.colors
    else:
        points, colors = scan if isinstance(scan, tuple) else (scan, None)
        points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or points.dtype.kind not in "fiu":
        raise InputError(f"have shape {points.shape}", field="points", fix="give (N, 3) numbers")
    if not np.isfinite(points).all():  # dropped by the server, they would shift the indices of the answer
        raise InputError("hold NaN or inf", field="points", fix="leave such rows out")
    narrow = points.astype(np.float32)
    return (narrow if np.abs(narrow - points).max() < _EXACT else points.astype(np.float64)), colors


def _npz(points: NDArray, colors: NDArray[np.uint8] | None) -> tuple[bytes, str]:
    stream = io.BytesIO()
    if colors is None:
        np.savez(stream, points=points)
    else:
        np.savez(stream, points=points, colors=colors)
    return stream.getvalue(), "application/octet-stream"


def _form(clouds: Sequence[Scannable]) -> tuple[bytes, str]:
    """A multipart form with one npz per cloud."""
    boundary = secrets.token_hex(16)
    parts = []
    for number, cloud in enumerate(clouds):
        content, _ = _npz(*_points_of(cloud))
        name = cloud if isinstance(cloud, str | Path) else f"cloud {number}"
        shown = "".join(c if c.isprintable() and c not in '"\\' else "_" for c in str(name))
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="cloud"; filename="{shown}"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, Iterable) else str(value)
