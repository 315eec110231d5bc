"""Streaming of training objects from tar shards: nothing is kept on disk, and a few shards at a time in memory.

The sampler places the objects of a shard close together (:class:`~clip2.training.sampler.ObjectSampler`), so a reader
loads a shard when the first of its objects is due and drops it some steps after the last. What a step sees is a function
of the seed and the step alone: a resumed run begins with the shards of its next step, and neither the number of ranks nor
that of reader processes changes it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from clip2.teacher.features import TripletFeatures
from clip2.training.clouds import Block, Clouds, Home, sample_object
from clip2.training.point_cache import StoredObjects
from clip2.training.sampler import ObjectSampler
from data_prep.errors import InputError
from data_prep.storage.store import open_store
from data_prep.triplets import TripletSet, open_triplets

# A shard is loaded this many steps before its first object is due.
_STEPS_AHEAD = 8
# Seconds after which a store that sends nothing is given up.
PATIENCE = 300.0


class ShardCache:
    """The shards that a process holds; each is loaded by a thread, and the least recently used goes first.

    Args:
        capacity: shards to hold, at least 1.
        patience: seconds to wait for a shard.
    """

    def __init__(self, capacity: int, patience: float = PATIENCE) -> None:
        self.restart(capacity)
        self.patience = patience

    def restart(self, capacity: int) -> None:
        """Forget everything; a forked process has its parent's shards but not its threads."""
        self.capacity, self._held = capacity, OrderedDict[ShardBlock, Future[Block]]()

    def prepare(self, block: ShardBlock) -> Future[Block]:
        """Begin to load a shard."""
        if block not in self._held:
            loaded: Future[Block] = Future()
            # A store that hangs must not keep the process alive.
            threading.Thread(target=_load_into, args=(block, loaded), daemon=True).start()
            self._held[block] = loaded
            while len(self._held) > self.capacity:
                self._held.popitem(last=False)
        self._held.move_to_end(block)
        return self._held[block]

    def get(self, block: ShardBlock) -> Block:
        """The points of a shard.

        Raises:
            InputError: it cannot be read, is not what was written, or the store does not answer.
        """
        try:
            return self.prepare(block).result(self.patience)
        except NoAnswer:
            raise InputError(
                f"sends nothing for {self.patience:.0f} s",
                source=block.where,
                fix="check the network and the store, then continue with --resume",
            ) from None
        except InputError:
            self._held.pop(block, None)
            raise


def _load_into(block: ShardBlock, loaded: Future[Block]) -> None:
    try:
        loaded.set_result(block.load())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        loaded.set_exception(error)


class ShardBlock:
    """Points of the objects of one shard, loaded when they are asked for; see :class:`~clip2.training.clouds.StoredBlock`.

    Args:
        source: the set.
        number: of the shard in the set.
        counts: (n,) points of each of its objects as training keeps them; 0: not usable.
        has_colors: whether any object has color.
        max_points: points kept per object.
        cache: of the process.
    """

    home: Home = "shards"

    def __init__(
        self,
        source: ShardSource,
        number: int,
        counts: NDArray[np.int64],
        has_colors: bool,
        max_points: int,
        cache: ShardCache,
    ) -> None:
        self._source, self._number, self._counts = source, number, counts
        self._max_points, self.cache = max_points, cache
        self.has_colors = has_colors
        shard = source.manifest.shards[number]
        self.digest = shard.sha256
        self.where = f"{source.path}/{shard.name}"
        self.nbytes = int(counts.sum()) * (15 if has_colors else 12)

    @property
    def points(self) -> NDArray[np.floating]:
        return self.cache.get(self).points

    @property
    def colors(self) -> NDArray[np.uint8] | None:
        return self.cache.get(self).colors

    def load(self) -> Block:
        """Read the shard.

        Raises:
            InputError: it cannot be read, or is not what was written.
        """
        triplets = self._source.open()
        samples = [
            sample_object(triplet.points, triplet.colors, self._max_points, triplet.key)
            for triplet in triplets.iter_shard(self._source.manifest.shards[self._number].name, crops=False)
        ]
        if [len(points) for points, _, _ in samples] != self._counts.tolist():
            raise InputError(
                "holds other objects than its features say", source=self.where, fix="run clip2 embed again"
            )
        clouds = Clouds.gather([points for points, _, _ in samples], [colors for _, colors, _ in samples])
        return Block(clouds.blocks[0].points, clouds.blocks[0].colors)


class ShardSource:
    """A triplet set that every process opens for itself: connections do not survive a fork."""

    def __init__(self, path: str | Path, triplets: TripletSet) -> None:
        self.path, self.manifest = path, triplets.manifest
        self._lock, self._process, self._open = threading.Lock(), os.getpid(), triplets

    def open(self) -> TripletSet:
        """The set, opened by this process."""
        if self._process != os.getpid():
            self._lock = threading.Lock()
            self._process, self._open = os.getpid(), TripletSet(open_store(self.path), self.manifest)
        return self._open


