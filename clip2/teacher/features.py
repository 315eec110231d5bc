"""Stored CLIP features of triplets: one safetensors file per shard, beside the shards.

``TRIPLETS/features/SLUG/index.json`` states the origin of the vectors. ``SLUG/shard-000000.safetensors`` belongs to
``TRIPLETS/shard-000000.tar`` and states the SHA-256 of that tar, so that a shard that was mined again is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors.numpy import save

from clip2.labels import normalize_label
from clip2.teacher.agreement import Agreement, shards_digest
from clip2.teacher.text_source import canonical_model
from clip2.tensor_files import as_record, load_arrays, open_tensors, read_record
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.versioned import FileFormat
from data_prep.triplets import TripletSet, open_triplets

FEATURES, INDEX = "features", "index.json"
FORMAT = FileFormat("clip2-features", 1)
_RECORD = "clip2"
_REPEAT = "run `clip2 embed` on it again; only what is missing is computed"


@dataclass(frozen=True, eq=False)
class CloudContents:
    """What n clouds are, without their points.

    Attributes:
        points: (n,) int64 points of each.
        has_color: (n,) bool.
        problems: row → the reason why that cloud cannot be an object.
    """

    points: NDArray[np.int64]
    has_color: NDArray[np.bool_]
    problems: Mapping[int, str]

    @classmethod
    def join(cls, several: Sequence[CloudContents]) -> CloudContents:
        """Those of all, one after the other."""
        first = np.cumsum([0, *(len(one.points) for one in several)])
        return cls(
            np.concatenate([np.zeros(0, np.int64), *(one.points for one in several)]),
            np.concatenate([np.zeros(0, bool), *(one.has_color for one in several)]),
            {
                int(start) + row: problem
                for start, one in zip(first, several, strict=False)
                for row, problem in one.problems.items()
            },
        )


@dataclass(frozen=True, eq=False)
class TripletFeatures:
    """CLIP's vectors of the n triplets of a folder, in the order of :func:`data_prep.triplets.open_triplets`.

    Attributes:
        model: canonical name of the CLIP model.
        image: (n, D) float16 unit rows, zeros where ``image_present`` is False; None if only texts were embedded.
        crops: (n,) int64, number of crops that each row of ``image`` is the mean of.
        texts: U texts; spellings that differ by case, ``_`` or blanks are one text.
        text_embeddings: (U, D) float32 unit rows.
        text_ids: n int64 arrays of rows of ``texts``, best text first; empty if no text has a vector.
        templates: prompt set of the text vectors; None if unknown.
        unknown_texts: text without a vector → number of its triplets.
        disagreeing: (m,) rows of objects that lost their texts because their crop disagrees with them.
        contents: what the objects' clouds are, so that a reader knows it without reading them; None if an older release
            embedded some shard.
        points: (n, D) float16 unit rows, embeddings of the clouds by a point teacher, zeros for clouds that are no
            objects; None without a point teacher.
    """

    model: str
    image: NDArray[np.float16] | None
    crops: NDArray[np.int64]
    texts: tuple[str, ...]
    text_embeddings: NDArray[np.float32]
    text_ids: tuple[NDArray[np.int64], ...]
    templates: str | None = None
    unknown_texts: Mapping[str, int] = field(default_factory=dict)
    disagreeing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    contents: CloudContents | None = None
    points: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.text_ids)

    @property
    def image_present(self) -> NDArray[np.bool_]:
        """(n,) bool, whether the object has an image vector."""
        return self.crops > 0

    @property
    def width(self) -> int:
        """D, width of the vectors."""
        return self.text_embeddings.shape[1]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) bool, whether the object has a text, an image vector, or a point teacher's embedding."""
        found = self.image_present | np.array([len(ids) > 0 for ids in self.text_ids], bool)
        return found if self.points is None else found | self.points.any(axis=1)


