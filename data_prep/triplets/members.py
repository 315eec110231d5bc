"""Shard format: a triplet as members of a WebDataset tar.

Members of key ``K``: ``K.json`` (texts, provenance), ``K.points.npy`` (n, 3) float32, ``K.colors.npy``
(n, 3) uint8 if the source has color, ``K.jpg`` if an image saw the object. Further views are numbered from 1:
``K.1.jpg``, ``K.1.points.npy``, ``K.1.colors.npy``; other readers ignore them. Equal triplets give
equal bytes.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.images import read_image
from data_prep.storage.parsing import array_bytes, array_shape, parse_array, parse_json
from data_prep.triplets.provenance import Provenance
from data_prep.triplets.triplet import ObjectView, Triplet

JPEG_QUALITY = 92  # CLIP vectors of a crop at 92 and of its lossless copy are indistinguishable
_CROP = re.compile(r"(?:[1-9]\d*\.)?jpg")
_VIEW = re.compile(r"([1-9]\d*)\.(?:jpg|points\.npy|colors\.npy)")
_REPAIR = "restore this shard, or mine the set again into an empty folder"


def encode_triplet(triplet: Triplet) -> dict[str, bytes]:
    """Turn a triplet into its members, in the order they are written: extension → bytes.

    Raises:
        InputError: the provenance holds something that JSON cannot express, NaN and inf included.
    """
    members = {"json": _json_bytes(triplet), "points.npy": array_bytes(triplet.points)}
    if triplet.colors is not None:
        members["colors.npy"] = array_bytes(triplet.colors)
    if triplet.crop is not None:
        members["jpg"] = _jpeg_bytes(triplet.crop)
    for number, view in enumerate(triplet.views, start=1):
        if view.points is not None:
            members[f"{number}.points.npy"] = array_bytes(view.points)
        if view.colors is not None:
            members[f"{number}.colors.npy"] = array_bytes(view.colors)
        if view.crop is not None:
            members[f"{number}.jpg"] = _jpeg_bytes(view.crop)
    return members


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
    return PackedTriplet(triplet.key, triplet.provenance.frame or triplet.key, stream.getvalue())


def tar_end(size: int) -> bytes:
    """End mark of a tar with ``size`` bytes of members: two empty blocks, then zeros up to a whole record."""
    length = 2 * tarfile.BLOCKSIZE
    return bytes(length + -(size + length) % tarfile.RECORDSIZE)


def is_crop(extension: str) -> bool:
    """Whether a member is an image of the object.

    >>> [is_crop(extension) for extension in ("jpg", "2.jpg", "points.npy", "depth.jpg")]
    [True, True, False, False]
    """
    return _CROP.fullmatch(extension) is not None


def decode_triplet(key: str, members: Mapping[str, bytes], shard: str) -> Triplet:
    """Rebuild a triplet from its members; ``shard`` is named in errors.

    Raises:
        InputError: a member is missing or cannot be read, or the arrays do not fit together.
    """
    texts, provenance = decode_record(key, members, shard)
    _member(key, "points.npy", members, shard)
    numbers = sorted({int(found[1]) for name in members if (found := _VIEW.fullmatch(name))})
    try:
        views = tuple(ObjectView(*_decode_view(key, f"{number}.", members, shard)) for number in numbers)
        points, colors, crop = _decode_view(key, "", members, shard)
        assert points is not None
        return Triplet(key, points, colors, crop, texts, provenance, views)
    except InputError as error:
        raise InputError(error.problem, source=shard, field=f"{key}: {error.field}", fix=_REPAIR) from None


def decode_record(key: str, members: Mapping[str, bytes], shard: str) -> tuple[tuple[str, ...], Provenance]:
    """Texts and provenance alone, without arrays."""
    data = _member(key, "json", members, shard)
    try:
        record = parse_json(data)
        texts, provenance = tuple(map(str, record["texts"])), dict(record["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"is not a triplet's record ({error!r})", source=shard, field=f"{key}.json", fix=_REPAIR
        ) from None
    try:
        return texts, Provenance.from_json(provenance)
    except InputError as error:
        raise InputError(
            error.problem, source=shard, field=f"{key}.json: provenance.{error.field}", fix=_REPAIR
        ) from None


def count_points(key: str, members: Mapping[str, bytes], shard: str) -> int:
    """How many points the triplet has, from the array's header alone."""
    try:
        return array_shape(_member(key, "points.npy", members, shard))[0]
    except (ValueError, IndexError) as error:
        raise _unreadable(key, "points.npy", shard, error) from None


def _json_bytes(triplet: Triplet) -> bytes:
    record = {"texts": list(triplet.texts), "provenance": triplet.provenance.to_json()}
    try:
        text = json.dumps(
            record, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cannot be written as JSON ({error})",
            source=triplet.key,
            field="provenance",
            fix="give numbers, words, lists and mappings",
        ) from None
    return text.encode("utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _jpeg_bytes(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=False)
    return stream.getvalue()


def _member(key: str, extension: str, members: Mapping[str, bytes], shard: str) -> bytes:
    if extension not in members:
        raise InputError("is missing", source=shard, field=f"{key}.{extension}", fix=_REPAIR)
    return members[extension]


def _decode_view(
    key: str, prefix: str, members: Mapping[str, bytes], shard: str
) -> tuple[NDArray[np.float32] | None, NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    points, colors, image = (f"{prefix}{name}" for name in ("points.npy", "colors.npy", "jpg"))
    return (
        _decode_npy(key, points, members, shard) if points in members else None,
        _decode_npy(key, colors, members, shard) if colors in members else None,
        _decode_jpeg(key, image, members, shard) if image in members else None,
    )


def _decode_npy(key: str, extension: str, members: Mapping[str, bytes], shard: str) -> NDArray:
    data = _member(key, extension, members, shard)
    try:
        return parse_array(data)
    except ValueError as error:
        raise _unreadable(key, extension, shard, error) from None


def _decode_jpeg(key: str, extension: str, members: Mapping[str, bytes], shard: str) -> NDArray[np.uint8]:
    try:
        return read_image(Path(extension), members[extension])
    except BadFrameError as error:
        raise _unreadable(key, extension, shard, error) from None


def _unreadable(key: str, extension: str, shard: str, error: Exception) -> InputError:
    return InputError(f"cannot be read ({error})", source=shard, field=f"{key}.{extension}", fix=_REPAIR)
