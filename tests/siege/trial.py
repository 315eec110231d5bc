"""Many damaged files read in a child process with limits; what each reading ended in."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from siege.damage import damaged
from siege.outside import Watch
from siege.values import ESCAPE
from support.forking import forking

from data_prep.errors import InputError

SECONDS, GIGABYTES = 20, 6.0
# Processor time is what a case costs; a busy machine only delays it. What waits costs none, so that there is a clock too.
_CLOCK, _PATIENCE, _MAKING, _UNSOUND = 8 * SECONDS, 12 * SECONDS, 1200, 3


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        make: writes sound files into an empty folder.
        read: reads them as a user's command would; what it returns is thrown away.
        spare: files of the folder (glob patterns) that are not damaged.
        reseal: makes checksums in the folder right again, as who damages on purpose does; done after three of four damages.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    spare: tuple[str, ...] = ()
    reseal: Callable[[Path], object] | None = None


@dataclass(frozen=True)
class Outcome:
    """What one case ended in.

    Attributes:
        case: its number, which is also its seed.
        kind: ``read``, ``refused`` (an InputError of one line), or ``failed``.
        detail: of a failure: the exception and the place in this project; of a refusal: its line.
        seconds: of processor time it took.
    """

    case: int
    kind: str
    detail: str = ""
    seconds: float = 0.0


class _TooSlowError(BaseException):
    pass


def run_cases(
    name: str, folder: Path, cases: Sequence[int], module: str = "siege.targets"
) -> Iterator[Outcome]:
    """Damage one file of a copy per case, read the copy, put the file back.

    The files are made and read in child processes of a server that has used no thread: one that is forked from a process with
    threads inherits their locks and hangs.

    Args:
        name: of the target.
        folder: empty, for its files; on a fast disk.
        cases: numbers of the cases; each gives the same damage whenever it is run.
        module: whose ``TARGETS`` has the target.
    """
    done = 0
    while done < len(cases):
        for outcome in _in_child(module, name, folder, cases[done:]):
            done += 1
            yield outcome


def _in_child(module: str, name: str, folder: Path, cases: Sequence[int]) -> Iterator[Outcome]:
    """Outcomes until the child ends; one that dies by a signal or hangs gives a failure for the case it was at."""
    context = forking("siege.targets")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_read_all, args=(module, name, folder, cases, send), daemon=True)
    child.start()
    send.close()
    done, cause = 0, ""
    try:
        # The alarm inside the child cannot interrupt native code; this clock can.
        while receive.poll(_PATIENCE if done else _MAKING):
            yield Outcome(*receive.recv())
            done += 1
        child.kill()
        cause = f"native code that runs for more than {_PATIENCE} s"
    except EOFError:
        pass
    finally:
        child.join()
        receive.close()
    if child.exitcode == _UNSOUND:
        raise RuntimeError(f"the sound files in {folder} cannot be read")
    if done < len(cases):
        code = child.exitcode or 0
        ended = signal.Signals(-code).name if code < 0 else f"exit {code}"
        yield Outcome(cases[done], "failed", cause or f"the process ended ({ended})")


def _read_all(module: str, name: str, folder: Path, cases: Sequence[int], send: Connection) -> None:
    def ring(*_: object) -> None:
        raise _TooSlowError

    faulthandler.disable()  # pytest would print the trace of every crash
    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGPROF, ring)
    warnings.simplefilter("ignore")
    sound, work = folder / "sound", folder / "damaged"
    try:
        target: Target = import_module(module).TARGETS[name]
        if not sound.exists():
            making = folder / "making"
            making.mkdir(parents=True)
            target.make(making)
            target.read(shutil.copytree(making, work))
            making.rename(sound)
    except BaseException:  # noqa: BLE001 the trial itself is wrong
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(_UNSOUND)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + int(GIGABYTES * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    names = sorted(
        path.relative_to(sound)
        for path in sound.rglob("*")
        if path.is_file() and not any(path.match(pattern) for pattern in target.spare)
    )
    outside = folder / "outside"  # what a name in a file must not lead to
    if not outside.exists():
        shutil.copytree(sound, outside)
    watch = Watch(outside)
    shutil.rmtree(work, ignore_errors=True)
    for case in cases:
        rng = np.random.default_rng(case)
        file = names[rng.integers(len(names))]
        _restore(sound, work)
        if rng.random() < 0.03:
            _misplace(work / file, rng)
        else:
            (work / file).write_bytes(damaged((sound / file).read_bytes(), rng))
            if target.reseal is not None and rng.random() < 0.75:
                # A folder that cannot be sealed is damaged all the more.
                with contextlib.suppress(
                    ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError
                ):
                    target.reseal(work)
        outcome = _read_one(target, work, case)
        if touched := watch.touched():
            outcome = replace(
                outcome, kind="failed", detail=f"touched outside of the folder: {sorted(touched)}"
            )
        send.send(astuple(outcome))


def _restore(sound: Path, copy: Path) -> None:
    """Make ``copy`` equal to ``sound`` again: what was written to has another time than its original, all else is left."""
    copy.mkdir(exist_ok=True)
    there = {entry.name: entry for entry in os.scandir(copy)}
    for entry in os.scandir(sound):
        found = there.pop(entry.name, None)
        if entry.is_dir():
            if found is not None and not found.is_dir(follow_symlinks=False):
                os.unlink(found)
            _restore(Path(entry), copy / entry.name)
            continue
        if found is not None:
            now, before = found.stat(follow_symlinks=False), entry.stat()
            if (now.st_mode, now.st_size, now.st_mtime_ns) == (
                before.st_mode,
                before.st_size,
                before.st_mtime_ns,
            ):
                continue
            _remove(found)
        shutil.copy2(entry, copy / entry.name)
    for entry in there.values():
        _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry)
    else:
        os.unlink(entry)


def _misplace(path: Path, rng: np.random.Generator) -> None:
    """The file is gone, a folder, a pipe, a link to itself or to nothing, or has a neighbor with a hostile name."""
    kind = rng.integers(8)
    if kind == 6:
        (path.parent / (ESCAPE + path.name)).write_bytes(path.read_bytes())
    elif kind == 7:
        (path.parent / os.fsdecode(b"\xff\xfe" + os.fsencode(path.name))).write_bytes(path.read_bytes())
    else:
        path.unlink()
        (
            lambda: None,
            path.mkdir,
            lambda: os.mkfifo(path),
            lambda: path.symlink_to(path.name),
            lambda: path.symlink_to("nothing"),
            lambda: path.symlink_to("/dev/zero"),
        )[kind]()


def _read_one(target: Target, work: Path, case: int) -> Outcome:
    begun = time.process_time()
    kind, detail = "read", ""
    signal.alarm(_CLOCK)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    # The limits end in exceptions of every kind, and each of them is what is counted here.
    try:
        with contextlib.chdir(work.parent):
            target.read(work)
    except InputError as error:
        kind, detail = "refused", str(error)
        if len(detail) > 1500 or not all(char.isprintable() for char in detail):
            kind, detail = "failed", f"an error line of {len(detail)} characters, or with control characters"
    except _TooSlowError:
        kind, detail = "failed", f"more than {SECONDS} s: {_place(sys.exc_info()[2])}"
    except BaseException as error:  # noqa: BLE001
        kind, detail = (
            "failed",
            f"{type(error).__name__}: {str(error)[:80]!r} at {_place(error.__traceback__)}",
        )
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(case, kind, detail, time.process_time() - begun)


def _place(trace: object) -> str:
    """The last lines of the project in a trace."""
    root = str(Path(__file__).resolve().parents[2])
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if frame.filename.startswith((f"{root}/clip2", f"{root}/data_prep"))
    ]  # type: ignore[arg-type]
    return (
        " < ".join(f"{Path(f.filename).relative_to(root)}:{f.lineno}" for f in reversed(frames[-2:]))
        or "outside the project"
    )