def load_features(path: str | Path, model: str | None = None) -> TripletFeatures:
    """Read the features of a triplet folder.

    Args:
        path: the triplet folder.
        model: name of the CLIP model, or of a folder under ``features/``. Not needed if there is only one set.

    Raises:
        InputError: no features, several sets that match, or features of other shards than the folder's.
        BadDatasetError: ``path`` is not a triplet folder.
    """
    triplets = open_triplets(path)
    folders = sorted(index.parent for index in (triplets.path / FEATURES).glob(f"*/{INDEX}"))
    if not folders:
        raise InputError("has no features", source=path, fix=f"run `clip2 embed {path} --clip NAME/TAG`")
    fitting = folders if model is None else [folder for folder in folders if _is_named(folder, model)]
    if len(fitting) != 1:
        names = ", ".join(folder.name for folder in fitting or folders)
        problem = (
            f"has {len(fitting)} sets of features"
            if fitting
            else f"has no features of {model!r}, only {names}"
        )
        raise InputError(
            problem,
            source=path,
            field=FEATURES,
            fix=f"choose one (in training: --set data.clip=NAME): {names}",
        )
    return read_features(fitting[0], triplets)


def read_features(folder: Path, triplets: TripletSet) -> TripletFeatures:
    """Features of one set, after checking that each file belongs to its current shard."""
    index = FeatureIndex.load(folder)
    stale = [
        shard.name
        for shard in triplets.shards
        if source_shard(feature_file(folder, shard.name)) != shard.sha256
    ]
    if stale:
        raise InputError(
            f"does not match the shards: {len(stale)} of {len(triplets.shards)} have no features or were mined again, "
            f"first {stale[0]}",
            source=folder,
            fix=_REPEAT,
        )
    parts = [ShardFeatures.load(feature_file(folder, shard.name)) for shard in triplets.shards]
    for shard, part in zip(triplets.shards, parts, strict=True):
        vectors = (part.image, part.point_embeddings, part.text_embeddings)
        promised = (index.preprocessing is not None, index.points is not None, True)
        there = tuple(some is not None for some in vectors)
        if promised != there or any(some is not None and some.shape[1] != index.width for some in vectors):
            raise InputError(
                f"holds other vectors than {INDEX} says", source=feature_file(folder, shard.name), fix=_REPEAT
            )
    rows: dict[str, int] = {}
    texts: list[str] = []
    text_embeddings = [np.zeros((0, index.width), np.float32)]
    text_ids: list[NDArray[np.int64]] = []
    unknown: Counter[str] = Counter()
    for part in parts:
        keys = [normalize_label(text) for text in part.texts]
        new = [position for position, key in enumerate(keys) if key not in rows]
        for position in new:
            rows[keys[position]] = len(texts)
            texts.append(part.texts[position])
        text_embeddings.append(part.text_embeddings[new])
        joined = np.array([rows[key] for key in keys], np.int64)
        text_ids.extend(joined[ids] for ids in part.text_ids)
        unknown.update(part.unknown)
    crops = np.concatenate([np.zeros(0, np.int64), *(part.crops for part in parts)])
    images = [part.image for part in parts if part.image is not None]
    image = np.concatenate([np.zeros((0, index.width), np.float16), *images])
    taught = [part.point_embeddings for part in parts if part.point_embeddings is not None]
    contents = [part.contents for part in parts if part.contents is not None]
    agreement = Agreement.load(folder, shards_digest([shard.sha256 for shard in triplets.shards]))
    dropped = np.zeros(0, np.int64) if agreement is None else agreement.dropped
    for row in dropped:
        text_ids[row] = np.zeros(0, np.int64)
    return TripletFeatures(
        model=index.model,
        image=None if index.preprocessing is None else image,
        crops=crops,
        texts=tuple(texts),
        text_embeddings=np.concatenate(text_embeddings),
        text_ids=tuple(text_ids),
        templates=index.templates,
        unknown_texts=dict(unknown.most_common()),
        disagreeing=dropped,
        contents=CloudContents.join(contents) if len(contents) == len(parts) else None,
        points=None
        if index.points is None
        else np.concatenate([np.zeros((0, index.width), np.float16), *taught]),
    )


