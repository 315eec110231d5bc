"""Where the files of a triplet set are: a folder of this machine or an address. A file is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.lock import FolderLock
from data_prep.storage.urls import as_path, as_url


class NewFile(Protocol):
    """A file that nobody sees before :meth:`publish`."""

    def write(self, data: bytes, /) -> object: ...

    def publish(self) -> None: ...

    def discard(self) -> None: ...


class Lock(Protocol):
    """The right to write, held."""

    def require(self) -> None:
        """Raises :class:`InputError` if somebody took it."""
        ...

    def release(self) -> None: ...


class Store(Protocol):
    """The flat folder that a set is in.

    Attributes:
        place: path or URL, as people write it.
        derived: folder of this machine for what is made from the set, features for instance.
        sweeps: files that a killed writer left can be removed, as nobody else can be writing.
    """

    place: str
    derived: Path
    sweeps: bool

    def sizes(self) -> dict[str, int]:
        """Files and their bytes; empty where the folder does not exist."""
        ...

    def make(self) -> None:
        """Make the folder if it is not there."""
        ...

    def read(self, name: str) -> bytes: ...

    def open(self, name: str) -> BinaryIO:
        """A stream to read from front to back."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replace a small file in one step."""
        ...

    def new(self, name: str) -> NewFile: ...

    def remove(self, name: str) -> None: ...

    def lock(self, name: str) -> Lock: ...

    def error_types(self) -> tuple[type[BaseException], ...]:
        """What the system raises when it refuses."""
        ...


def open_store(path: str | Path) -> Store:
    """The store at a path or URL; nothing is read or made.

    Raises:
        BadDatasetError: a file is there.
        InputError: no package for such URLs is installed.
    """
    url = as_url(path)
    if url is not None:
        from data_prep.storage.url_store import UrlStore

        return UrlStore(url)
    return LocalStore(as_path(path))


class LocalStore:
    """A folder of this machine; files are flushed to disk before they get their names."""

    sweeps = True

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise BadDatasetError("is a file", source=folder, fix="give a folder that is new or empty")
        self.folder = self.derived = folder
        self.place = str(folder)

    def sizes(self) -> dict[str, int]:
        if not self.folder.is_dir():
            return {}
        found = {}
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # the writer of another part renamed its file meanwhile
                found[entry.name] = entry.stat().st_size
        return found

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        return (self.folder / name).open("rb")

    def write(self, name: str, data: bytes) -> None:
        file = self.new(name)
        file.write(data)
        file.publish()

    def new(self, name: str) -> NewFile:
        return _PartFile(self.folder, name)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def lock(self, name: str) -> Lock:
        return FolderLock(self.folder, name)

    def error_types(self) -> tuple[type[BaseException], ...]:
        return (OSError,)


class _PartFile:
    """Called ``.NAME.part`` until it is whole and on disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self._final, self._part = folder / name, folder / f".{name}.part"
        self._file = self._part.open("wb")
        self.write = self._file.write

    def publish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._final)
        if os.name == "posix":  # elsewhere a folder cannot be opened, and renames need no flush
            folder = os.open(self._final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # makes the renaming itself durable
            finally:
                os.close(folder)

    def discard(self) -> None:
        with suppress(OSError):  # a full disk refuses even the last buffer, which is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)


@contextmanager
def writing(store: Store) -> Iterator[None]:
    """Turn what the system says when a disk is full or a folder read-only into one line."""
    try:
        yield
    except store.error_types() as error:
        raise InputError(
            f"cannot be written ({getattr(error, 'strerror', None) or error})",
            source=store.place,
            fix="make room or get the right to write there, and run the same again; it will continue",
        ) from error
