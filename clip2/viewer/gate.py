"""Door in front of the page: checks the token and where a request comes from, then passes it on.

The page itself (viser) listens on a port of the loopback that only this process knows, and has no door of its own. A web
site that is open in the same browser could otherwise connect to it, as browsers let any site open a websocket to
``localhost``.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import cookies
from urllib.parse import parse_qs, urlsplit

from data_prep.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_HEAD, _PATIENCE = 64 * 1024, 10.0  # bytes, seconds
_CHUNK = 256 * 1024
# Addresses that stand for all of this machine; compared, not bound.
_EVERY_IPV4 = "0.0.0.0"  # nosec B104
_EVERY = (_EVERY_IPV4, "::")


class Gate:
    """A server that passes requests on to a port of the loopback, or answers with pages of its own.

    Args:
        host: address to listen on. On a loopback address no token is asked for, and requests must name the loopback.
        port: to listen on; 0: any that is free.
        inner: port of the loopback to pass requests on to, the bytes of an HTML page, or a function that gives the page
            for a request's target.
        token: that a visitor must bring as ``?token=…``, once; None: none is asked for.

    Raises:
        InputError: the address or the port cannot be used.

    Attributes:
        url: of the page, token included.
    """

    def __init__(
        self, host: str, port: int, inner: int | bytes | Callable[[str], bytes], token: str | None = None
    ) -> None:
        self._host, self._inner, self._token = host, inner, token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clip2-gate", daemon=True)
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._answer, host, port), self._loop
            ).result()
        except (OSError, OverflowError) as error:
            self._loop.call_soon_threadsafe(self._loop.stop)
            why = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"{host}:{port} cannot be used ({why})",
                field="--port",
                fix="give another one, like --port 8090",
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._cookie = f"clip2_view_{self.port}"  # cookies do not tell ports apart
        shown = "localhost" if host in LOOPBACK else host
        if host in _EVERY:  # its name is one that others can open
            shown = socket.gethostname()
        shown = f"[{shown}]" if ":" in shown else shown
        self.url = f"http://{shown}:{self.port}/" + (f"?token={token}" if token else "")

    def close(self) -> None:
        """Stop listening and drop all connections."""

        async def stop() -> None:
            self._server.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                try:
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
                except (TimeoutError, asyncio.LimitOverrunError):
                    head = b""
                refusal = (
                    self._refusal(head)
                    if len(head) <= _LONGEST_HEAD
                    else _reply(431, "The request is too long.")
                )
                if refusal is not None:
                    writer.write(refusal)
                elif isinstance(self._inner, int):
                    await self._pass_on(head, reader, writer)
                elif urlsplit(target := head.split(b" ", 2)[1].decode("latin-1")).path != "/":
                    writer.write(_reply(404, "There is one page only, at /."))
                else:
                    page = self._inner
                    body = page if isinstance(page, bytes) else await asyncio.to_thread(page, target)
                    writer.write(_reply(200, body, content="text/html; charset=utf-8"))
                await writer.drain()
        finally:  # an answer that cannot be made must not leave the browser waiting
            writer.close()

    def _refusal(self, head: bytes) -> bytes | None:
        """The answer to a request that may not pass; None: it may."""
        try:
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = dict(line.split(":", 1) for line in lines if line)
        except ValueError:
            return _reply(400, "This is not a request of a browser.")
        headers = {name.strip().lower(): value.strip() for name, value in headers.items()}
        if method not in ("GET", "HEAD"):
            return _reply(405, "Only GET is answered.")
        host = headers.get("host", "")
        if self._host in LOOPBACK and (urlsplit(f"//{host}").hostname or "") not in LOOPBACK:
            return _reply(403, "The page answers to localhost only.")
        if "origin" in headers and urlsplit(headers["origin"]).netloc != host:
            return _reply(403, "Another web site may not use the page.")
        return None if self._token is None else self._check_token(target, headers)

    def _check_token(self, target: str, headers: dict[str, str]) -> bytes | None:
        assert self._token is not None
        brought = parse_qs(urlsplit(target).query).get("token", [""])[0]
        if _same(brought, self._token):
            kept = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            return _reply(303, "", f"Location: /\r\nSet-Cookie: {kept}\r\n")
        jar: cookies.SimpleCookie = cookies.SimpleCookie()
        with suppress(cookies.CookieError):
            jar.load(headers.get("cookie", ""))
        if self._cookie in jar and _same(jar[self._cookie].value, self._token):
            return None
        return _reply(401, "Open the address that clip2 view printed: it ends in ?token=…")

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner)  # type: ignore[arg-type]
        inner_writer.write(head)
        ways = [asyncio.create_task(_pump(*way)) for way in ((reader, inner_writer), (inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            inner_writer.close()


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(16)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())


def _reply(
    status: int, body: str | bytes, more: str = "", content: str = "text/plain; charset=utf-8"
) -> bytes:
    from http import HTTPStatus

    data = body.encode() if isinstance(body, str) else body
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content}\r\nContent-Length: {len(data)}\r\n"
        f"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + data
