"""Triplet reader: iterates, selects and verifies the triplets of a folder."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.store import Store, open_store
from data_prep.triplets.manifest import Manifest, Shard
from data_prep.triplets.members import count_points, decode_record, decode_triplet, is_crop
from data_prep.triplets.provenance import Provenance
from data_prep.triplets.triplet import Triplet

_BLOCK = 1 << 20  # bytes read at once
_REPAIR = "restore this shard, or mine the set again into an empty folder"


@dataclass(frozen=True)
class Entry:
    """A triplet without its arrays."""

    key: str
    num_points: int
    has_colors: bool
    has_crop: bool
    texts: tuple[str, ...]
    provenance: Provenance


class TripletSet:
    """A folder of triplets; iterating reads them in shard order, one at a time.

    Attributes:
        path: the folder. Of a set at a URL, which is read from there shard by shard, the folder of this machine that
            keeps what is made from it, like features.
        manifest: what it says about itself; ``manifest.finished`` is False while it is being mined.
        shards: its tar files, in order.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self.path, self.manifest = store, store.derived, manifest
        self.shards: tuple[Shard, ...] = tuple(manifest.shards)
        sizes = store.sizes()
        for shard in self.shards:
            size = sizes.get(shard.name)
            if size != shard.bytes:
                found = (
                    "is missing" if size is None else f"has {size:,} bytes, the manifest says {shard.bytes:,}"
                )
                raise BadDatasetError(found, source=self._where(shard.name), fix=_REPAIR)

    def __len__(self) -> int:
        return sum(shard.count for shard in self.shards)

    def __iter__(self) -> Iterator[Triplet]:
        for shard in self.shards:
            yield from self.iter_shard(shard.name)

    def iter_shard(self, name: str, crops: bool = True) -> Iterator[Triplet]:
        """Read the triplets of one shard.

        Args:
            name: of the shard, one of :attr:`shards`.
            crops: False: all crops are None, as decoding a JPEG takes longer than everything else in a triplet.

        Raises:
            InputError: the shard cannot be read, or holds another number of triplets than the manifest says; after the
                last triplet: its bytes are not those that were written.
        """
        for key, members in self._samples(name):
            if not crops:
                members = {name: data for name, data in members.items() if not is_crop(name)}
            yield decode_triplet(key, members, self._where(name))

    def iter_entries(self) -> Iterator[Entry]:
        """Read texts, provenance and counts of all triplets, without decoding arrays or images."""
        for shard in self.shards:
            where = self._where(shard.name)
            for key, members in self._samples(shard.name):
                texts, provenance = decode_record(key, members, where)
                points = count_points(key, members, where)
                yield Entry(key, points, "colors.npy" in members, "jpg" in members, texts, provenance)

    def select(self, keys: Collection[str]) -> dict[str, Triplet]:
        """Read some triplets by key; all shards are gone through, only these are decoded."""
        return {
            key: decode_triplet(key, members, self._where(shard.name))
            for shard in self.shards
            for key, members in self._samples(shard.name)
            if key in keys
        }

    def verify(self) -> None:
        """Compare every shard with its checksum and decode every triplet.

        Raises:
            InputError: the first thing that is wrong.
        """
        keys: set[str] = set()
        for shard in self.shards:
            for triplet in self.iter_shard(shard.name):
                if triplet.key in keys:
                    raise InputError(
                        f"{triplet.key!r} comes twice", source=self._where(shard.name), field="key"
                    )
                keys.add(triplet.key)

    def _samples(self, name: str) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Keys and members by extension: neighbors in the tar with one key belong together, as in WebDataset."""
        shard = next((shard for shard in self.shards if shard.name == name), None)
        if shard is None:
            raise InputError(f"{name!r} is not a shard of this set", source=self._store.place, field="shard")
        count = 0
        current, members = "", dict[str, bytes]()
        for member, data in self._tar_members(shard):
            key, _, extension = member.partition(".")
            if key != current and members:
                yield current, members
                count, members = count + 1, {}
            current = key
            members[extension] = data
        if members:
            yield current, members
            count += 1
        if count != shard.count:
            raise InputError(
                f"holds {count} triplets, the manifest says {shard.count}",
                source=self._where(name),
                fix=_REPAIR,
            )

    def _tar_members(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        unreadable: tuple[type[BaseException], ...] = (
            *self._store.error_types(),
            tarfile.TarError,
            EOFError,
            ValueError,  # a number of an extended header
        )
        try:
            with self._store.open(shard.name) as stream:
                hashed = _Hashed(stream)
                with tarfile.open(fileobj=cast(BinaryIO, hashed), mode="r|", bufsize=_BLOCK) as tar:
                    for member in tar:
                        file = tar.extractfile(member)
                        if file is not None:
                            yield member.name, file.read()
                while hashed.read(_BLOCK):
                    pass
        except unreadable as error:
            raise InputError(
                f"is not a readable tar file ({error})", source=self._where(shard.name), fix=_REPAIR
            ) from None
        if hashed.digest.hexdigest() != shard.sha256:
            raise InputError(
                "is not what was written (SHA-256 differs)", source=self._where(shard.name), fix=_REPAIR
            )

    def _where(self, name: str) -> str:
        return f"{self._store.place}/{name}"


class _Hashed:
    """A stream and the SHA-256 of what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def open_triplets(path: str | Path) -> TripletSet:
    """Open a triplet folder without reading its triplets.

    Args:
        path: folder made by ``clip2 prep``, :func:`data_prep.triplets.mine` or
            :func:`data_prep.triplets.write_triplets`; or the URL of one, like ``s3://bucket/triplets``.

    Raises:
        BadDatasetError: it is no such folder, a newer version of the format, or a shard is missing or cut short.

    >>> import numpy as np, tempfile
    >>> from data_prep.triplets import Triplet, write_triplets
    >>> folder = tempfile.TemporaryDirectory()
    >>> mug = Triplet("mug-1", np.zeros((3, 3), np.float32), None, None, ("mug",))
    >>> _ = write_triplets(folder.name, [mug], source="catalog")
    >>> [triplet.texts for triplet in open_triplets(folder.name)]
    [('mug',)]
    """
    store = open_store(path)
    return TripletSet(store, Manifest.load(store))
