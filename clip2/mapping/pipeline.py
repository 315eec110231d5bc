"""Live pipeline: two workers update the map, and frames that come too fast are dropped and counted."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import Queue
from types import TracebackType
from typing import TypeVar

import data_prep.native as native
from clip2.mapping.finder import Sighting
from clip2.mapping.object_map import ObjectMap
from clip2.mapping.update import MapUpdate
from data_prep.errors import InputError
from data_prep.scale.blas import single_threaded_blas
from data_prep.scans import Frame

Given = TypeVar("Given")
Result = TypeVar("Result")


class LivePipeline:
    """Feeds a map from a sensor that does not wait.

    One worker finds the objects of a frame while the other fuses those of the frame before into the map, each on half of
    the cores. The map becomes the same as without a pipeline, unless ``budget_ms`` leaves something out.

    Frames wait in a bounded queue. When it is full, the oldest one is dropped and counted, so that the map is never more
    than ``depth`` frames and those in work behind. Close it, or use it as a context manager.

    Args:
        object_map: only the pipeline may update it meanwhile.
        on_update: called in a worker with every update.
        on_error: called in a worker with a frame that cannot be used and the reason.
        depth: frames that may wait.

    Attributes:
        taken: frames that the map took.
        dropped: frames that came too fast.
        refused: frames that could not be used.
    """

    def __init__(
        self,
        object_map: ObjectMap,
        on_update: Callable[[MapUpdate], object] | None = None,
        on_error: Callable[[Frame, InputError], object] | None = None,
        depth: int = 2,
    ) -> None:
        if depth < 1:
            raise InputError(f"is {depth}", field="depth", fix="give 1 or more")
        self._map, self._on_update, self._on_error = object_map, on_update, on_error
        self._waiting: deque[Frame] = deque()
        self._found: Queue[tuple[Frame, Sighting] | None] = Queue(1)  # None: the last one came
        self._depth, self._open, self._ended, self._in_work = depth, True, False, 0
        self._changed = threading.Condition()
        self.taken = self.dropped = self.refused = 0
        threads = _torch_threads()
        # Of two workers that overlap, each would restore the number that the other has set.
        self._blas = ExitStack()
        self._blas.enter_context(single_threaded_blas())
        self._pool = ThreadPoolExecutor(2, "object-map")
        self._workers = [
            self._pool.submit(_on_half_the_cores, work, threads) for work in (self._find, self._fuse)
        ]

    def offer(self, frame: Frame) -> None:
        """Hand over a frame; returns at once.

        Raises:
            Exception: a worker failed; this is what it raised.
        """
        self._raise_failure()
        with self._changed:
            if len(self._waiting) == self._depth:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(frame)
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until every frame that was not dropped is in the map."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not (self._waiting or self._in_work))
        self._raise_failure()

    def close(self) -> None:
        """Finish the waiting frames and stop the workers."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._pool.shutdown()
        self._blas.close()
        self._raise_failure()

    def __enter__(self) -> LivePipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        if self._ended:
            for worker in self._workers:
                worker.result()

    def _find(self) -> None:
        try:
            while (frame := self._next()) is not None:
                if (sighting := self._try(self._map.find, frame, frame)) is not None:
                    self._found.put((frame, sighting))
        finally:
            self._found.put(None)

    def _fuse(self) -> None:
        found = None
        try:
            while (found := self._found.get()) is not None:
                if (update := self._try(self._map.fuse, found[1], found[0])) is not None:
                    if self._on_update is not None:
                        self._on_update(update)
                    self._finish(taken=1)
        finally:
            with self._changed:
                self._ended = True  # after a failure the finder ends, too
                self._changed.notify_all()
            while found is not None:
                found = self._found.get()

    def _next(self) -> Frame | None:
        """The oldest waiting frame; None: no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or not self._open)
            if self._ended or not self._waiting:
                return None
            self._in_work += 1
            return self._waiting.popleft()

    def _try(self, step: Callable[[Given], Result], given: Given, frame: Frame) -> Result | None:
        """What a step of the map makes of a frame; None: it was refused."""
        try:
            return step(given)
        except InputError as error:
            if self._on_error is not None:
                self._on_error(frame, error)
            self._finish(refused=1)
            return None

    def _finish(self, taken: int = 0, refused: int = 0) -> None:
        """One frame is no longer in work."""
        with self._changed:
            self.taken, self.refused = self.taken + taken, self.refused + refused
            self._in_work -= 1
            self._changed.notify_all()


def _torch_threads() -> int | None:
    """Threads that torch uses here; None: it is not loaded, as on a robot with onnxruntime."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _on_half_the_cores(work: Callable[[], None], torch_threads: int | None) -> None:
    """Run a worker with half of the threads: more threads than cores wait for each other in loops.

    Args:
        work: until the pipeline is closed.
        torch_threads: outside of the workers.
    """
    native.limit_threads(max(1, native.threads() // 2))
    if torch_threads is None:
        return work()
    torch = sys.modules["torch"]
    torch.set_num_threads(max(1, torch_threads // 2))  # of this thread, and of those that begin meanwhile
    try:
        work()
    finally:
        torch.set_num_threads(torch_threads)
