"""ASGI layer around the app: request ids, token, log lines and metrics."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clip2.server.metrics import Metrics

REQUEST_ID = "clip2.request_id"  # in the ASGI scope
FACTS = "clip2.facts"  # in the ASGI scope: what a handler adds to the request's log line
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = ("GET", "POST", "DELETE")
_OPEN = ("/v2/health/live", "/v2/health/ready")  # for load balancers
_log = logging.getLogger("clip2.server")


def error_response(
    scope: Scope, status: int, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The answer to a request that failed: one line, and the id under which the log has it."""
    return JSONResponse(
        {"error": message, "request_id": scope.get(REQUEST_ID, "")}, status, headers=headers or {}
    )


class Edge:
    """Gives each request an id, checks its token, and records how it ended.

    Args:
        app: to call.
        metrics: to count in.
        token: that requests must carry as ``Authorization: Bearer``; None: everyone may ask.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None = None) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        scope[REQUEST_ID] = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope[FACTS] = {}
        ended = _Ended(send, scope[REQUEST_ID])
        began = time.perf_counter()
        try:
            if self._may_ask(scope["path"], headers.get(b"authorization", b"")):
                await self._app(scope, receive, ended)
            else:
                refusal = error_response(
                    scope, 401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive, ended)
        finally:
            failed = sys.exc_info()[0] is not None  # Starlette answers 500 outside of here
            self._record(scope, 500 if failed else ended.status, time.perf_counter() - began)

    def _may_ask(self, path: str, given: bytes) -> bool:
        return self._token is None or path in _OPEN or hmac.compare_digest(given, self._token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # a path itself would make a metric of each typo
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        fields: dict[str, Any] = {
            "request_id": scope[REQUEST_ID],
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
            "client": (scope.get("client") or ("",))[0],
            **scope[FACTS],
        }
        level = logging.DEBUG if scope["path"] in _OPEN else logging.INFO
        _log.log(logging.ERROR if status == 500 else level, "request", extra={"fields": fields})


class _Ended:
    """``send`` that adds the request id to the headers and remembers the status.

    Attributes:
        status: of the answer; 499, as nginx calls it, if the client left before one.
    """

    def __init__(self, send: Callable[[Message], Any], request_id: str) -> None:
        self._send, self._id = send, request_id.encode()
        self.status = 499

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self._id)]}
        await self._send(message)
