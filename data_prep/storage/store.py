"""Flat folders of files, on this machine or at a URL, in which a file is present whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from data_prep.errors import BadDatasetError, InputError, without_secret
from data_prep.storage import files
from data_prep.storage.lease import Lease
from data_prep.storage.lock import FolderLock
from data_prep.storage.reading import open_file, read_file
from data_prep.storage.urls import as_path, as_url, cache_folder, open_url, url_errors

# An upload to these appears whole or not at all; elsewhere a finished file is renamed.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "memory"}
_READ_AHEAD = 8 << 20  # bytes per request; shards are read from front to back


class NewFile(Protocol):
    """A file that is invisible until :meth:`publish`."""

    def write(self, data: bytes, /) -> object: ...

    def publish(self) -> None: ...

    def discard(self) -> None: ...


class Lock(Protocol):
    """The exclusive right to write into a folder."""

    def require(self) -> None:
        """Raise :class:`InputError` if another process took it over."""
        ...

    def release(self) -> None: ...


class Store(Protocol):
    """A flat folder, for example of a triplet set.

    Attributes:
        place: path or URL, as people write it.
        derived: folder of this machine for files made from the set, such as features.
        sweeps: whether the lock holder may remove what a killed writer left.
    """

    place: str
    derived: Path
    sweeps: bool

    def sizes(self) -> dict[str, int]:
        """Bytes of each file by name; empty if the folder does not exist."""
        ...

    def make(self) -> None:
        """Make the folder if it does not exist."""
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
        """Exceptions that the file system raises when it refuses an operation."""
        ...


def open_store(path: str | Path) -> Store:
    """The store at a path or URL; nothing is read or made.

    Raises:
        BadDatasetError: the path is a file.
        InputError: no package for such URLs is installed.
    """
    url = as_url(path)
    return LocalStore(as_path(path)) if url is None else UrlStore(url)


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
            with suppress(
                OSError
            ):  # the writer of another part renamed its file meanwhile, or it links to itself
                found[entry.name] = entry.stat().st_size
        return found

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        return read_file(self.folder / name)

    def open(self, name: str) -> BinaryIO:
        return open_file(self.folder / name)

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
    """A local file that is named ``.NAME.part`` until it is complete and flushed to disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self._final, self._part = folder / name, folder / f".{name}.part"
        self._file = self._part.open("wb")
        self.write = self._file.write

    def publish(self) -> None:
        self._file.close()
        files.move_durably(self._part, self._final)

    def discard(self) -> None:
        with suppress(OSError):  # a full disk refuses even the last buffer, which is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)


class UrlStore:
    """Objects under a URL. A new file grows in a temporary file of this machine and is uploaded when it is complete.

    No operating system holds a lock there, so writers hold a :class:`Lease`. Files of a killed writer are not removed:
    the continued run writes the same bytes under the same names.
    """

    sweeps = False

    def __init__(self, url: str) -> None:
        self.place = without_secret(url.rstrip("/"))
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
        except url_errors() as error:
            raise InputError(
                f"cannot be listed ({error})",
                source=self.place,
                fix="see that the store can be reached, then run the same again",
            ) from error
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
        self._system.pipe_file(self._landing(name), data)
        self._settle(name)

    def new(self, name: str) -> NewFile:
        return _Upload(self, name)

    def upload(self, file: str, name: str) -> None:
        """Put a file of this machine under ``name``."""
        self._system.put_file(file, self._landing(name))
        self._settle(name)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def lock(self, name: str) -> Lock:
        return Lease(self._system, self._path(name), self.place)

    def error_types(self) -> tuple[type[BaseException], ...]:
        return url_errors()

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _landing(self, name: str) -> str:
        return self._path(name if self._whole else f".{name}.part")

    def _settle(self, name: str) -> None:
        if not self._whole:
            self._system.mv(self._landing(name), self._path(name))


class _Upload:
    """A temporary file of this machine that is uploaded in one step."""

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


def writing(store: Store) -> AbstractContextManager[None]:
    """:func:`data_prep.storage.files.writing` with the errors of a store."""
    return files.writing(store.place, errors=store.error_types())