_VECTORS = ("image", "text_embeddings", "point_embeddings")
_PER_OBJECT = ("crops", "image_present", "image", "points", "has_color", "point_embeddings")


@dataclass(frozen=True)
class FeatureIndex:
    """Origin of a set of features; sets with equal indexes hold equal vectors.

    Attributes:
        model: canonical name of the CLIP model.
        width: D, width of the vectors.
        templates: prompt set of the text vectors; None if a text bank does not state it.
        weights: fingerprint of the CLIP weights; None if a bank gave the text vectors.
        bank: fingerprint of the text bank; None if the model gave the text vectors.
        preprocessing: image settings; None if there are no image vectors.
        points: name and fingerprint of the point teacher; None if there is none.
    """

    model: str
    width: int
    templates: str | None
    weights: str | None
    bank: str | None
    preprocessing: Mapping[str, Any] | None
    points: str | None = None

    @property
    def slug(self) -> str:
        """Folder name: readable, and unique to these values."""
        text = json.dumps(self._record(), sort_keys=True)
        origin = self.points or self.templates or "bank"
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{self.model}.{origin}")
        return f"{readable}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @classmethod
    def load(cls, folder: Path) -> FeatureIndex:
        """Read ``index.json``.

        Raises:
            InputError: it is missing, unreadable, or of another format version.
        """
        path = folder / INDEX
        try:
            record = parse_json(read_text(path))
            FORMAT.require(record, path, fix="embed again")
            fields = {key: value for key, value in record.items() if key not in FORMAT.header}
            index = TypeAdapter(cls).validate_python(fields)
            if index.width < 1:
                raise ValueError(f"width {index.width}")
            return index
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            fix = "remove this folder and embed again"
            raise InputError(f"cannot be read ({error!r})", source=path, fix=fix) from error

    def save(self, folder: Path) -> None:
        """Write ``index.json``; it appears whole or not at all."""
        record = {**FORMAT.header, **self._record()}
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        write_atomically(folder / INDEX, lambda scratch: scratch.write_text(text, encoding="utf-8"))

    def _record(self) -> dict[str, Any]:
        """All values; without ``points`` where there are none, so that sets of earlier releases keep their name."""
        return {key: value for key, value in asdict(self).items() if key != "points" or value is not None}


