"""Who writes into a folder, as its lock tells it: to the machine as JSON, to a person as a sentence."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data_prep.errors import InputError


def this_process() -> dict[str, Any]:
    """Pid, host and the time now, UTC to the second."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def read_holder(text: str | bytes) -> dict[str, Any]:
    """What a lock holds; empty where it says nothing: its writer was about to."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def being_written(holder: Mapping[str, Any], source: str | Path) -> InputError:
    """The error of a folder that somebody else writes into.

    >>> print(being_written({"pid": 12, "host": "robot", "since": "2026-05-01T09:30:00+00:00"}, "set"))
    set: is being written by process 12 on robot, since 2026-05-01 09:30 UTC. Fix: wait for it, or stop it there and run \
the same again, which continues
    """
    by, stop = "another process", "stop it"
    if "pid" in holder and "host" in holder:
        here = holder["host"] == socket.gethostname()
        by = f"process {holder['pid']} on {'this machine' if here else holder['host']}"
        stop = f"stop it (kill {holder['pid']})" if here else "stop it there"
    since = f", since {_spoken(holder['since'])}" if "since" in holder else ""
    return InputError(
        f"is being written by {by}{since}",
        source=source,
        fix=f"wait for it, or {stop} and run the same again, which continues",
    )


def _spoken(time: object) -> str:
    """``2026-05-01T09:30:00+00:00`` as people write it."""
    return f"{str(time)[:16].replace('T', ' ')} UTC"
