"""Work that fails or kills the process that does it; importable by the workers of every engine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.triplet_stand_ins import StandInScan

from data_prep.errors import InputError
from data_prep.scans import Frame


def fail_at_five(number: int) -> int:
    if number == 5:
        raise InputError("is five", source="item", field="number")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class DeadlyScan(StandInScan):
    """Kills the process that reads frame 4 or 9, once each."""

    def __init__(self, root: Path, marks: Path) -> None:
        super().__init__(root)
        self.marks = marks

    def __getitem__(self, index: int) -> Frame:
        mark = self.marks / str(index)
        if index in (4, 9) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)
