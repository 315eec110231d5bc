"""Stand-in of the Hugging Face hub: its HTTP API for files, on a port of this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the stand-in serves, and what it was asked for.

    Attributes:
        url: its address, for ``HF_ENDPOINT``.
        files: path after the host (``org/name/resolve/REVISION/FILE``, without revision: ``org/name/FILE``) → file.
        downloads: paths of the requests that got bytes.
        sent: bytes sent.
        cut: bytes after which an answer breaks off, once; None: never.
    """

    url: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    sent: int = 0
    cut: int | None = None

    def add(self, repository: str, file: str, path: Path, kind: str = "model") -> None:
        """Serve ``path`` as a file of a repository."""
        self.files[f"{'datasets/' if kind == 'dataset' else ''}{repository}/{file}"] = path


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A running stand-in."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            repository, _, rest = unquote(self.path).lstrip("/").partition("/resolve/")
            _, _, name = rest.partition("/")
            path = hub.files.get(f"{repository}/{name}")
            if path is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            first = 0
            asked = self.headers.get("Range", "")
            if asked.startswith("bytes="):
                first = int(asked[6:].partition("-")[0])
            self.send_response(206 if first else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            if not body:
                return
            hub.downloads.append(f"{repository}/{name}")
            part = content[first:]
            if hub.cut is not None:
                part, hub.cut = part[: hub.cut], None
                self.close_connection = True
            self.wfile.write(part)
            hub.sent += len(part)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
