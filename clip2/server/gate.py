"""Admission of requests: bodies within limits, a bounded queue, deadlines, clients that left."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from clip2.server.limits import ClientGoneError, Limits, Refusal
from clip2.server.metrics import Metrics
from clip2.server.uploads import Part
from data_prep.errors import InputError

R = TypeVar("R")
_LIGHT = 4  # threads for work of milliseconds, so that it never waits behind a scan
_MOST_FIELDS = 16
_SMOOTHING = 0.1  # of the mean time per request


class Gate:
    """Lets requests in, one place for each that is worked on or waits.

    A body is read before its request takes a place: a client that sends slowly blocks nobody.

    Args:
        limits: of the server.
        metrics: to count in.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self._metrics = limits, metrics
        self._heavy = ThreadPoolExecutor(limits.concurrent, thread_name_prefix="recognize")
        self._light = ThreadPoolExecutor(_LIGHT, thread_name_prefix="decode")
        self._inside = 0
        self._bytes = 0
        self._mean_seconds = 0.1

    def close(self) -> None:
        """End the threads; what they work on is finished, what waits is dropped."""
        self._heavy.shutdown(cancel_futures=True)
        self._light.shutdown(cancel_futures=True)

    async def heavy(self, work: Callable[..., R], *arguments: Any) -> R:
        """Run work of a second on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._heavy, work, *arguments)

    async def light(self, work: Callable[..., R], *arguments: Any) -> R:
        """Run work of milliseconds on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._light, work, *arguments)

    async def answer(self, request: Request, work: Callable[[list[Part]], Coroutine[Any, Any, R]]) -> R:
        """Read the body of a request and work on it within all limits.

        Args:
            request: with an unread body.
            work: makes the answer from the parts of the body.

        Raises:
            Refusal: a body that is too large or too slow, a full queue, or a deadline that passed.
            ClientGoneError: the client left.
        """
        self._require_place()
        async with self._body(request) as body:
            parts = await self._parts(request, body)
            self._require_place()
            self._inside += 1
            self._metrics.working.inc()
            began = time.perf_counter()
            try:
                return await self._within_deadline(request, work(parts))
            finally:
                self._inside -= 1
                self._metrics.working.dec()
                seconds = time.perf_counter() - began
                self._mean_seconds += _SMOOTHING * (seconds - self._mean_seconds)

    def _require_place(self) -> None:
        if self._inside >= self.limits.concurrent + self.limits.queue:
            raise self._busy("the queue is full", "queue")

    def _busy(self, message: str, reason: str) -> Refusal:
        wait = self._inside * self._mean_seconds / self.limits.concurrent
        after = min(max(1, math.ceil(wait)), math.ceil(self.limits.seconds))
        return Refusal(503, f"{message}, try again in {after} s", reason, {"Retry-After": str(after)})

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        limit = self.limits.max_bytes
        too_large = Refusal(413, f"the body is larger than {limit:,} bytes", "body size")
        if int(request.headers.get("content-length", 0)) > limit:  # the server checked that it is a number
            raise too_large
        received = 0
        body = bytearray()

        async def read() -> None:
            nonlocal received
            async for chunk in request.stream():
                received += len(chunk)
                self._bytes += len(chunk)
                if received > limit:
                    raise too_large
                if self._bytes > self.limits.bytes_in_flight:
                    raise self._busy("too many uploads", "uploads")
                body.extend(chunk)

        try:
            await asyncio.wait_for(read(), self.limits.seconds)
            whole = bytes(body)
            body.clear()  # 64 MB need not lie there twice
            yield whole
        except asyncio.TimeoutError:
            raise Refusal(
                408,
                f"the body did not arrive in {self.limits.seconds:g} s",
                "slow upload",
                {"Connection": "close"},
            ) from None
        except ClientDisconnect:
            raise ClientGoneError from None
        finally:
            self._bytes -= received

    async def _parts(self, request: Request, body: bytes) -> list[Part]:
        """The fields of a multipart form, or the body as one part."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return [Part("body", body)]

        async def whole() -> Any:
            yield body

        most = max(self.limits.max_objects, _MOST_FIELDS)
        parser = MultiPartParser(request.headers, whole(), max_files=most, max_fields=_MOST_FIELDS)
        try:
            form = await parser.parse()
            items = form.multi_items()
            parts = [
                Part(name, await value.read(), value.filename or "")
                if isinstance(value, UploadFile)
                else Part(name, value.encode())
                for name, value in items
            ]
            await form.close()
        except (MultiPartException, FormParserError) as error:
            raise InputError(f"is not a multipart form ({error})", source="body") from error
        return parts

    async def _within_deadline(self, request: Request, work: Coroutine[Any, Any, R]) -> R:
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({task, gone}, timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                raise ClientGoneError
            raise Refusal(504, f"not done within {self.limits.seconds:g} s", "deadline")
        finally:
            task.cancel()  # waiting threads drop it; one that works on it goes on to the end
            gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
