"""One writer per folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from data_prep.storage.holder import being_written, read_holder, this_process

LOCK = ".lock"


class FolderLock:
    """A lock file that tells who writes into a folder (:mod:`data_prep.storage.holder`).

    The operating system ties the lock to the open file, so a killed writer leaves a file but no lock: a
    stale one is taken over without guessing whether some process id is still the same process.

    Raises:
        InputError: another living process holds it.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self._path = folder / name
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _try_lock(self._file):
                holder = read_holder(self._path.read_text(encoding="utf-8", errors="replace"))
                os.close(self._file)
                raise being_written(holder, folder)
            # The previous holder may have removed the file between our open and our lock: then try again.
            if self._path.exists() and os.path.samestat(os.stat(self._path), os.fstat(self._file)):
                break
            os.close(self._file)
        os.ftruncate(self._file, 0)
        os.write(self._file, json.dumps(this_process()).encode())

    def require(self) -> None:
        """Nothing: as long as this process lives, nobody can take it."""

    def release(self) -> None:
        """Let the next writer in."""
        if sys.platform != "win32":  # an open file cannot be removed there; a leftover does no harm
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
