"""Many damaged files read in a child process with limits; what each reading ended in."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from siege.damage import damaged

from data_prep.errors import BadFrameError, InputError

SECONDS, GIGABYTES = 20, 6.0


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        make: writes sound files into an empty folder.
        read: reads them as a user's command would; what it returns is thrown away.
        spare: files of the folder (glob patterns) that are not damaged.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    spare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What one case ended in.

    Attributes:
        case: its number, which is also its seed.
        kind: ``read``, ``refused`` (an InputError of one line), or ``failed``.
        detail: of a failure: the exception and the place in this project; of a refusal: its line.
        seconds: it took.
    """

    case: int
    kind: str
    detail: str = ""
    seconds: float = 0.0


class _TooSlowError(BaseException):
    pass


def run_cases(target: Target, folder: Path, cases: range) -> Iterator[Outcome]:
    """Damage one file of a copy per case, read the copy, put the file back.

    The files are made and read in child processes only: a thread pool that this process had used would be dead in them.

    Args:
        target: what is tried.
        folder: empty, for its files; on a fast disk.
        cases: numbers of the cases; each gives the same damage whenever it is run.
    """
    following = cases
    while following:
        last = following.start - 1
        for outcome in _in_child(target, folder, following):
            last = outcome.case
            yield outcome
        following = range(last + 1, cases.stop)


def _in_child(target: Target, folder: Path, cases: range) -> Iterator[Outcome]:
    """Outcomes until the child ends; one that dies by a signal or hangs gives a failure for the case it was at."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        try:
            _read_all(target, folder, cases, send)
        except BaseException:  # noqa: BLE001 of the sound files: the trial itself is wrong
            traceback.print_exc()
            os._exit(3)
        finally:
            os._exit(0)
    os.close(send)
    case, cause = cases.start, ""
    with os.fdopen(receive, "rb", buffering=0) as stream:
        # The alarm inside the child cannot interrupt native code; this clock can.
        while select.select([stream], [], [], 3 * SECONDS)[0]:
            if not (head := stream.read(4)):
                break
            outcome = Outcome(*json.loads(stream.read(struct.unpack("<I", head)[0])))
            case = outcome.case + 1
            yield outcome
        else:
            os.kill(child, signal.SIGKILL)
            cause = f"native code that runs for more than {3 * SECONDS} s"
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 3:
        raise RuntimeError(f"the sound files in {folder} cannot be read")
    if case < cases.stop:
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
        yield Outcome(case, "failed", cause or f"the process ended ({ended})")


def _read_all(target: Target, folder: Path, cases: range, send: int) -> None:
    sound, work = folder / "sound", folder / "damaged"
    if not sound.exists():
        sound.mkdir(parents=True)
        target.make(sound)
        with contextlib.suppress(BadFrameError):  # some twins hold a frame that is not to be used
            target.read(shutil.copytree(sound, work))

    def ring(*_: object) -> None:
        raise _TooSlowError

    faulthandler.disable()  # pytest would print the trace of every crash
    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + int(GIGABYTES * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("ignore")
    names = sorted(
        path.relative_to(sound)
        for path in sound.rglob("*")
        if path.is_file() and not any(path.match(pattern) for pattern in target.spare)
    )
    for case in cases:
        rng = np.random.default_rng(case)
        name = names[rng.integers(len(names))]
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(sound, work)
        (work / name).write_bytes(damaged((sound / name).read_bytes(), rng))
        outcome = _read_one(target, work, case)
        record = json.dumps(astuple(outcome)).encode()
        os.write(send, struct.pack("<I", len(record)) + record)


def _read_one(target: Target, work: Path, case: int) -> Outcome:
    begun = time.monotonic()
    kind, detail = "read", ""
    signal.alarm(SECONDS)
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
    return Outcome(case, kind, detail, time.monotonic() - begun)


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
