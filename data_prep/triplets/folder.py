"""What may be written into a folder: nothing where something else is, and only the rest of an unfinished set."""

from __future__ import annotations

import re

from data_prep.errors import BadDatasetError
from data_prep.storage.lock import LOCK
from data_prep.storage.store import Store
from data_prep.triplets.manifest import MANIFEST, Manifest, differing_options
from data_prep.triplets.parts import WHOLE, Part

# A run killed in its first moment leaves no more than these.
_FIRST_MOMENT = re.compile(
    rf"(\.part-\d+-of-\d+-)?{re.escape(LOCK)}|\.(part-\d+-of-\d+-)?{re.escape(MANIFEST)}\.part"
)


def require_triplet_folder(store: Store, part: Part = WHOLE) -> None:
    """Refuse to write where something else already is.

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
    for file in begun[:1]:  # its own manifest, else another part's: told now, not when all are joined
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
