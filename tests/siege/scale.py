"""Triplet sets of many shards and many parts, made of tiny files: what grows faster than the set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_prep.storage.store import open_store
from data_prep.triplets import open_triplets
from data_prep.triplets.folder import Part, continue_set, join_parts, require_triplet_folder
from data_prep.triplets.manifest import Manifest, Shard, versions_here

_CONTENT = b"\0" * 1024


def _shard(name: str, number: int) -> Shard:
    return Shard(
        name=name, count=1000, bytes=len(_CONTENT), sha256=f"{number:064x}",
        first_frame=f"f{number}", last_frame=f"f{number}", last_key=f"f{number}-k",
    )  # fmt: skip


def _manifest(part: Part, shards: list[Shard], finished: bool = False) -> Manifest:
    return Manifest(
        versions=versions_here(), source="toy", options={"part": {"number": part.number, "of": part.of}} if part else {},
        shards=shards, frames_done=len(shards), finished=finished,
    )  # fmt: skip


def measure(folder: Path, shards: int, parts: int) -> Iterator[tuple[str, float]]:
    """Seconds by step, for one set of ``shards`` shards and one of as many in ``parts`` parts.

    Args:
        folder: empty, on a fast disk.
        shards: of both sets.
        parts: that the second is mined in.
    """
    whole = open_store(folder / "whole")
    whole.make()
    listed = [_shard(f"shard-{number:06d}.tar", number) for number in range(shards)]
    for shard in listed:
        (folder / "whole" / shard.name).write_bytes(_CONTENT)
    manifest = _manifest(Part(), listed)
    yield "write the manifest once, as after each shard", _timed(lambda: manifest.save(whole))
    yield "list the folder", _timed(whole.sizes)
    yield "continue a killed run", _timed(lambda: continue_set(whole, _manifest(Part(), [])))
    _manifest(Part(), listed, finished=True).save(whole)
    yield "open the set to read", _timed(lambda: open_triplets(folder / "whole"))

    split = open_store(folder / "split")
    split.make()
    of = [Part(number, parts) for number in range(1, parts + 1)]
    for part in of:
        mine = part.of_frames(listed)
        renamed = [_shard(part.shard(k), k) for k in range(len(mine))]
        for shard in renamed:
            (folder / "split" / shard.name).write_bytes(_CONTENT)
        _manifest(part, renamed, finished=True).save(split, part.manifest)

    def begin() -> None:
        require_triplet_folder(split, of[-1])
        split.lock(of[-1].lock).release()
        continue_set(split, Manifest.load(split, of[-1].manifest), of[-1])

    yield "begin one part among the others", _timed(begin)
    yield "join all parts", _timed(lambda: join_parts(split, parts))


def _timed(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
