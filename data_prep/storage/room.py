"""Free disk and memory, checked before something large is begun."""

from __future__ import annotations

import shutil
from pathlib import Path

from data_prep.errors import InputError


def megabytes(count: float) -> str:
    """A number of bytes for people.

    >>> megabytes(101_260_675), megabytes(2.03e9)
    ('101 MB', '2.0 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def require_disk(place: Path, needed: float, what: str) -> None:
    """Refuse what does not fit, before it is begun.

    Raises:
        InputError: too little space.
    """
    nearest = next(path for path in (place, *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise InputError(
            f"needs {megabytes(needed)} of disk, {megabytes(free)} are free",
            source=what,
            field=str(nearest),
            fix="free some space, or set CLIP2_CACHE and HF_HOME to another disk",
        )


def require_memory(needed: float, what: str) -> None:
    """Refuse what does not fit into memory, where the system tells how much is free (Linux).

    Raises:
        InputError: too little memory.
    """
    status = Path("/proc/meminfo")
    if not status.is_file():
        return
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    free = float(lines.get("MemAvailable", "inf kB").split()[0]) * 1024
    if needed > free:
        raise InputError(
            f"needs {megabytes(needed)} of memory, {megabytes(free)} are free",
            source=what,
            fix="close other programs, or choose a smaller model (clip2 info --pretrained)",
        )
