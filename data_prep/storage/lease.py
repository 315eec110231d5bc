"""One writer at a time where no operating system keeps a lock."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from data_prep.errors import InputError
from data_prep.storage.holder import being_written, this_process
from data_prep.storage.urls import url_errors

BEAT, PATIENCE = 10.0, 60.0  # seconds between signs of life; silence after which a writer is held to be dead
_log = logging.getLogger(__name__)


class Lease:
    """An object that tells who writes (:mod:`data_prep.storage.holder`) and changes every ``BEAT`` seconds while it lives.

    It is made with the store's create-if-absent where fsspec offers that (S3, memory), else by a look before. One that
    has not changed for ``PATIENCE`` seconds, measured by our own clock, was left by a killed writer and is taken over.
    Of two that take over at the same moment, the one whose lease is gone stops before it lists its next shard. Even
    if two wrote for a moment nothing breaks: equal configurations write equal bytes under equal names.

    Raises:
        InputError: another writer lives, or the store cannot be written.
    """

    def __init__(self, system: Any, path: str, place: str) -> None:
        self._system, self._path, self._place = system, path, place
        self._me = {**this_process(), "token": uuid4().hex}
        self._lost, self._beats = False, 0
        while not self._create():
            self._wait_for_silence()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raises :class:`InputError` if another writer has taken over."""
        if self._lost:
            raise InputError(
                "was taken over by another process, which found no sign of life here",
                source=self._place,
                fix="let it finish",
            )

    def release(self) -> None:
        """Let the next writer in."""
        self._stop.set()
        self._thread.join()
        with suppress(*url_errors()):  # a lease that cannot be removed ends by its silence
            if not self._lost and self._read().get("token") == self._me["token"]:
                self._system.rm_file(self._path)

    def _content(self) -> bytes:
        return json.dumps({**self._me, "beat": self._beats}).encode()

    def _create(self) -> bool:
        try:
            self._system.pipe_file(self._path, self._content(), mode="create")
        except OSError:
            # Stores say "exists" in different ways; that it does is what counts.
            self._system.invalidate_cache()
            if not self._system.exists(self._path):
                raise
            return False
        return True

    def _wait_for_silence(self) -> None:
        before = self._read()
        _log.warning(
            "clip2: %s has a writer, process %s on %s; looking up to %d s whether it lives",
            self._place,
            before.get("pid", "?"),
            before.get("host", "?"),
            PATIENCE,
        )
        for _ in range(int(PATIENCE / BEAT * 2)):
            time.sleep(BEAT / 2)
            now = self._read()
            if not now:  # released
                return
            if now != before:
                raise being_written(now, self._place)
        if self._read() == before:
            self._system.rm_file(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._system.cat_file(self._path))
        except FileNotFoundError:
            return {}

    def _live(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                if self._read().get("token") != self._me["token"]:
                    self._lost = True
                    return
                self._beats += 1
                self._system.pipe_file(self._path, self._content())
            except url_errors() as error:  # a network that fails for a moment; the next beat may come through
                _log.warning("clip2: %s: no sign of life could be written (%s)", self._place, error)
