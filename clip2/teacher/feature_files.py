"""How features lie on disk: one safetensors file per shard, beside the shards, each complete in itself.

``TRIPLETS/features/SLUG/index.json`` says what made the vectors. ``SLUG/shard-000000.safetensors`` belongs to
``TRIPLETS/shard-000000.tar`` and states the SHA-256 of that tar, so a shard that was mined again is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.versioned import FileFormat

FEATURES, INDEX = "features", "index.json"
FORMAT = FileFormat("clip2-features", 1)
_RECORD = "clip2"
REPEAT = "run `clip2 embed` on it again; only what is missing is computed"


@dataclass(frozen=True)
class FeatureIndex:
    """What made a set of features; two sets with equal indexes hold equal vectors.

    Attributes:
        model: canonical name of the CLIP model.
        width: numbers per vector.
        templates: prompt set of the text vectors; None: a text bank that does not say.
        weights: fingerprint of the CLIP weights, or None: text vectors come from a bank.
        bank: fingerprint of the text bank, or None: text vectors come from the model itself.
        preprocessing: image settings, or None: no image vectors.
    """

    model: str
    width: int
    templates: str | None
    weights: str | None
    bank: str | None
    preprocessing: Mapping[str, Any] | None

    @property
    def slug(self) -> str:
        """Folder name: readable, and different for different contents."""
        text = json.dumps(asdict(self), sort_keys=True)
        words = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{self.model}.{self.templates or 'bank'}")
        return f"{words}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @classmethod
    def load(cls, folder: Path) -> FeatureIndex:
        """Read ``index.json``.

        Raises:
            InputError: missing, unreadable, or of another format version.
        """
        path = folder / INDEX
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            FORMAT.require(record, path, fix="embed again")
            return cls(**{key: value for key, value in record.items() if key not in FORMAT.header})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"cannot be read ({error!r})", source=path, fix="remove this folder and embed again"
            ) from error

    def save(self, folder: Path) -> None:
        """Write ``index.json`` in one step."""
        record = {**FORMAT.header, **asdict(self)}
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        write_atomically(folder / INDEX, lambda scratch: scratch.write_text(text, encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class ShardFeatures:
    """Features of the n objects of one shard, in the shard's order.

    Attributes:
        shard_sha256: of the tar they were made from.
        image: (n, D) float16, zeros where there is no crop; None: made without an image tower.
        crops: (n,) int64, how many crops ``image`` is the mean of.
        texts: the U different words of this shard that have a vector.
        text_embeddings: (U, D) float32 unit rows.
        text_ids: n arrays of rows into ``texts``.
        unknown: words without a vector → number of objects that hold them.
    """

    shard_sha256: str
    image: NDArray[np.float16] | None
    crops: NDArray[np.int64]
    texts: tuple[str, ...]
    text_embeddings: NDArray[np.float32]
    text_ids: tuple[NDArray[np.int64], ...]
    unknown: Mapping[str, int]

    def save(self, path: Path) -> None:
        """Write one safetensors file in one step."""
        tensors: dict[str, NDArray] = {
            "crops": self.crops,
            "text_embeddings": np.ascontiguousarray(self.text_embeddings),
            "text_counts": np.array([len(ids) for ids in self.text_ids], np.int64),
            "text_ids": np.concatenate([np.zeros(0, np.int64), *self.text_ids]),
        }
        if self.image is not None:
            tensors["image"] = np.ascontiguousarray(self.image)
        record = {
            "shard_sha256": self.shard_sha256,
            "texts": list(self.texts),
            "unknown": dict(self.unknown),
        }
        # One metadata entry, because safetensors writes several in random order and equal runs should give equal bytes.
        data = save(tensors, metadata={_RECORD: json.dumps(record, ensure_ascii=False)})
        write_atomically(path, lambda scratch: scratch.write_bytes(data))

    @classmethod
    def load(cls, path: Path) -> ShardFeatures:
        """Read one file.

        Raises:
            InputError: missing, cut short, or not such a file.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                record = json.loads((file.metadata() or {})[_RECORD])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            ends = np.cumsum(tensors["text_counts"])[:-1]
            return cls(
                shard_sha256=record["shard_sha256"],
                image=tensors.get("image"),
                # Files made before objects could have several crops say only whether there is one.
                crops=tensors["crops" if "crops" in tensors else "image_present"].astype(np.int64),
                texts=tuple(record["texts"]),
                text_embeddings=tensors["text_embeddings"],
                text_ids=tuple(np.split(tensors["text_ids"], ends)),
                unknown=record["unknown"],
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"cannot be read ({error!r})", source=path, fix=REPEAT) from error


def made_from(path: Path) -> str | None:
    """SHA-256 of the shard that a feature file was made from; None: there is no whole feature file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return str(json.loads((file.metadata() or {})[_RECORD])["shard_sha256"])
    except (SafetensorError, ValueError, KeyError):
        return None


def read_texts(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Words of a feature file and their (U, D) vectors, without its images."""
    with safe_open(path, framework="numpy") as file:
        return tuple(json.loads(file.metadata()[_RECORD])["texts"]), file.get_tensor("text_embeddings")
