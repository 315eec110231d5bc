"""Reading of files of others: regular files alone, below their folder alone."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from data_prep.errors import InputError


def open_file(path: str | Path) -> BinaryIO:
    """Open a file of others for reading.

    A pipe in its place would be waited for without end, and a device never ends: both are refused.

    Raises:
        OSError: it does not exist, may not be read, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "is a pipe or a device, not a file", str(path))


def read_file(path: str | Path) -> bytes:
    """Content of a file, opened as by :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Text of a file, opened as by :func:`open_file`.

    Raises:
        OSError: as :func:`open_file`.
        UnicodeDecodeError: it is not text.
    """
    with io.TextIOWrapper(open_file(path), encoding=encoding) as file:
        return file.read()


def stays_inside(name: str) -> bool:
    """Whether a name of a file, as one file states it of another, is of one below the folder that it is relative to.

    Links that lie in a folder are its owner's, and followed.

    >>> stays_inside("rgb/1.png"), stays_inside("../1.png"), stays_inside("/etc/passwd"), stays_inside("C:\\\\1.png")
    (True, False, False, False)
    """
    path = PurePosixPath(name)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in name
        and "\0" not in name
    )


def require_no_pipe(folder: Path) -> None:
    """Refuse a folder with pipes or devices, for libraries that open its files themselves and would wait for these.

    Raises:
        InputError: naming the first.
    """
    for path in folder.rglob("*"):
        if path.is_fifo() or path.is_char_device():
            raise InputError("is a pipe or a device, not a file", source=path, fix="remove it")


def require_file(path: str | Path, fix: str | None = None) -> None:
    """Refuse what is no regular file, for libraries that open files themselves.

    Raises:
        InputError: it does not exist, or is a folder, a pipe or a device.
    """
    try:
        open_file(path).close()
    except (OSError, ValueError) as error:  # a name with a zero byte
        problem = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise InputError(problem, source=path, fix=fix or "check the path") from error


def is_file_name(name: str) -> bool:
    """Whether a name, as one file states it of its neighbor, is of a file in the same folder that a disk can hold.

    >>> is_file_name("weights.bin"), is_file_name("a/b"), is_file_name(".."), is_file_name("x" * 5000)
    (True, False, False, False)
    """
    return stays_inside(name) and PurePosixPath(name).name == name and len(os.fsencode(name)) < 256


def require_plain_tables(database: sqlite3.Connection) -> None:
    """Refuse an SQLite file with more than tables: views and triggers are programs, which may fill the disk or never end.

    Raises:
        sqlite3.Error: it has some, or cannot be read.
    """
    (programs,) = database.execute(
        "SELECT COUNT(*) FROM sqlite_master WHERE sql NOT LIKE 'CREATE TABLE%' AND sql NOT LIKE 'CREATE INDEX%'"
        " AND sql NOT LIKE 'CREATE UNIQUE INDEX%'"
    ).fetchone()
    if programs:
        raise sqlite3.DatabaseError("holds views, triggers or virtual tables")
