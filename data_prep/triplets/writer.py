"""Triplet writer: tar shards that survive a kill at any moment."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError, without_secret
from data_prep.storage.store import Store, open_store, writing
from data_prep.storage.urls import as_url
from data_prep.triplets.folder import WHOLE, Part, continue_set, require_triplet_folder
from data_prep.triplets.manifest import BadFrame, Manifest, Shard, versions_here
from data_prep.triplets.members import PackedTriplet, pack_triplet, tar_end
from data_prep.triplets.triplet import Triplet


class TripletWriter:
    """Appends triplets, frame by frame, to a folder of shards.

    A shard is written under a temporary name, flushed to disk, renamed, and only then listed in the manifest.
    It is closed at the end of the frame in which it reaches ``objects_per_shard``. So a killed run leaves whole
    shards, and a run that skips the first :attr:`frames_done` frames and goes on gives the same bytes as one
    that was never killed. Leaving the ``with`` block normally finishes the set; leaving it by an exception
    keeps what was closed.

    >>> import numpy as np, tempfile
    >>> from data_prep.triplets import Provenance
    >>> cube = Triplet("cube-0", np.zeros((8, 3), np.float32), None, None, ("cube",), Provenance(frame="0"))
    >>> with TripletWriter(tempfile.mkdtemp(), source="toy") as writer:
    ...     writer.add(cube)
    ...     writer.end_frame("0")
    >>> writer.manifest.totals["objects"]
    1

    Args:
        path: the folder, of this machine or a URL; made if absent. An unfinished set with the same configuration is continued.
        source: reader or origin the triplets come from.
        root: folder of the scan, if any.
        options: all else that decides the result; compared by value when a set is continued.
        objects_per_shard: a shard is closed once it holds this many.
        about_detections: the manifest's ``skipped_detections``, ``categories`` and ``is_ground_truth``.
        part: the piece of a split set that this is; its files carry its name.

    Attributes:
        frames_done: frames that an earlier, killed run has covered; skip them.
        finished: the set is complete already; there is nothing to add.
        manifest: the current state.

    Raises:
        BadDatasetError: the folder is a file, holds something else, or was begun with other options.
        InputError: another process is writing there, or a key comes twice.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: str,
        root: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
        objects_per_shard: int = 1000,
        about_detections: Mapping[str, Any] | None = None,
        part: Part = WHOLE,
    ) -> None:
        if objects_per_shard < 1:
            raise InputError(f"is {objects_per_shard}", field="objects_per_shard", fix="give at least 1")
        self.path, self.part = path, part
        self._store = store = open_store(path)
        wanted = Manifest(
            versions=versions_here(),
            source=source,
            root=None if root is None else without_secret(as_url(root) or _recorded(Path(root))),
            options={**(options or {}), "objects_per_shard": objects_per_shard},
            **(about_detections or {}),
        )
        self._objects_per_shard = objects_per_shard
        with writing(store):
            require_triplet_folder(store, part)
            store.make()
            self._lock = store.lock(part.lock)
        try:
            with writing(store):
                self.manifest = continue_set(store, wanted, part)
        except BaseException:
            self._lock.release()
            raise
        self.frames_done, self.finished = self.manifest.frames_done, self.manifest.finished
        self._rejections: Counter[str] = Counter(self.manifest.rejections)
        self._bad_frames = list(self.manifest.bad_frames)
        self._frames = self.manifest.frames_done
        self._merged = self.manifest.merged
        self._keys = _SeenKeys()
        self._open: _OpenShard | None = None

    def add(self, triplet: Triplet | PackedTriplet) -> None:
        """Append one triplet of the current frame, packed already or not."""
        if self.finished:
            raise InputError("is finished", source=self.path, fix="write into another folder")
        if not self._keys.add(triplet.key):
            raise InputError(f"{triplet.key!r} comes twice", source=self.path, field="key")
        with writing(self._store):
            if self._open is None:
                self._open = _OpenShard(self._store, self.part.shard(len(self.manifest.shards)))
            self._open.append(triplet if isinstance(triplet, PackedTriplet) else pack_triplet(triplet))

    @property
    def full(self) -> bool:
        """The open shard holds as many triplets as it should; the end of the frame will close it."""
        return self._open is not None and self._open.count >= self._objects_per_shard

    def end_frame(
        self,
        frame: str,
        *,
        rejections: Mapping[str, int] | None = None,
        error: str | None = None,
        merged: int = 0,
        checkpoint: bool = False,
    ) -> None:
        """Close a frame; a shard never ends inside one.

        Args:
            frame: its id.
            rejections: detections of this frame that gave no object, by reason.
            error: why the frame could not be used, if so.
            merged: detections that joined an object, beyond the first of each.
            checkpoint: close the shard even if it is not full, so that a killed run goes on from here.
        """
        self._frames += 1
        self._merged += merged
        self._rejections.update(rejections or {})
        if error is not None:
            self._bad_frames.append(BadFrame(frame=frame, error=error))
        if self.full or checkpoint:
            with writing(self._store):
                self._commit(finished=False)

    def __enter__(self) -> TripletWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self.finished:
                with writing(self._store):
                    self._commit(finished=True)
                self.finished = True
            elif self._open is not None:
                self._open.discard()
        finally:
            self._lock.release()

    def _commit(self, finished: bool) -> None:
        self._lock.require()
        shards = list(self.manifest.shards)
        if self._open is not None:
            shards.append(self._open.close())
            self._open = None
            self._keys.close_shard()
        self.manifest = self.manifest.model_copy(
            update={
                "shards": shards,
                "frames_done": self._frames,
                "rejections": dict(sorted(self._rejections.items())),
                "bad_frames": list(self._bad_frames),
                "merged": self._merged,
                "finished": finished,
            }
        )
        self.manifest.save(self._store, self.part.manifest)


