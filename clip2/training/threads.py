"""How many CPU threads to use."""

from __future__ import annotations

import os
from pathlib import Path


def default_threads() -> int:
    """``OMP_NUM_THREADS`` where it is set, otherwise this process's share of the physical cores."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    return max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def physical_cores() -> int:
    """Cores this process may use; two hardware threads of one core count once, for they share its arithmetic."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text().strip() if siblings.is_file() else str(cpu))
    return max(1, len(cores))
