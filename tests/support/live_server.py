"""A real server in this process: uvicorn on a free port, in a thread."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from uvicorn import Server

from clip2.model import Clip2Model
from clip2.server import Limits, create_app
from clip2.server.run import listen, server_config


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Live:
    """A running server."""

    port: int
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def open(self, head: str) -> socket.socket:
        """A bare connection on which only a head was sent; ``\\n`` becomes the line end of HTTP."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(head.replace("\n", "\r\n").encode())
        return connection

    def metric(self, name: str) -> float:
        """Sum over all labels of one metric."""
        lines = self.ask("/metrics").content.decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )


@contextmanager
def running(model: Clip2Model, limits: Limits | None = None, **options: Any) -> Iterator[Live]:
    """Serve ``create_app(model, …)`` until the block ends."""
    limits = limits or Limits()
    listener = listen("127.0.0.1", 0, limits)
    app = create_app(model, limits=limits, **options)
    server = Server(server_config(lambda: app, limits))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started
        yield Live(listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def multipart(**fields: bytes) -> tuple[bytes, str]:
    """Body and content type of a form; fields with bytes that are not text are files."""
    edge = "edge-of-a-part"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.file"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in fields.items()
    ]
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"
