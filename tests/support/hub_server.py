"""A local stand-in for a model hub: the parts of its HTTP API that huggingface_hub calls to create, commit and read.

It was written from the requests that the library sends. Large files, which the real hub takes through separate storage,
come with the commit here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" * 6 + "c0ff"


@dataclass
class Hub:
    """State of the server.

    Attributes:
        url: to be given as ``HF_ENDPOINT``.
        repositories: name → file → content.
        refuse: status that every further request gets; 0: none.
        requests: method and path of all requests so far.
    """

    url: str
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refuse: int = 0
    requests: list[str] = field(default_factory=list)

    def environment(self, home: Any) -> dict[str, str]:
        """Variables that send a process to this hub, with its cache in ``home``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": "hf_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *arguments: Any) -> None:
        """Keep the test output quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._refused("POST"):
            return None
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if name in self.hub.repositories:
                return self._json({"error": "exists", "url": f"{self.hub.url}/{name}"}, 409)
            self.hub.repositories[name] = {}
            return self._json({"url": f"{self.hub.url}/{name}"})
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/api/models/(\S+/\S+)/preupload/main", self.path):
            files = json.loads(body)["files"]
            return self._json(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
                    ]
                }
            )
        if match := re.fullmatch(r"/api/models/(\S+/\S+)/commit/main", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.hub.repositories[match[1]][line["value"]["path"]] = content
            url = f"{self.hub.url}/{match[1]}/commit/{COMMIT}"
            return self._json({"success": True, "commitOid": COMMIT, "commitUrl": url})
        return self._json({"error": "not found"}, 404)

    def do_HEAD(self) -> None:
        self._read(send=False)

    def do_GET(self) -> None:
        self._read(send=True)

    def _read(self, send: bool) -> None:
        if self._refused(self.command):
            return None
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            files = self.hub.repositories.get(match[1])
            if files is None:
                return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            return self._json({"id": match[1], "modelId": match[1], "sha": COMMIT, "siblings": siblings})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            files = self.hub.repositories.get(match[1], {})
            return self._json(
                [{"type": "file", "path": n, "size": len(c), "oid": _oid(c)} for n, c in files.items()]
            )
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            content = self.hub.repositories.get(match[1], {}).get(match[2])
            if content is None:
                return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            start = 0
            if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                start = int(asked[1])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._reply(content[start:], 206 if start else 200, headers, send)
        return self._json({"error": "not found"}, 404)

    def _refused(self, method: str) -> bool:
        self.hub.requests.append(f"{method} {self.path}")
        if self.hub.refuse:
            self._json({"error": "refused by the hub"}, self.hub.refuse)
        return bool(self.hub.refuse)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        send = self.command != "HEAD"
        self._reply(
            json.dumps(value).encode(), status, {"Content-Type": "application/json"} | (headers or {}), send
        )

    def _reply(self, body: bytes, status: int, headers: dict[str, str], send: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if send:
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
