"""Writes triplets into tar shards that survive being killed at any moment."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets.folder import SHARD, continue_set, require_triplet_folder, writing
from data_prep.triplets.lock import FolderLock
from data_prep.triplets.manifest import BadFrame, Manifest, Shard, publish
from data_prep.triplets.packed import PackedTriplet, pack_triplet, tar_end
from data_prep.triplets.triplet import Triplet


class TripletWriter:
    """Appends triplets, frame by frame, to a folder of shards.

    A shard is written under a temporary name, flushed to disk, renamed, and only then listed in the manifest.
    It is closed at the end of the frame in which it reaches ``objects_per_shard``. So a killed run leaves whole
    shards, and a run that skips the first :attr:`frames_done` frames and goes on gives the same bytes as one
    that was never killed. Leaving the ``with`` block normally finishes the set; leaving it by an exception
    keeps what was closed.

    >>> import numpy as np, tempfile
    >>> cube = Triplet("cube-0", np.zeros((8, 3), np.float32), None, None, ("cube",), {"frame": "0"})
    >>> with TripletWriter(tempfile.mkdtemp(), source="toy") as writer:
    ...     writer.add(cube)
    ...     writer.end_frame("0")
    >>> writer.manifest.totals["objects"]
    1

    Args:
        path: the folder; made if absent. An unfinished set with the same configuration is continued.
        source: reader or origin the triplets come from.
        root: folder of the scan, if any.
        options: all else that decides the result; compared by value when a set is continued.
        objects_per_shard: a shard is closed once it holds this many.
        about_detections: the manifest's ``skipped_detections``, ``categories`` and ``is_ground_truth``.

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
    ) -> None:
        if objects_per_shard < 1:
            raise InputError(f"is {objects_per_shard}", field="objects_per_shard", fix="give at least 1")
        self.path = Path(path)
        wanted = Manifest(
            source=source,
            root=None if root is None else str(Path(root).resolve()),
            options={**(options or {}), "objects_per_shard": objects_per_shard},
            **(about_detections or {}),
        )
        require_triplet_folder(self.path)
        self._objects_per_shard = objects_per_shard
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path)
        try:
            with writing(self.path):
                self.manifest = continue_set(self.path, wanted)
        except BaseException:
            self._lock.release()
            raise
        self.frames_done, self.finished = self.manifest.frames_done, self.manifest.finished
        self._refusals: Counter[str] = Counter(self.manifest.refusals)
        self._bad_frames = list(self.manifest.bad_frames)
        self._frames = self.manifest.frames_done
        self._keys: set[str] = set()
        self._open: _OpenShard | None = None

    def add(self, triplet: Triplet | PackedTriplet) -> None:
        """Append one triplet of the current frame, packed already or not."""
        if self.finished:
            raise InputError("is finished", source=self.path, fix="write into another folder")
        if triplet.key in self._keys:
            raise InputError(f"{triplet.key!r} comes twice", source=self.path, field="key")
        self._keys.add(triplet.key)
        with writing(self.path):
            if self._open is None:
                self._open = _OpenShard(self.path, len(self.manifest.shards))
            self._open.append(triplet if isinstance(triplet, PackedTriplet) else pack_triplet(triplet))

    def end_frame(
        self, frame: str, *, refusals: Mapping[str, int] | None = None, error: str | None = None
    ) -> None:
        """Close a frame; a shard never ends inside one.

        Args:
            frame: its id.
            refusals: detections of this frame that gave no object, by reason.
            error: why the frame could not be used, if so.
        """
        self._frames += 1
        self._refusals.update(refusals or {})
        if error is not None:
            self._bad_frames.append(BadFrame(frame=frame, error=error))
        if self._open is not None and self._open.count >= self._objects_per_shard:
            with writing(self.path):
                self._commit(finished=False)

    def __enter__(self) -> TripletWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self.finished:
                with writing(self.path):
                    self._commit(finished=True)
                self.finished = True
            elif self._open is not None:
                self._open.discard()
        finally:
            self._lock.release()

    def _commit(self, finished: bool) -> None:
        shards = list(self.manifest.shards)
        if self._open is not None:
            shards.append(self._open.close())
            self._open = None
        self.manifest = self.manifest.model_copy(
            update={
                "shards": shards,
                "frames_done": self._frames,
                "refusals": dict(sorted(self._refusals.items())),
                "bad_frames": list(self._bad_frames),
                "finished": finished,
            }
        )
        self.manifest.save(self.path)


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
    """
    with TripletWriter(
        path, source=source, root=root, options=options, objects_per_shard=objects_per_shard
    ) as writer:
        if writer.finished:
            return writer.manifest
        for number, triplet in enumerate(triplets):
            if number >= writer.frames_done:
                writer.add(triplet)
                writer.end_frame(str(triplet.provenance.get("frame", triplet.key)))
            elif number == writer.frames_done - 1 and triplet.key != writer.manifest.shards[-1].last_key:
                raise BadDatasetError(
                    f"triplet {number} is {triplet.key!r}, was {writer.manifest.shards[-1].last_key!r}",
                    source=path,
                    fix="draw the same triplets in the same order, or write into an empty folder",
                )
    return writer.manifest


class _OpenShard:
    """A shard under its temporary name."""

    def __init__(self, folder: Path, number: int) -> None:
        self._final = folder / SHARD.format(number)
        self._part = folder / f".{self._final.name}.part"
        self._file = self._part.open("wb")
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
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        publish(self._part, self._final)
        return Shard(
            name=self._final.name,
            count=self.count,
            bytes=self.bytes,
            sha256=self._digest.hexdigest(),
            first_frame=self._frames[0],
            last_frame=self._frames[-1],
            last_key=self._last_key,
        )

    def discard(self) -> None:
        with suppress(OSError):  # a full disk refuses even the last buffer, which is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _write(self, blocks: bytes) -> None:
        self._file.write(blocks)
        self._digest.update(blocks)
        self.bytes += len(blocks)
