"""Which keys a set holds already, in eight bytes each."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


class SeenKeys:
    """Digests of keys: those of closed shards in one sorted array, so that millions cost megabytes."""

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
        """Pack what was added."""
        added = np.fromiter(self._open, np.uint64, len(self._open))
        self._closed = np.sort(np.concatenate([self._closed, added]))
        self._open.clear()
