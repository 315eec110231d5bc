"""Atomic and durable file writes, checksums, and one line for a disk that refuses."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError
from data_prep.storage.reading import open_file


class UnwritableError(InputError):
    """A place cannot be written: no room, no right, or the folder is gone."""


@contextmanager
def writing(
    place: str | Path,
    field: str | None = None,
    errors: tuple[type[BaseException], ...] = (OSError,),
) -> Iterator[None]:
    """Turn the system's error for a full disk, a read-only or a removed folder into one line.

    Args:
        place: file, folder or URL that is written.
        field: the option that names it.
        errors: what the file system raises.

    Raises:
        UnwritableError: the system refused; the field is also added to the complaint of a nested call.

    >>> with writing("/run/1", "--out"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    data_prep.storage.files.UnwritableError: /run/1: --out: cannot be written (No space left on device). Fix: make room
    there, get the right to write, or choose another place, and run the same again
    """
    try:
        yield
    except UnwritableError as error:
        raise error.as_kind(UnwritableError, field=field) from error
    except errors as error:
        raise UnwritableError(
            f"cannot be written ({getattr(error, 'strerror', None) or error})",
            source=place,
            field=field,
            fix="make room there, get the right to write, or choose another place, and run the same again",
        ) from error


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a scratch file beside ``path``, flush it to disk, then rename it in one step.

    Args:
        path: the file; replaced if it exists. A killed process leaves at most a ``.NAME.….part``.
        write: called with the scratch file's path.

    Raises:
        UnwritableError: the disk is full or read-only, or the folder is not there any more.
    """
    with writing(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(descriptor)
        scratch = Path(name)
        try:
            write(scratch)
            scratch.chmod(0o644)
            move_durably(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def move_durably(scratch: Path, path: Path) -> None:
    """Give a complete file, or a folder of files, its final name; it survives a power cut from then on."""
    for below in (*(scratch.rglob("*") if scratch.is_dir() else ()), scratch):
        _flush(below)
    os.replace(scratch, path)
    _flush(path.parent)  # makes the renaming itself durable


def _flush(path: Path) -> None:
    if path.is_dir() and os.name != "posix":  # elsewhere a folder cannot be opened, and renames need no flush
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_writable(folder: Path, field: str | None = None) -> None:
    """Refuse a folder that cannot be written, before hours of work are lost on it.

    Leaves nothing behind and does not create the folder.

    Args:
        folder: an existing folder, or one that will be created later.
        field: the option that names it.

    Raises:
        InputError: the folder, or its nearest existing parent, is a file or is not writable.
    """
    # os.path.exists also returns False below a folder without search permission.
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not nearest.is_dir():
        problem = "is a file" if nearest == folder else f"{nearest} is a file"
        raise InputError(problem, source=folder, field=field, fix="name a folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            source=folder,
            field=field,
            fix="name a folder you may write into",
        ) from error
