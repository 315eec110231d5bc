"""An engine is a map: same results, same order, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.deadly_stand_ins import die_at_three, fail_at_five

from data_prep.errors import InputError
from data_prep.scale import InProcess, create_engine
from data_prep.scale.processes import Processes
from data_prep.triplets import open_triplets


def square(number: int) -> int:
    """Later items are done first."""
    time.sleep(0.02 if number % 2 == 0 else 0)
    return number * number


class DieOnce:
    """The first time that a number of ``at`` comes, its process is killed; a file remembers."""

    def __init__(self, folder: Path, at: tuple[int, ...]) -> None:
        self.folder, self.at = folder, at

    def __call__(self, number: int) -> int:
        mark = self.folder / str(number)
        if number in self.at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class CountBegun:
    """Leaves a file for each item begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        (self.folder / str(number)).touch()
        return os.getpid()


@pytest.fixture(scope="module")
def two() -> Processes:
    return Processes(2)


def test_results_come_in_the_order_of_the_items(two: Processes) -> None:
    assert list(two.map(square, range(20))) == [number * number for number in range(20)]


def test_no_items_no_workers(two: Processes) -> None:
    assert list(two.map(square, [])) == []


def test_the_items_of_killed_workers_are_done_again(two: Processes, tmp_path: Path) -> None:
    work = DieOnce(tmp_path, at=(0, 7, 8, 19))
    assert list(two.map(work, range(20))) == list(range(20))
    assert {path.name for path in tmp_path.iterdir()} == {"0", "7", "8", "19"}


def test_an_item_that_kills_every_worker_is_named(two: Processes) -> None:
    results = two.map(die_at_three, range(6))
    with pytest.raises(InputError, match=r"^3: the worker that had it died 3 times \(signal SIGKILL\)"):
        list(results)


def test_an_exception_comes_through_as_it_was(two: Processes) -> None:
    with pytest.raises(InputError, match=r"^item: number: is five$"):
        list(two.map(fail_at_five, range(8)))


def full_disk(number: int) -> int:
    raise OSError(28, "No space left on device")


def test_an_oserror_of_the_work_is_no_worker_that_died(two: Processes) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        list(two.map(full_disk, range(4)))


def test_no_more_is_begun_than_the_window(two: Processes, tmp_path: Path) -> None:
    with closing(two.map(CountBegun(tmp_path), range(1000))) as results:
        next(results)
        time.sleep(0.3)  # time enough for a thousand
        # Four per worker in flight, counted from the item asked for.
        assert len(list(tmp_path.iterdir())) <= 8


def test_closing_ends_the_workers(two: Processes, tmp_path: Path) -> None:
    with closing(two.map(CountBegun(tmp_path), range(1000))) as results:
        pids = {next(results) for _ in range(6)}
    assert os.getpid() not in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_cannot_be_sent_is_one_line(two: Processes) -> None:
    def local(number: int) -> int:
        return number

    with pytest.raises(
        InputError, match=r"function: cannot be sent to another process .*Fix: use one worker"
    ):
        list(two.map(local, range(3)))


def test_ctrl_c_ends_the_workers(two: Processes, tmp_path: Path) -> None:
    """The signal reaches parent and workers alike, as a terminal sends it."""

    def interrupt() -> Iterator[int]:
        with closing(two.map(CountBegun(tmp_path), range(100_000))) as results:
            pids.add(next(results))
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
            for pid in pids:
                os.kill(pid, signal.SIGINT)
            yield from results

    pids: set[int] = set()
    with pytest.raises(KeyboardInterrupt):
        list(interrupt())
    with pytest.raises(ProcessLookupError):
        os.kill(pids.pop(), 0)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: create_engine("dask"), "engine: 'dask' is unknown. Fix: use one of processes, ray"),
        (lambda: create_engine(workers=0), "workers: is 0. Fix: give 1 or more"),
    ],
)
def test_impossible_engines_are_refused(make: Callable, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make()


def test_one_worker_is_this_process() -> None:
    assert isinstance(create_engine(), InProcess)
    assert isinstance(create_engine(workers=1), InProcess)
    assert list(InProcess().map(square, range(3))) == [0, 1, 4]


def test_ray_and_fsspec_name_their_extra_where_they_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray", "fsspec"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        InputError, match=r"^engine ray: needs ray, which is not installed\. Fix: pip install 'clip2\[ray\]'"
    ):
        create_engine("ray")
    with pytest.raises(
        InputError,
        match=r"^s3://bucket/set: needs fsspec, which is not installed\. Fix: pip install 'clip2\[cloud\]'",
    ):
        open_triplets("s3://bucket/set")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_without_descriptors_no_worker_is_started_halfway() -> None:
    script = """
import os, resource
from data_prep.scale.processes import Processes
if __name__ == "__main__":
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 6, highest + 6))
    try:
        list(Processes(1).map(abs, [-1]))
    except OSError as error:
        print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("Too many open files\n", "")
