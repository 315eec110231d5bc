"""Atomic file writes, checksums, and checks that a folder is writable."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from data_prep.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a scratch file beside ``path``, flush it to disk, then rename it in one step.

    Args:
        path: the file; replaced if it exists. A killed process leaves at most a ``.NAME.….part``.
        write: called with the scratch file's path.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    scratch = Path(name)
    try:
        write(scratch)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
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
