"""Server process: sockets, workers, signals."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from clip2.server.limits import Limits
from clip2.server.logs import CONFIG
from data_prep.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

_MOST_CONNECTIONS = 1000  # per worker, far below the usual limit of open files
_GRACE = 5  # seconds beyond the longest request
_HEADER_SECONDS = 10.0


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that drops connections whose first request does not begin in time; uvicorn waits for it forever."""

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(_HEADER_SECONDS, self._drop_if_silent)

    def _drop_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


def serve(
    make_app: Callable[[], FastAPI],
    host: str,
    port: int,
    workers: int,
    limits: Limits,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests that began.

    Args:
        make_app: makes the app; called once per worker, in its process (so it must be picklable).
        host, port: to listen on; port 0: any free one.
        workers: processes.
        limits: of the app.
        on_ready: called with the address once the port is open.

    Raises:
        InputError: the address cannot be used.
    """
    listener = listen(host, port, limits)
    config = server_config(make_app, limits, workers, CONFIG)
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{listener.getsockname()[1]}")
    with listener, _terminated_quietly():
        if workers == 1:
            Server(config).run([listener])
            return
        with tempfile.TemporaryDirectory(prefix="clip2-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            Multiprocess(config, [listener]).run()


def server_config(
    make_app: Callable[[], FastAPI],
    limits: Limits,
    workers: int = 1,
    log_config: dict[str, Any] | None = None,
) -> Config:
    """uvicorn's settings for an app with these limits."""
    return Config(
        make_app,
        factory=True,
        http=ImpatientProtocol,
        ws="none",
        workers=workers,
        access_log=False,
        log_config=log_config,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(limits.seconds) + _GRACE,
        timeout_worker_healthcheck=60,  # a worker that loads its model is alive
    )


def listen(host: str, port: int, limits: Limits) -> socket.socket:
    """A listening socket, whose connections end when a client does not take its answer.

    Raises:
        InputError: the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol stated, asyncio sends small answers at once (TCP_NODELAY) instead of 40 ms later.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A client that does not read its answer loses its connection; accepted sockets inherit this.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * limits.seconds))
        listener.bind(address)
        listener.listen(2048)
        listener.set_inheritable(True)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(
            f"cannot be used ({getattr(error, 'strerror', None) or error})",
            source=f"{host}:{port}",
            field="--port",
            fix="choose another port, like --port 8001, or --port 0 for any free one",
        ) from error
    return listener


@contextlib.contextmanager
def _terminated_quietly() -> Iterator[None]:
    """uvicorn ends well on SIGTERM and then raises it again, for the handler that was there before."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
