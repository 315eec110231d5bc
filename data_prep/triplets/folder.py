"""Triplet folders: parts mined by several machines, checks before writing, continuing an unfinished set."""

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
# A run killed in its first moment leaves no more than these.
_FIRST_MOMENT = re.compile(
    rf"(\.part-\d+-of-\d+-)?{re.escape(LOCK)}|\.(part-\d+-of-\d+-)?{re.escape(MANIFEST)}\.part"
)


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


def require_triplet_folder(store: Store, part: Part = WHOLE) -> None:
    """Reject a folder that holds something else.

    Raises:
        BadDatasetError: the folder holds other things and no manifest, or a set that is split in another way.
    """
    names = store.sizes()
    found = Part.found_in(names)
    other = next((one for one in found if one.of != part.of), None)
    if other is not None:
        raise BadDatasetError(
            f"holds {other}, this is {part or 'a set in one piece'}",
            source=store.place,
            fix=f"give --part K/{other.of}, or another folder",
        )
    if found:
        return
    if MANIFEST in names and part:
        raise BadDatasetError(
            f"holds a set in one piece, this is {part}", source=store.place, fix="give another folder"
        )
    foreign = [name for name in names if not _FIRST_MOMENT.fullmatch(name)]
    if foreign and MANIFEST not in names:
        raise BadDatasetError(
            f"holds {sorted(foreign)[0]!r} and no manifest.json, so it is not a triplet folder",
            source=store.place,
            fix="give a folder that is new or empty",
        )


def continue_set(store: Store, wanted: Manifest, part: Part = WHOLE) -> Manifest:
    """The manifest to go on from: the folder's own if it has one and it is of the same configuration."""
    manifest = wanted
    names = store.sizes()
    begun = [one.manifest for one in (part, *Part.found_in(names)) if one.manifest in names]
    for file in begun[:1]:  # its own manifest, else another part's: reported now, not when all are joined
        options = Manifest.load(store, file).options
        if "mining" in wanted.options and "mining" not in options and "lifter" in options:
            raise BadDatasetError(
                "was begun by an earlier version of clip2, which this one reads but does not continue",
                source=store.place,
                fix="use another folder",
            )
        for name, old, new in differing_options(Manifest.load(store, file), wanted):
            if name.startswith("part.") and file != part.manifest:
                continue
            raise BadDatasetError(
                # Nobody can read a difference between two digests.
                "is not what it was" if name.endswith("sha256") else f"was {old!r}, is {new!r} now",
                source=store.place,
                field=name,
                fix="use the options the set was begun with, or another folder",
            )
    if part.manifest in names:
        manifest = Manifest.load(store, part.manifest)
    else:
        manifest.save(store, part.manifest)
    listed = {shard.name: shard.bytes for shard in manifest.shards}
    for name, size in listed.items():
        found = names.get(name, 0)
        if found != size:
            raise BadDatasetError(
                f"has {found:,} bytes, the manifest says {size:,}",
                source=f"{store.place}/{name}",
                fix="restore this shard, or mine the set again into an empty folder",
            )
    if store.sweeps:
        # What a killed run left behind: temporaries, and a shard renamed but not yet listed.
        shard = re.compile(re.escape(part.prefix) + r"shard-\d{6,}\.tar")
        temporary = re.compile(rf"\.({shard.pattern}|{re.escape(part.manifest)})\.part")
        for name in names:
            if temporary.fullmatch(name) or (shard.fullmatch(name) and name not in listed):
                store.remove(name)
    return manifest


def _first_few(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
