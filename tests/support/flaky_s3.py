"""An S3 server that fails as networks and stores do, by a seed: moto behind a layer that spoils requests."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

FAULTS = ("refused", "answer lost", "upload cut", "download cut", "slow")


class FlakyS3:
    """A WSGI application that spoils some of the requests of another.

    Args:
        application: the sound one.

    Attributes:
        share: of the requests that are spoiled.
        down_after: requests that are still served; later ones are refused. None: it does not go down.
        delay: seconds of a slow answer.
        next_fault: what the next request meets, whatever the share; then empty again.
        done: faults so far by kind.
        requests: number of them so far.
    """

    def __init__(self, application: Any) -> None:
        self._application, self._guard = application, threading.Lock()
        self.delay = 1.0
        self.reset()

    def reset(self, share: float = 0.0, down_after: int | None = None, seed: int = 0) -> None:
        """Begin anew with other faults."""
        self.share, self.down_after, self._random = share, down_after, random.Random(seed)
        self.done, self.requests, self.next_fault = Counter[str](), 0, ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._guard:
            self.requests += 1
            kind = self._random.choice(FAULTS) if self._random.random() < self.share else ""
            kind, self.next_fault = self.next_fault or kind, ""
            if self.down_after is not None and self.requests > self.down_after:
                kind = "refused"
            self.done[kind] += bool(kind)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if kind == "refused":
            environ["wsgi.input"].read(length)
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if kind == "upload cut":
            environ["wsgi.input"].read(length // 2)
            raise ConnectionAbortedError
        if kind == "slow":
            time.sleep(self.delay)
        answer = self._application(environ, start_response)
        if kind == "answer lost":
            b"".join(answer)
            raise ConnectionAbortedError
        return _half(answer) if kind == "download cut" else answer


def _half(answer: Iterable[bytes]) -> Iterator[bytes]:
    content = b"".join(answer)
    yield content[: len(content) // 2]
    raise ConnectionAbortedError


@contextmanager
def flaky_s3() -> Iterator[tuple[str, FlakyS3]]:
    """Its address, with an empty ``bucket``, and the layer that spoils requests."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    layer = FlakyS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, layer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
        )
        client.create_bucket(Bucket="bucket")
        yield url, layer
    finally:
        server.shutdown()
        thread.join()
