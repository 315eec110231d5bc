"""Commands on a machine that refuses: each must end in its result or in one line, lose nothing, and continue later."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siege.kills import Siege, difference

NOBODY = 65534


class NotPermittedError(Exception):
    """This user may not make the hardship."""


@dataclass
class Trial:
    """One job on a disk of its own.

    Args:
        siege: the job; it writes below the disk.
        disk: an empty folder, or the place of a small tmpfs.
        seed: of moments.
    """

    siege: Siege
    disk: Path
    seed: int = 0
    whole: Any = None
    duration: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed} {self.siege.name}")
        self.siege.out = self.disk / "out"
        self.whole, self.duration = self.siege.undisturbed()
        self.size = self.used()

    def used(self) -> int:
        """Bytes of the disk in use."""
        return shutil.disk_usage(self.disk).used

    def refused(self, prepare: Callable[..., None] | None = None, *values: Any, often: bool = True) -> None:
        """Run where the job cannot end well, and see that it says so.

        Args:
            prepare, values: called in the process of the job first.
            often: a run that does end well is no problem.
        """
        self.judge(self.siege.end(self.siege.start(prepare, *values)), often)

    def judge(self, code: int, often: bool = True) -> None:
        """Note what is wrong with the end of a run: neither its result nor one line."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.siege.log.read_text(errors="replace"))
        lines = [line for line in text.splitlines() if line.startswith("clip2: ") and "warning" not in line]
        if code == 0 and often:
            return
        if code == 0:
            self.problems.append("ends well where it cannot")
        elif code != 2 or "Traceback" in text or len(lines) != 1:
            told = "a traceback" if "Traceback" in text else f"{len(lines)} lines"
            self.problems.append(f"code {code}, {told}: {self.siege.last_line()}")

    def continues(self) -> None:
        """Run the same command where nothing is in the way, and compare."""
        code = self.siege.end(self.siege.start())
        if found := difference(self.whole, self.siege.result()):
            # A command that is done already may say so with another code than 0, as clip2 map does.
            told = f"the same command then ends with {code}: {self.siege.last_line()}" if code else ""
            self.problems.append(f"{told} {found}".strip())


def _obstructed(
    trial: Trial,
    obstruct: Callable[[], object],
    restore: Callable[[], object],
    prepare: Callable[[], None] | None = None,
    often: bool = False,
) -> None:
    trial.siege.begin()
    obstruct()
    try:
        trial.refused(prepare, often=often)
    finally:
        restore()
    trial.continues()


def _full(trial: Trial, share: float) -> None:
    def shrink() -> None:
        begun = trial.used()
        pages = int(begun + (trial.size - begun) * share) // 4096 + 1
        _mount(trial.disk, f"remount,size={4 * pages}k")

    _obstructed(trial, shrink, lambda: _mount(trial.disk, "remount,size=512m"), often=True)


def _read_only(trial: Trial) -> None:
    _obstructed(trial, lambda: _mount(trial.disk, "remount,ro"), lambda: _mount(trial.disk, "remount,rw"))


def _forbidden(trial: Trial) -> None:
    mode = trial.disk.stat().st_mode
    _obstructed(trial, lambda: trial.disk.chmod(0o555), lambda: trial.disk.chmod(mode), _as_nobody)


def _as_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


def _removed(trial: Trial) -> None:
    trial.siege.begin()
    process = trial.siege.start()
    process.join(trial.random.uniform(0.2, 0.9) * trial.duration)
    gone = process.is_alive() and not trial.siege.job.begins_with
    if gone:
        shutil.rmtree(trial.siege.out, ignore_errors=True)
    code = trial.siege.end(process)
    if code == 0 and gone and difference(trial.whole, trial.siege.result()) and trial.siege.out.exists():
        trial.problems.append("ends well with less than the whole")
    trial.judge(code)
    if gone:
        shutil.rmtree(trial.siege.out, ignore_errors=True)
    trial.continues()


def _two_writers(trial: Trial) -> None:
    trial.siege.begin()
    first = trial.siege.start()
    first.join(trial.random.uniform(0, 0.5) * trial.duration)
    second = trial.siege.start()
    codes = [trial.siege.end(first), trial.siege.end(second)]
    if 0 not in codes or not {0, 2}.issuperset(codes):
        trial.problems.append(f"both end with {codes}: {trial.siege.last_line()}")
    trial.judge(max(codes))
    trial.continues()


def _no_descriptors(trial: Trial) -> None:
    for left in (trial.random.randint(0, 3), trial.random.randint(4, 12)):
        trial.siege.begin()
        trial.refused(_few_descriptors, left)
        trial.continues()


def _few_descriptors(left: int) -> None:
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 1 + left
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def _clock_back(trial: Trial) -> None:
    """What was written before a kill is a day younger than the clock that the next run sees."""
    trial.siege.begin()
    process = trial.siege.start()
    process.join(trial.random.uniform(0.2, 0.9) * trial.duration)
    process.kill()
    trial.siege.end(process)
    tomorrow = time.time() + 86_400
    for path in trial.siege.out.rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    trial.continues()


HARDSHIPS: dict[str, Callable[[Trial], None]] = {
    "full at 30 %": lambda trial: _full(trial, 0.3),
    "full at 60 %": lambda trial: _full(trial, 0.6),
    "full at 95 %": lambda trial: _full(trial, 0.95),
    "read-only": _read_only,
    "forbidden": _forbidden,
    "removed": _removed,
    "two writers": _two_writers,
    "no descriptors": _no_descriptors,
    "clock back": _clock_back,
}
# Those whose processes are many, or that write at the end only, are killed but not starved.
JOB_NAMES = ("prep", "prep, 2 workers", "prep --associate", "label", "detect", "embed", "train", "map", "index", "convert", "export")  # fmt: skip


def run_hardships(
    job: str, inputs: Path, folder: Path, only: tuple[str, ...] = (), seed: int = 0
) -> Iterator[tuple[str, list[str] | None]]:
    """Problems by hardship; None: not permitted here.

    Args:
        job: of :data:`siege.kills.JOBS`.
        inputs: of :func:`siege.kills.make_inputs`.
        folder: empty.
        only: hardships; empty: all.
        seed: of moments.
    """
    folder.mkdir(parents=True)
    with _own_disk(folder / "disk") as mounted:
        trial = Trial(Siege(job, inputs, folder), folder / "disk", seed)
        for name in only or HARDSHIPS:
            if not mounted and name.startswith(("full", "read-only")):
                yield name, None
                continue
            trial.problems = []
            HARDSHIPS[name](trial)
            yield name, trial.problems


@contextmanager
def _own_disk(place: Path) -> Iterator[bool]:
    """A tmpfs at ``place``; False where this user may not mount one: then it is a plain folder."""
    place.mkdir()
    try:
        _mount(place, "size=512m")
    except NotPermittedError:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(place: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "clip2-siege", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        raise NotPermittedError(done.stderr.decode().strip())
