"""Dynamic batching: clouds of many requests, encoded together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from clip2.model import Description
from data_prep.errors import InputError

Describe = Callable[..., Description]
Clouds = Sequence[NDArray[np.floating]]
Colors = Sequence[NDArray[np.uint8] | None]


@dataclass
class _Job:
    """The clouds of one request. Jobs that failed together with others are tried alone."""

    clouds: Clouds
    colors: Colors
    alone: bool = False
    result: Description | None = None
    future: Future[Description] | None = None


class Batcher:
    """Encodes on one thread; what arrives while a batch is encoded becomes the next batch, so waiting costs nothing.

    Calls are safe from any thread.

    Args:
        describe: ``Clip2Model.describe`` or a stand-in.
        max_clouds: most clouds per batch; a larger request is a batch of its own.
        observe: called with the number of clouds and of requests of each batch.

    >>> import clip2, numpy as np
    >>> batcher = Batcher(clip2.load("mini-points").describe)
    >>> jobs = [batcher.submit([np.random.default_rng(i).normal(size=(100, 3))], [None]) for i in range(3)]
    >>> [job.result().embeddings.shape for job in jobs]
    [(1, 128), (1, 128), (1, 128)]
    >>> batcher.close()
    """

    def __init__(
        self,
        describe: Describe,
        max_clouds: int = 256,
        observe: Callable[[int, int], object] = lambda clouds, requests: None,
    ) -> None:
        self._describe, self._max_clouds, self._observe = describe, max_clouds, observe
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._waiting: deque[_Job] = deque()
        self._lock = Lock()

    def __call__(self, clouds: Clouds, colors: Colors | None = None) -> Description:
        """As :meth:`submit`, and wait."""
        return self.submit(clouds, colors).result()

    def submit(self, clouds: Clouds, colors: Colors | None = None) -> Future[Description]:
        """Encode soon; a future that is canceled in time costs nothing.

        Raises (by the future):
            InputError: as ``describe``, about these clouds alone.
        """
        job = _Job(clouds, [None] * len(clouds) if colors is None else colors)
        with self._lock:
            self._waiting.append(job)
            job.future = self._encoder.submit(self._run, job)
        return job.future

    def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._encoder.shutdown()

    def _run(self, job: _Job) -> Description:
        if job.result is None:
            batch = self._next_batch(job)
            try:
                self._encode(batch)
            except InputError:
                if len(batch) == 1:
                    raise
                for each in batch:  # one of them is to blame, and only that one may fail
                    each.alone = True
                self._encode([job])
        assert job.result is not None
        return job.result

    def _next_batch(self, first: _Job) -> list[_Job]:
        with self._lock:
            self._waiting = deque(job for job in self._waiting if not _is_over(job) and job is not first)
            batch, count = [first], len(first.clouds)
            if first.alone:
                return batch
            for job in self._waiting:
                if not job.alone and count + len(job.clouds) <= self._max_clouds:
                    batch.append(job)
                    count += len(job.clouds)
            return batch

    def _encode(self, batch: list[_Job]) -> None:
        clouds = [cloud for job in batch for cloud in job.clouds]
        colors = [color for job in batch for color in job.colors]
        described = self._describe(clouds, colors)
        self._observe(len(clouds), len(batch))
        start = 0
        for job in batch:
            part = slice(start, start + len(job.clouds))
            job.result = Description(described.embeddings[part], described.features[part])
            start = part.stop


def _is_over(job: _Job) -> bool:
    return job.result is not None or (job.future is not None and job.future.done())