def stream_objects(
    path: str | Path, features: TripletFeatures, max_points: int, cache: ShardCache
) -> StoredObjects:
    """The objects of a triplet folder or URL without reading its shards; what they hold is in the features.

    The frames are the shards, so that objects are held out by whole shards, which nothing else has to read. A shard ends
    with a frame.

    Args:
        path: folder or URL of the set.
        features: of the set.
        max_points: points kept per object, always the same uniform sample.
        cache: of the shards that are read later.

    Raises:
        InputError: an older release computed the features.
    """
    triplets = open_triplets(path)
    contents = features.contents
    if contents is None:
        raise InputError(
            "was embedded by a release that did not note what the shards hold, which data.stream needs",
            source=path,
            field="features",
            fix="delete the folder features/ and run clip2 embed again",
        )
    source = ShardSource(path, triplets)
    problems = [contents.problems.get(row, "") for row in range(len(contents.points))]
    usable = np.array([not problem for problem in problems], bool)
    count = np.minimum(contents.points, max_points) * usable
    numbers = np.repeat(np.arange(len(triplets.shards)), [shard.count for shard in triplets.shards])
    has_color = contents.has_color & usable
    parts = []
    for number in range(len(triplets.shards)):
        rows = numbers == number
        block = ShardBlock(source, number, count[rows], bool(has_color[rows].any()), max_points, cache)
        parts.append(Clouds.of_block(block, count[rows]))
    return StoredObjects(
        Clouds.join(parts), has_color, numbers.astype(np.int64), tuple(problems), np.arange(len(problems))
    )


class StreamedBatches(IterableDataset):
    """The clouds of one rank's objects, step by step; each reader process has some of the rank's lanes.

    Args:
        clouds: of all objects.
        sampler: of the run.
        rank, world: this rank, and how many there are.
        steps: (first, last + 1).
    """

    def __init__(
        self, clouds: Clouds, sampler: ObjectSampler, rank: int, world: int, steps: tuple[int, int]
    ) -> None:
        self._clouds, self._sampler, self._steps = clouds, sampler, steps
        self._lanes = np.arange(sampler.lanes).reshape(world, -1)[rank]

    def loader(self, workers: int) -> Generator[Clouds]:
        """Clouds of the rank's objects for each step, in the order of the batch, read by ``workers`` processes.

        Raises:
            InputError: a shard cannot be read, or a reader process died.
        """
        workers = min(workers, len(self._lanes))
        loader = iter(
            DataLoader(
                self,
                batch_size=None,
                num_workers=workers,
                collate_fn=_as_it_is,
                multiprocessing_context="fork" if workers else None,
            )
        )
        for _ in range(*self._steps):
            parts = [_received(loader) for _ in range(max(1, workers))]
            yield Clouds.join(parts)

    def __iter__(self) -> Iterator[tuple | InputError]:
        info = torch.utils.data.get_worker_info()
        lanes = self._lanes if info is None else np.array_split(self._lanes, info.num_workers)[info.id]
        each = self._sampler.batch_size // self._sampler.lanes
        span = slice(lanes[0] * each, (lanes[-1] + 1) * each)
        (cache,) = {block.cache for block in self._clouds.blocks if isinstance(block, ShardBlock)}
        if info is not None:  # the main process ends this one
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        cache.restart(1)
        try:
            for step in range(*self._steps):
                due = self._sampler.batch(step)[span]
                needed = [*self._blocks(due), *self._blocks(self._sampler.batch(step + _STEPS_AHEAD)[span])]
                # Besides these, those that are still needed at a border between two shards.
                cache.capacity = max(cache.capacity, 3 * len(lanes), len(needed))
                for block in needed:  # all at once, before the first is waited for
                    cache.prepare(block)
                batch = self._clouds.in_memory(due)
                points, colors = batch.blocks[0].points, batch.blocks[0].colors
                yield (
                    torch.from_numpy(points),
                    None if colors is None else torch.from_numpy(colors),
                    torch.from_numpy(batch.count),
                )
        except InputError as error:  # torch would wrap it into a traceback
            yield error

    def _blocks(self, rows: NDArray[np.int64]) -> list[ShardBlock]:
        blocks = [self._clouds.blocks[number] for number in np.unique(self._clouds.block[rows])]
        return [block for block in blocks if isinstance(block, ShardBlock)]


def _received(loader: Iterator[tuple | InputError]) -> Clouds:
    try:
        found = next(loader)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a reader process died",
            field="device.workers",
            fix="if memory ran out, lower it or data.stream; then continue with --resume",
        ) from error
    if isinstance(found, InputError):
        raise found
    points, colors, count = found
    block = Block(points.numpy(), None if colors is None else colors.numpy())
    return Clouds.of_block(block, count.numpy())


def _as_it_is(item: object) -> object:
    return item
