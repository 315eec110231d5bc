"""What may be written into a folder: nothing where something else is, and only the rest of an unfinished set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets.lock import LOCK
from data_prep.triplets.manifest import MANIFEST, MANIFEST_PART, Manifest, differing_options

SHARD = "shard-{:06d}.tar"
_SHARD_NAME = re.compile(r"shard-\d{6,}\.tar")
_SHARD_PART_NAME = re.compile(r"\.shard-\d{6,}\.tar\.part")


def require_triplet_folder(path: Path) -> None:
    """Refuse to write where something else already is.

    Raises:
        BadDatasetError: ``path`` is a file, or a folder that holds other things and no manifest.
    """
    if path.exists() and not path.is_dir():
        raise BadDatasetError("is a file", source=path, fix="give a folder that is new or empty")
    if not path.is_dir() or (path / MANIFEST).exists():
        return
    # A run killed in its first moment leaves no more than these.
    foreign = [entry.name for entry in path.iterdir() if entry.name not in (LOCK, MANIFEST_PART)]
    if foreign:
        raise BadDatasetError(
            f"holds {foreign[0]!r} and no manifest.json, so it is not a triplet folder",
            source=path,
            fix="give a folder that is new or empty",
        )


def continue_set(folder: Path, wanted: Manifest) -> Manifest:
    """The manifest to go on from: the folder's own if it has one and it is of the same configuration."""
    manifest = wanted
    if (folder / MANIFEST).exists():
        manifest = Manifest.load(folder)
        for name, old, new in differing_options(manifest, wanted):
            raise BadDatasetError(
                f"was {old!r}, is {new!r} now",
                source=folder,
                field=name,
                fix="use the options the set was begun with, or another folder",
            )
    else:
        manifest.save(folder)
    listed = {shard.name: shard.bytes for shard in manifest.shards}
    for name, size in listed.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if found != size:
            raise BadDatasetError(
                f"has {found:,} bytes, the manifest says {size:,}",
                source=folder / name,
                fix="restore this shard, or mine the set again into an empty folder",
            )
    for entry in list(folder.iterdir()):
        # What a killed run left behind: temporaries, and a shard renamed but not yet listed.
        stray_shard = _SHARD_NAME.fullmatch(entry.name) and entry.name not in listed
        if stray_shard or entry.name == MANIFEST_PART or _SHARD_PART_NAME.fullmatch(entry.name):
            entry.unlink()
    return manifest


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says when a disk is full or a folder read-only into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            source=path,
            fix="make room or get the right to write there, and run the same again; it will continue",
        ) from error