def write_triplets(
    path: str | Path,
    triplets: Iterable[Triplet],
    *,
    source: str,
    root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    objects_per_shard: int = 1000,
) -> Manifest:
    """Write a set that is not mined from frames: object data sets, synthetic shapes, a selection of another set.

    Args:
        path: the folder.
        triplets: in an order that is the same in every run; each counts as a frame of its own. Where an
            earlier run was killed, those already written are drawn again but not written again.
        source, root, options, objects_per_shard: as in :class:`TripletWriter`.

    Raises:
        BadDatasetError: as :class:`TripletWriter`; or the iterable differs from the one a killed run drew from.

    >>> import numpy as np, tempfile
    >>> mug = Triplet("mug-1", np.zeros((3, 3), np.float32), None, None, ("mug",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_triplets(folder, [mug], source="mugs").totals["objects"]
    1
    """
    with TripletWriter(
        path, source=source, root=root, options=options, objects_per_shard=objects_per_shard
    ) as writer:
        if writer.finished:
            return writer.manifest
        for number, triplet in enumerate(triplets):
            if number >= writer.frames_done:
                writer.add(triplet)
                writer.end_frame(triplet.provenance.frame or triplet.key)
            elif number == writer.frames_done - 1 and triplet.key != writer.manifest.shards[-1].last_key:
                raise BadDatasetError(
                    f"triplet {number} is {triplet.key!r}, was {writer.manifest.shards[-1].last_key!r}",
                    source=path,
                    fix="draw the same triplets in the same order, or write into an empty folder",
                )
    return writer.manifest


class _OpenShard:
    """A shard under its temporary name."""

    def __init__(self, store: Store, name: str) -> None:
        self._name, self._file = name, store.new(name)
        self._digest = hashlib.sha256()
        self.bytes = self.count = 0
        self._frames: list[str] = []
        self._last_key = ""

    def append(self, triplet: PackedTriplet) -> None:
        self._write(triplet.blocks)
        self.count += 1
        self._last_key = triplet.key
        self._frames.append(triplet.frame)

    def close(self) -> Shard:
        self._write(tar_end(self.bytes))
        self._file.publish()
        return Shard(
            name=self._name,
            count=self.count,
            bytes=self.bytes,
            sha256=self._digest.hexdigest(),
            first_frame=self._frames[0],
            last_frame=self._frames[-1],
            last_key=self._last_key,
        )

    def discard(self) -> None:
        self._file.discard()

    def _write(self, blocks: bytes) -> None:
        self._file.write(blocks)
        self._digest.update(blocks)
        self.bytes += len(blocks)


class _SeenKeys:
    """Digests of the keys written so far, eight bytes each; those of closed shards in one sorted array."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._closed: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def add(self, key: str) -> bool:
        """False: it was there already. Two keys share a digest once in 10^7 sets of a million."""
        digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
        place = int(np.searchsorted(self._closed, np.uint64(digest)))
        if digest in self._open or (place < len(self._closed) and int(self._closed[place]) == digest):
            return False
        self._open.add(digest)
        return True

    def close_shard(self) -> None:
        """Move the open shard's digests into the sorted array."""
        added = np.fromiter(self._open, np.uint64, len(self._open))
        self._closed = np.sort(np.concatenate([self._closed, added]))
        self._open.clear()


def _recorded(root: Path) -> str:
    """A folder or file by its absolute path; what names something else (``room`` of the synthetic world) as it is."""
    return str(root.resolve() if root.exists() else root)
