"""Folder lock: one writer per folder of this machine, and who it is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.storage.parsing import parse_json

LOCK = ".lock"


class FolderLock:
    """A lock file that names the process that writes into a folder.

    The operating system ties the lock to the open file (https://py-filelock.readthedocs.io), so a killed writer leaves
    a file but no lock, and the next writer takes it over. A context manager: leaving it releases the lock.

    Args:
        folder: must exist.
        name: of the lock file.
        wait: wait for another process to finish instead of raising.

    Raises:
        InputError: another living process holds it.
    """

    def __init__(self, folder: Path, name: str = LOCK, *, wait: bool = False) -> None:
        from filelock import FileLock, Timeout  # 40 ms that readers need not pay

        self._path = folder / name
        self._lock = FileLock(self._path, mode=0o644, thread_local=False, on_acquired=_write_holder)
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            try:
                holder = read_holder(self._path.read_bytes())
            except FileNotFoundError:  # released a moment ago
                holder = {}
            raise being_written(holder, folder) from None

    def require(self) -> None:
        """Do nothing: nobody can take the lock while this process lives. (A lease can be lost.)"""

    def release(self) -> None:
        """Let the next writer in."""
        if os.name == "posix":  # filelock itself removes it elsewhere
            self._path.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _write_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(this_process()).encode())


def this_process() -> dict[str, Any]:
    """Pid, host and the current time, UTC to the second."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def read_holder(text: str | bytes) -> dict[str, Any]:
    """The holder that a lock file names; empty if its writer was killed before it wrote one."""
    try:
        found = parse_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def being_written(holder: Mapping[str, Any], source: str | Path) -> InputError:
    """The error for a folder that another process writes into.

    >>> print(being_written({"pid": 12, "host": "robot", "since": "2026-05-01T09:30:00+00:00"}, "set"))
    set: is being written by process 12 on robot, since 2026-05-01 09:30 UTC. Fix: wait for it, or stop it there and run \
the same again, which continues
    """
    by, stop = "another process", "stop it"
    if "pid" in holder and "host" in holder:
        here = holder["host"] == socket.gethostname()
        by = f"process {holder['pid']} on {'this machine' if here else holder['host']}"
        stop = f"stop it (kill {holder['pid']})" if here else "stop it there"
    since = f", since {str(holder['since'])[:16].replace('T', ' ')} UTC" if "since" in holder else ""
    return InputError(
        f"is being written by {by}{since}",
        source=source,
        fix=f"wait for it, or {stop} and run the same again, which continues",
    )
