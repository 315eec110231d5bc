"""A triplet as the bytes that it is in a shard, so that whoever writes the shard only appends them."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

from data_prep.triplets.members import encode_triplet
from data_prep.triplets.triplet import Triplet


@dataclass(frozen=True)
class PackedTriplet:
    """A triplet ready to be appended to a shard.

    Attributes:
        key: of the triplet.
        frame: id of the frame it comes from.
        blocks: its members as tar headers and contents, whole blocks of 512 bytes.
    """

    key: str
    frame: str
    blocks: bytes


def pack_triplet(triplet: Triplet) -> PackedTriplet:
    """Encode a triplet; equal triplets give equal bytes.

    Raises:
        InputError: the provenance holds something that JSON cannot express, NaN and inf included.
    """
    stream = io.BytesIO()
    tar = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)
    for extension, data in encode_triplet(triplet).items():
        # TarInfo's defaults are owner 0, mode 644 and time 0: nothing in it depends on who runs this, or when.
        member = tarfile.TarInfo(f"{triplet.key}.{extension}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    # Not closed: the end mark belongs after the last triplet of the shard.
    return PackedTriplet(triplet.key, str(triplet.provenance.get("frame", triplet.key)), stream.getvalue())


def tar_end(size: int) -> bytes:
    """What follows ``size`` bytes of members: two empty blocks, then zeros up to a whole record."""
    length = 2 * tarfile.BLOCKSIZE
    return bytes(length + -(size + length) % tarfile.RECORDSIZE)
