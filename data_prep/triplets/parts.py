"""A set mined by several machines: each writes one part into the same folder, the last one makes it whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.lock import LOCK
from data_prep.storage.store import Store
from data_prep.triplets.manifest import MANIFEST, Manifest, differing_options

T = TypeVar("T")
_MANIFEST_NAME = re.compile(r"part-(\d+)-of-(\d+)-" + re.escape(MANIFEST))
_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``of`` contiguous ranges of the frames, counted from 1. ``Part(1, 1)`` is the whole.

    >>> Part.parse("2/3").of_frames(list(range(8)))
    [2, 3, 4]

    Raises:
        InputError: there is no such part.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise InputError(f"is {self.number}/{self.of}", field="part", fix="give K/N with K from 1 to N")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``K/N``."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise InputError(f"is {text!r}", field="part", fix="give K/N, like 3/16")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def found_in(cls, names: Iterable[str]) -> list[Part]:
        """Parts that have a manifest among file names, in order."""
        found = (_MANIFEST_NAME.fullmatch(name) for name in names)
        return sorted((cls(int(one[1]), int(one[2])) for one in found if one), key=lambda part: part.number)

    @property
    def prefix(self) -> str:
        """What its files' names begin with."""
        return f"part-{self.number:04d}-of-{self.of:04d}-" if self else ""

    @property
    def manifest(self) -> str:
        """Name of its manifest."""
        return self.prefix + MANIFEST

    @property
    def lock(self) -> str:
        """Name of its lock."""
        return f".{self.prefix}{LOCK}" if self else LOCK

    def shard(self, number: int) -> str:
        """Name of one of its shards, counted from 0."""
        return f"{self.prefix}shard-{number:06d}.tar"

    def of_frames(self, frames: Sequence[T]) -> list[T]:
        """Its share; parts differ by one frame at most and joined in order they are ``frames``."""
        first, last = (len(frames) * k // self.of for k in (self.number - 1, self.number))
        return list(frames[first:last])

    def __bool__(self) -> bool:
        """False: the whole."""
        return self.of > 1

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"


WHOLE = Part()


def unfinished_parts(store: Store, of: int) -> list[int]:
    """Numbers of the parts that are not there or not finished."""
    present = Part.found_in(store.sizes())
    done = {part.number for part in present if Manifest.load(store, part.manifest).finished}
    return [number for number in range(1, of + 1) if number not in done]


def join_parts(store: Store, of: int) -> Manifest:
    """Write the manifest of the whole set, which lists the shards of all parts where they are; nothing is copied.

    Several machines may do so at once, as they write the same.

    Raises:
        BadDatasetError: a part is missing, not finished, or of another configuration.
    """
    missing = unfinished_parts(store, of)
    if missing:
        raise BadDatasetError(
            f"is split in {of} parts, {len(missing)} of them not finished ({_first_few(missing)})",
            source=store.place,
            fix=f"run the same command with --part {missing[0]}/{of}; the last to finish makes the set whole",
        )
    parts = [Manifest.load(store, Part(number, of).manifest) for number in range(1, of + 1)]
    whole = parts[0].options
    for number, manifest in enumerate(parts, start=1):
        for name, old, new in differing_options(parts[0], manifest):
            if not name.startswith("part."):
                raise BadDatasetError(
                    f"is {old!r} in part 1 and {new!r} in part {number}",
                    source=store.place,
                    field=name,
                    fix="mine all parts with the same options, into a new folder",
                )
    rejections: Counter[str] = Counter()
    for manifest in parts:
        rejections.update(manifest.rejections)
    joined = Manifest(
        software=parts[0].software,
        versions=parts[0].versions,
        source=parts[0].source,
        root=parts[0].root,
        options={name: value for name, value in whole.items() if name != "part"},
        finished=True,
        frames_done=sum(manifest.frames_done for manifest in parts),
        shards=[shard for manifest in parts for shard in manifest.shards],
        rejections=dict(sorted(rejections.items())),
        merged=sum(manifest.merged for manifest in parts),
        bad_frames=[bad for manifest in parts for bad in manifest.bad_frames],
        thinned_frames=parts[0].thinned_frames,
        skipped_detections=parts[0].skipped_detections,
        categories=parts[0].categories,
        is_ground_truth=parts[0].is_ground_truth,
    )
    joined.save(store)
    return joined


def _first_few(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
