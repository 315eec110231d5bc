"""Objects as an index stores them: vector, box, label, time, place, thumbnails."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load, save

from data_prep.errors import InputError
from data_prep.scans.formats.images import read_image
from data_prep.storage.parsing import parse_json

_CROP_SIDE, _CROP_QUALITY = 160, 80
_CLOUD_POINTS = 256
_CENTER = ("x", "y", "z")
_FACTS = ("label", "score", "source", "number", "track", "num_points")


@dataclass(frozen=True)
class StoredObject:
    """One object of a scan.

    Attributes:
        embedding: (D,) float32 unit vector.
        box: (7,) float64: center, length, width, height in meters, yaw, in the scan's world.
        label: it was given, or "".
        score: of the label, 0..1.
        scan: name of the scan or map.
        source: the file or folder that it was read from.
        number: of the object in ``source``.
        track: id in a map; None: not from a map.
        timestamp: seconds since 1970, or None.
        num_points: of its full cloud.
        points: (n, 3) meters in the world, the cloud or a part of it; None: not stored.
        colors: (n, 3) uint8, or None.
        crop: (h, w, 3) uint8, an image of it, or None.

    Raises:
        InputError: an embedding that is not a finite unit vector, or a box of another form.

    >>> mug = StoredObject(np.eye(4, dtype=np.float32)[0], np.ones(7), "mug", scan="kitchen")
    >>> mug.label, len(mug.key("ViT-B-32/openai"))
    ('mug', 32)
    """

    embedding: NDArray[np.float32]
    box: NDArray[np.float64]
    label: str = ""
    score: float = 0.0
    scan: str = ""
    source: str = ""
    number: int = 0
    track: int | None = None
    timestamp: float | None = None
    num_points: int = 0
    points: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None
    crop: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        length = float(np.linalg.norm(self.embedding)) if np.ndim(self.embedding) == 1 else 0.0
        if not abs(length - 1) < 1e-3:
            raise InputError(
                f"is no unit vector (shape {np.shape(self.embedding)}, length {length:.3g})",
                field="embedding",
            )
        if np.shape(self.box) != (7,) or not np.isfinite(self.box).all():
            raise InputError(f"is {self.box}", field="box", fix="give seven finite numbers")

    def key(self, model: str) -> str:
        """Hexadecimal name by content: vector, place, time. Labels and names of files are no part of it."""
        digest = hashlib.sha256(f"{model}\0{self.timestamp}\0{self.track}\0".encode())
        digest.update(np.asarray(self.embedding, "<f4").tobytes() + np.asarray(self.box, "<f8").tobytes())
        return digest.hexdigest()[:32]


def schema(width: int, metadata: Mapping[str, str]) -> Any:
    """Arrow schema of the table: what a search compares and filters by, and ``content``, which holds all that a hit shows.

    Each column of a hit is read from another place of the disk, which takes as long as a tenth of the search over a million
    vectors. Hence the content is one column.

    Args:
        width: D of the vectors.
        metadata: of the table.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
            *(pa.field(name, pa.float64(), nullable=False) for name in _CENTER),
            pa.field("scan", pa.string()),
            pa.field("timestamp", pa.float64()),
            pa.field("content", pa.binary(), nullable=False),
        ],
        metadata=dict(metadata),
    )


def to_rows(objects: Iterable[StoredObject], model: str, table_schema: Any) -> Any:
    """Arrow table of objects; one that comes twice is one row."""
    import pyarrow as pa

    rows = {one.key(model): one for one in objects}
    records = [
        {
            "id": key,
            "vector": np.asarray(one.embedding, np.float32),
            **dict(zip(_CENTER, map(float, one.box), strict=False)),
            "scan": one.scan,
            "timestamp": one.timestamp,
            "content": _pack(one),
        }
        for key, one in rows.items()
    ]
    return pa.Table.from_pylist(records, schema=table_schema)


def from_row(row: Mapping[str, Any], embedding: NDArray[np.float32]) -> StoredObject:
    """The object of a row and its vector; its cloud and crop are the thumbnails."""
    if "content" not in row:
        return _from_columns(row, embedding)
    arrays = load(row["content"])
    facts = parse_json(arrays["facts"].tobytes())
    box = np.array(facts.pop("box"), np.float64)
    points = arrays["points"] + box[:3] if "points" in arrays else None
    crop = read_image(Path("crop"), arrays["crop"].tobytes(), _CROP_SIDE**2) if "crop" in arrays else None
    return StoredObject(
        embedding,
        box,
        scan=row["scan"],
        timestamp=row["timestamp"],
        points=points,
        colors=arrays.get("colors"),
        crop=crop,
        **facts,
    )


def _from_columns(row: Mapping[str, Any], embedding: NDArray[np.float32]) -> StoredObject:
    """The object of a row as release 0.1.0 wrote it, each fact in a column of its own."""
    box = np.array([row[name] for name in (*_CENTER, "length", "width", "height", "yaw")])
    points = colors = None
    if row["cloud"]:
        points = np.frombuffer(row["cloud"], "<f4").reshape(-1, 3) + box[:3]
    if row["cloud_colors"]:
        colors = np.frombuffer(row["cloud_colors"], np.uint8).reshape(-1, 3)
    crop = read_image(Path("crop"), row["crop"], _CROP_SIDE**2) if row["crop"] else None
    facts = {name: row[name] for name in (*_FACTS, "scan", "timestamp")}
    return StoredObject(embedding, box, points=points, colors=colors, crop=crop, **facts)


def _pack(one: StoredObject) -> bytes:
    """The content of a row: a safetensors file with the facts as JSON, the thumbnail cloud and the crop as JPEG."""
    facts = {
        "label": one.label,
        "score": float(one.score),
        "source": one.source,
        "number": int(one.number),
        "track": None if one.track is None else int(one.track),
        "num_points": int(one.num_points),
        "box": [float(value) for value in one.box],
    }
    arrays = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    if one.points is not None and len(one.points):
        few = np.linspace(0, len(one.points) - 1, min(len(one.points), _CLOUD_POINTS)).astype(np.int64)
        if (
            len(one.points) > _CLOUD_POINTS
        ):  # points of a scan lie in order; an even stride would show stripes
            few = np.sort(np.random.default_rng(0).choice(len(one.points), _CLOUD_POINTS, replace=False))
        arrays["points"] = (one.points[few] - one.box[:3]).astype(np.float32)
        if one.colors is not None:
            arrays["colors"] = np.ascontiguousarray(one.colors[few], np.uint8)
    if one.crop is not None:
        arrays["crop"] = np.frombuffer(_jpeg(one.crop), np.uint8)
    return save(arrays)


def _jpeg(crop: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(crop)
    image.thumbnail((_CROP_SIDE, _CROP_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_CROP_QUALITY)
    return stream.getvalue()
