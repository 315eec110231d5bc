"""Pool of worker processes of this machine."""

from __future__ import annotations

import heapq
import multiprocessing
import os
import pickle  # between our own processes  # nosec B403
import signal
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from multiprocessing import connection, reduction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from data_prep.errors import InputError
from data_prep.scale.engine import (
    DEATHS_ALLOWED,
    ENGINES,
    IN_FLIGHT_PER_WORKER,
    Item,
    Result,
    item_keeps_dying,
)
from data_prep.storage.files import writing

_WAITING_PER_WORKER = 2  # one in progress and one queued, so that a worker never waits for its next item
_DESCRIPTORS = 10  # that the start of a process opens, some of them for a moment
_IMPORTED_ONCE = "data_prep.triplets.frame_miner"  # a name, not an import: mining builds on this package
_START_ADVICE = (
    "run with one worker to see why; a script that mines with workers needs `if __name__ == '__main__':`"
)
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@ENGINES.register("processes")
class Processes:
    """Maps over fresh processes, never forked from a process that holds threads or locks.

    The function is sent to each worker once, the items one by one. A worker that dies (killed, out of memory) is
    replaced and its items are repeated. Workers end with this process, however it ends.

    Args:
        workers: their number; None: one per processor.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        # The forkserver imports once and then starts workers in milliseconds; a spawned worker imports everything itself.
        self._context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        self._context.set_forkserver_preload(["__main__", _IMPORTED_ONCE])

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """See :class:`~data_prep.scale.engine.Engine`; ``work`` and items are pickled, items should be small."""
        workers: list[_Worker] = []
        results: dict[int, Result] = {}
        deaths: Counter[int] = Counter()
        to_do = _ToDo(len(items))
        pickled = _Pickled(work)
        try:
            for taken in range(len(items)):
                while taken not in results:
                    while len(workers) < min(self.workers, len(items) - taken):
                        workers.append(self._start(pickled))
                    self._hand_out(to_do, items, workers, limit=taken + IN_FLIGHT_PER_WORKER * self.workers)
                    ready = connection.wait([worker.pipe for worker in workers])
                    for worker in [worker for worker in workers if worker.pipe in ready]:
                        if not worker.receive(results):
                            workers.remove(worker)
                            how = worker.end()
                            if not worker.given:
                                raise InputError(
                                    f"could not start ({how})", source="worker process", fix=_START_ADVICE
                                )
                            deaths[worker.given[0]] += 1
                            if deaths[worker.given[0]] == DEATHS_ALLOWED:
                                raise item_keeps_dying(items[worker.given[0]], how)
                            to_do.again(worker.given)
                yield results.pop(taken)
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.end()

    def _hand_out(self, to_do: _ToDo, items: Sequence, workers: Sequence[_Worker], limit: int) -> None:
        """Give the next items to the workers with the fewest, up to the position ``limit``."""
        while (position := to_do.first()) is not None and position < limit:
            worker = min(workers, key=lambda worker: len(worker.given))
            if len(worker.given) == _WAITING_PER_WORKER:
                return
            to_do.take()
            # If the worker is dead, reading its pipe will show it, and the item is repeated.
            worker.give(position, items[position])

    def _start(self, work: _Pickled) -> _Worker:
        _require_descriptors()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, work), daemon=True)
        with one_thread_each():
            process.start()
        theirs.close()  # otherwise the end of the process would not close the pipe
        return _Worker(process, ours)


def _require_descriptors() -> None:
    """Raise OSError where too few files can be opened: Python's fork server would then print a traceback."""
    spare: list[int] = []
    try:
        while len(spare) < _DESCRIPTORS:
            spare.extend(os.pipe())
    finally:
        for descriptor in spare:
            os.close(descriptor)


class _ToDo:
    """Positions still to do, in order: first those of dead workers, then new ones."""

    def __init__(self, count: int) -> None:
        self._next, self._count = 0, count
        self._again: list[int] = []

    def first(self) -> int | None:
        if self._again:
            return self._again[0]
        return self._next if self._next < self._count else None

    def take(self) -> None:
        if self._again:
            heapq.heappop(self._again)
        else:
            self._next += 1

    def again(self, positions: Iterable[int]) -> None:
        for position in positions:
            heapq.heappush(self._again, position)


@dataclass
class _Worker:
    """A process, our end of its pipe, and the positions of its items in the order given."""

    process: BaseProcess
    pipe: Connection
    given: deque[int] = field(default_factory=deque)

    def give(self, position: int, item: Any) -> None:
        self.given.append(position)
        with suppress(OSError):
            self.pipe.send(item)

    def receive(self, results: dict[int, Any]) -> bool:
        """Take one result, or raise the exception of the function. False: the worker died."""
        try:
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            return False
        if error is not None:
            raise error
        results[self.given.popleft()] = result
        return True

    def end(self) -> str:
        """Wait for the end of the process; returns a description of it."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _work(pipe: Connection, load: Callable[[], Callable]) -> None:
    """Main function of a worker: load the function, then process items until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent decides
    # A closed pipe means that the parent is gone or finished.
    with suppress(EOFError, OSError):
        try:
            work = load()
            while True:
                item = pipe.recv()
                pipe.send((_Failed.or_result(work, item), None))
        except (EOFError, OSError):
            raise
        except _Failed as failed:
            pipe.send((None, failed.__cause__))
        except Exception as error:  # noqa: BLE001  (raised again by the parent)
            pipe.send((None, error))


class _Failed(Exception):
    """An exception of the function, distinct from one of the pipe: both may be an OSError."""

    @staticmethod
    def or_result(work: Callable, item: object) -> object:
        try:
            return work(item)
        except Exception as error:
            raise _Failed from error


class _Pickled:
    """A pickled function in a file that has no name, so that a killed run leaves nothing; workers inherit it open.

    Sent through pipes, it would delay the start of each next worker.
    """

    def __init__(self, work: Callable) -> None:
        try:
            content = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"cannot be sent to another process ({error})",
                source=type(work).__name__,
                fix="use one worker, or classes and functions that live in an importable module",
            ) from error
        with writing(tempfile.gettempdir(), "TMPDIR"):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the object)
            self._file.write(content)
            self._file.flush()

    def __reduce__(self) -> tuple:
        if sys.platform == "win32":  # its processes inherit no files
            self._file.seek(0)
            return _unpickler, (self._file.read(),)
        return _unpickler, (reduction.DupFd(self._file.fileno()),)


def _unpickler(content: Any) -> Callable[[], Callable]:
    def load() -> Any:
        if isinstance(content, bytes):
            return pickle.loads(content)  # noqa: S301  (written by the parent a moment ago)  # nosec B301
        with open(content.detach(), "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            return pickle.loads(mapped)  # noqa: S301  (as above, in a file that only we have open)  # nosec B301

    return load


@contextmanager
def one_thread_each() -> Iterator[None]:
    """One thread per library in processes started here; many libraries default to one per processor."""
    before = {name: os.environ.get(name) for name in _THREAD_COUNTS}
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
