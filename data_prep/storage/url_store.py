"""Triplet sets on object stores and other file systems that fsspec reaches."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import BinaryIO

from data_prep.storage.lease import Lease
from data_prep.storage.store import Lock, NewFile
from data_prep.storage.urls import cache_folder, open_url, url_errors

# An upload to these shows whole or not at all; elsewhere a file is renamed when it is whole.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "memory"}
_READ_AHEAD = 8 << 20  # bytes per request; shards are read from front to back


class UrlStore:
    """The set's files as objects under a URL. A shard is filled in a temporary file here and uploaded when it is whole.

    There is no operating system to hold a lock for a process, so writers hold a :class:`Lease`. What a killed writer
    left is not removed: it has the name and the bytes that the continued run will write.
    """

    sweeps = False

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")
        self._system, self._base = open_url(url)
        self.derived = cache_folder(url, "sets")
        kinds = self._system.protocol
        self._whole = not _OBJECT_STORES.isdisjoint((kinds,) if isinstance(kinds, str) else kinds)

    def sizes(self) -> dict[str, int]:
        self._system.invalidate_cache()  # others write there too
        try:
            entries = self._system.ls(self._base, detail=True)
        except FileNotFoundError:
            return {}
        names = {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries}
        return {name: int(entry["size"] or 0) for name, entry in names.items() if entry["type"] == "file"}

    def make(self) -> None:
        if not self._whole:
            self._system.makedirs(self._base, exist_ok=True)

    def read(self, name: str) -> bytes:
        return self._system.cat_file(self._path(name))

    def open(self, name: str) -> BinaryIO:
        return self._system.open(self._path(name), "rb", block_size=_READ_AHEAD)

    def write(self, name: str, data: bytes) -> None:
        if self._whole:
            self._system.pipe_file(self._path(name), data)
        else:
            self._system.pipe_file(self._path(f".{name}.part"), data)
            self._system.mv(self._path(f".{name}.part"), self._path(name))

    def new(self, name: str) -> NewFile:
        return _Upload(self, name)

    def upload(self, file: str, name: str) -> None:
        """Put a file of this machine under ``name``."""
        if self._whole:
            self._system.put_file(file, self._path(name))
        else:
            self._system.put_file(file, self._path(f".{name}.part"))
            self._system.mv(self._path(f".{name}.part"), self._path(name))

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def lock(self, name: str) -> Lock:
        return Lease(self._system, self._path(name), self.place)

    def error_types(self) -> tuple[type[BaseException], ...]:
        return url_errors()

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"


class _Upload:
    """A temporary file of this machine that becomes an object at once."""

    def __init__(self, store: UrlStore, name: str) -> None:
        self._store, self._name = store, name
        descriptor, self._path = tempfile.mkstemp(prefix="clip2-shard-")
        self._file = os.fdopen(descriptor, "wb")
        self.write = self._file.write

    def publish(self) -> None:
        self._file.close()
        self._store.upload(self._path, self._name)
        os.unlink(self._path)

    def discard(self) -> None:
        with suppress(OSError):  # a full disk refuses even the last buffer, which is not wanted any more
            self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)
