"""Live pipeline: a worker updates the map, and frames that come too fast are dropped and counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from clip2.mapping.object_map import ObjectMap
from clip2.mapping.update import MapUpdate
from data_prep.errors import InputError
from data_prep.scans import Frame


class LivePipeline:
    """Feeds a map from a sensor that does not wait.

    Frames wait in a bounded queue. When it is full, the oldest one is dropped and counted, so that the map is never more
    than ``depth`` frames behind. Close it, or use it as a context manager.

    Args:
        object_map: only the pipeline may update it meanwhile.
        on_update: called in the worker with every update.
        on_error: called in the worker with a frame that cannot be used and the reason.
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
        self._depth, self._open, self._busy, self._ended = depth, True, False, False
        self._changed = threading.Condition()
        self.taken = self.dropped = self.refused = 0
        self._pool = ThreadPoolExecutor(1, "object-map")
        self._worker = self._pool.submit(self._work)

    def offer(self, frame: Frame) -> None:
        """Hand over a frame; returns at once.

        Raises:
            Exception: the worker failed; this is what it raised.
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
            self._changed.wait_for(lambda: self._ended or not (self._waiting or self._busy))
        self._raise_failure()

    def close(self) -> None:
        """Finish the waiting frames and stop the worker."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._pool.shutdown()
        self._raise_failure()

    def __enter__(self) -> LivePipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        if self._worker.done():
            self._worker.result()

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or not self._open)
                    if not self._waiting:
                        return
                    frame, self._busy = self._waiting.popleft(), True
                self._take(frame)
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self, frame: Frame) -> None:
        try:
            update = self._map.update(frame)
        except InputError as error:
            self.refused += 1
            if self._on_error is not None:
                self._on_error(frame, error)
        else:
            self.taken += 1
            if self._on_update is not None:
                self._on_update(update)
