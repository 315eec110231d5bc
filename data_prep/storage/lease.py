"""Lease on an object store: one writer at a time where no operating system holds a lock."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from data_prep.errors import InputError
from data_prep.storage.lock import being_written, read_holder, this_process
from data_prep.storage.urls import url_errors

BEAT, PATIENCE = 10.0, 60.0  # seconds between heartbeats; silence after which a writer counts as dead
_log = logging.getLogger(__name__)


class Lease:
    """An object that names its writer (:mod:`data_prep.storage.lock`) and changes every ``BEAT`` seconds.

    It is created with the store's create-if-absent where fsspec offers that (S3, memory), else after a check. A lease
    that has not changed for ``PATIENCE`` seconds of our own clock belongs to a killed writer and is taken over. If two
    writers take over at the same moment, the one that lost its lease stops before it lists its next shard. Both may
    write for a moment without harm: equal configurations write equal bytes under equal names. A damaged lease is of a
    writer without a name: whoever held it stops, and the next one takes it over after ``PATIENCE``.

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
        """Raise :class:`InputError` if another writer has taken over."""
        if self._lost:
            raise InputError(
                "was taken over by another process, which saw no heartbeat of this one, or its lock was damaged",
                source=self._place,
                fix="let it finish",
            )

    def release(self) -> None:
        """Let the next writer in."""
        self._stop.set()
        self._thread.join()
        with suppress(*url_errors()):  # a lease that cannot be removed expires
            if not self._lost and self._is_ours():
                self._system.rm_file(self._path)

    def _content(self) -> bytes:
        return json.dumps({**self._me, "beat": self._beats}).encode()

    def _create(self) -> bool:
        try:
            self._system.pipe_file(self._path, self._content(), mode="create")
        except url_errors():
            # Stores report "exists" in different ways, also of our own write if its answer was lost, so look.
            self._system.invalidate_cache()
            if not self._system.exists(self._path):
                raise
            return self._is_ours()
        return True

    def _wait_for_silence(self) -> None:
        before = self._read()
        holder = read_holder(before)
        _log.warning(
            "clip2: %s has a writer, process %s on %s; waiting up to %d s for its heartbeat",
            self._place,
            holder.get("pid", "?"),
            holder.get("host", "?"),
            PATIENCE,
        )
        for _ in range(int(PATIENCE / BEAT * 2)):
            time.sleep(BEAT / 2)
            now = self._read()
            if not now:  # released
                return
            if now != before:
                raise being_written(read_holder(now), self._place)
        if self._read() == before:
            self._system.rm_file(self._path)

    def _read(self) -> bytes:
        try:
            return self._system.cat_file(self._path)
        except FileNotFoundError:
            return b""

    def _is_ours(self) -> bool:
        return read_holder(self._read()).get("token") == self._me["token"]

    def _live(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                if not self._is_ours():
                    self._lost = True
                    return
                self._beats += 1
                self._system.pipe_file(self._path, self._content())
            except url_errors() as error:  # a brief network failure; the next beat may succeed
                _log.warning("clip2: %s: the heartbeat could not be written (%s)", self._place, error)