@dataclass(frozen=True, eq=False)
class ShardFeatures:
    """Features of the n objects of one shard, in the shard's order.

    Attributes:
        shard_sha256: checksum of the shard's tar.
        image: (n, D) float16, zeros for objects without a crop; None without an image tower.
        crops: (n,) int64, number of crops that ``image`` is the mean of.
        texts: the U different texts of this shard that have a vector.
        text_embeddings: (U, D) float32 unit rows.
        text_ids: n arrays of rows of ``texts``.
        unknown: text without a vector → number of its objects.
        contents: what the clouds are; None in files of release 0.1.0.
        point_embeddings: (n, D) float16 by a point teacher, zeros for clouds that are no objects; None without one.
    """

    shard_sha256: str
    image: NDArray[np.float16] | None
    crops: NDArray[np.int64]
    texts: tuple[str, ...]
    text_embeddings: NDArray[np.float32]
    text_ids: tuple[NDArray[np.int64], ...]
    unknown: Mapping[str, int]
    contents: CloudContents | None = None
    point_embeddings: NDArray[np.float16] | None = None

    def save(self, path: Path) -> None:
        """Write a safetensors file; it appears whole or not at all."""
        tensors: dict[str, NDArray] = {
            "crops": self.crops,
            "text_embeddings": np.ascontiguousarray(self.text_embeddings),
            "text_counts": np.array([len(ids) for ids in self.text_ids], np.int64),
            "text_ids": np.concatenate([np.zeros(0, np.int64), *self.text_ids]),
        }
        if self.image is not None:
            tensors["image"] = np.ascontiguousarray(self.image)
        if self.point_embeddings is not None:
            tensors["point_embeddings"] = np.ascontiguousarray(self.point_embeddings)
        record = {
            "shard_sha256": self.shard_sha256,
            "texts": list(self.texts),
            "unknown": dict(self.unknown),
        }
        if self.contents is not None:
            tensors |= {"points": self.contents.points, "has_color": self.contents.has_color}
            record["problems"] = {str(row): problem for row, problem in self.contents.problems.items()}
        # One metadata entry: safetensors writes several in random order, and equal features give equal bytes.
        data = save(tensors, metadata={_RECORD: json.dumps(record, ensure_ascii=False)})
        write_atomically(path, lambda scratch: scratch.write_bytes(data))

    @classmethod
    def load(cls, path: Path) -> ShardFeatures:
        """Read a file that :meth:`save` wrote.

        Raises:
            InputError: it is missing, truncated, or another kind of file.
        """
        try:
            tensors, metadata = load_arrays(path, fix=_REPEAT)
            record = as_record(metadata, _RECORD, path, fix=_REPEAT)
            counts, ids, texts = tensors["text_counts"], tensors["text_ids"], tuple(record["texts"])
            if (
                any(len(tensors[key]) != len(counts) for key in _PER_OBJECT if key in tensors)
                or len(ids) != counts.sum()
                or len(texts) != len(tensors["text_embeddings"])
                or not all(isinstance(text, str) for text in texts)
                or counts.dtype.kind != "i"
                or ids.dtype.kind != "i"
                or any(
                    tensors[key].dtype.kind != "f" or tensors[key].ndim != 2
                    for key in _VECTORS
                    if key in tensors
                )
                or (len(ids) and not 0 <= ids.min() <= ids.max() < len(texts))
            ):
                raise ValueError("arrays that do not fit together")
            ends = np.cumsum(counts)[:-1]
            contents = None
            if "points" in tensors:
                problems = {int(row): str(problem) for row, problem in record["problems"].items()}
                contents = CloudContents(tensors["points"], tensors["has_color"], problems)
            return cls(
                shard_sha256=record["shard_sha256"],
                image=tensors.get("image"),
                # Older files only say whether the object has a crop.
                crops=tensors["crops" if "crops" in tensors else "image_present"].astype(np.int64),
                texts=texts,
                text_embeddings=tensors["text_embeddings"],
                text_ids=tuple(np.split(ids, ends)),
                unknown=record["unknown"],
                contents=contents,
                point_embeddings=tensors.get("point_embeddings"),
            )
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"cannot be read ({error!r})", source=path, fix=_REPEAT) from error


def feature_file(folder: Path, shard: str) -> Path:
    """The feature file of a shard."""
    return folder / Path(shard).with_suffix(".safetensors").name


def source_shard(path: Path) -> str | None:
    """SHA-256 of the shard that a feature file was computed from; None if there is no whole feature file."""
    try:
        return str(read_record(path, _RECORD).get("shard_sha256"))
    except InputError:
        return None


def read_texts(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Texts of a feature file and their (U, D) vectors, without its images."""
    with open_tensors(path, fix=_REPEAT) as file:
        texts = as_record(file.metadata(), _RECORD, path, fix=_REPEAT).get("texts")
        vectors = file.get_tensor("text_embeddings")
    if not isinstance(texts, list) or len(texts) != len(vectors):
        raise InputError("does not fit its vectors", source=path, field="texts", fix=_REPEAT)
    return tuple(map(str, texts)), vectors


def _is_named(folder: Path, model: str) -> bool:
    return folder.name == model or FeatureIndex.load(folder).model == canonical_model(model)
