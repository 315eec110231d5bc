"""Objects as an index stores them: vector, box, label, time, place, thumbnails."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import InputError
from data_prep.scans.formats.images import read_image

_CROP_SIDE, _CROP_QUALITY = 160, 80
_CLOUD_POINTS = 256
_BOX = ("x", "y", "z", "length", "width", "height", "yaw")


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
    """Arrow schema of the table.

    Args:
        width: D of the vectors.
        metadata: of the table.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
            *(pa.field(name, pa.float64(), nullable=False) for name in _BOX),
            pa.field("label", pa.string()),
            pa.field("score", pa.float32()),
            pa.field("scan", pa.string()),
            pa.field("source", pa.string()),
            pa.field("number", pa.int64()),
            pa.field("track", pa.int64()),
            pa.field("timestamp", pa.float64()),
            pa.field("num_points", pa.int64()),
            pa.field("crop", pa.binary()),
            pa.field("cloud", pa.binary()),
            pa.field("cloud_colors", pa.binary()),
        ],
        metadata=dict(metadata),
    )


def to_rows(objects: Iterable[StoredObject], model: str, table_schema: Any) -> Any:
    """Arrow table of objects; one that comes twice is one row."""
    import pyarrow as pa

    rows = {one.key(model): _row(one) for one in objects}
    records = [{"id": key, **row} for key, row in rows.items()]
    return pa.Table.from_pylist(records, schema=table_schema)


def from_row(row: Mapping[str, Any], embedding: NDArray[np.float32]) -> StoredObject:
    """The object of a row and its vector; its cloud and crop are the thumbnails."""
    box = np.array([row[name] for name in _BOX])
    points = colors = crop = None
    if row["cloud"]:
        points = np.frombuffer(row["cloud"], "<f4").reshape(-1, 3) + box[:3]
    if row["cloud_colors"]:
        colors = np.frombuffer(row["cloud_colors"], np.uint8).reshape(-1, 3)
    if row["crop"]:
        crop = read_image(Path("crop"), row["crop"], _CROP_SIDE**2)
    kept = {
        name: row[name] for name in ("label", "scan", "source", "number", "track", "timestamp", "num_points")
    }
    return StoredObject(
        embedding, box, score=float(row["score"]), points=points, colors=colors, crop=crop, **kept
    )


def _row(one: StoredObject) -> dict[str, Any]:
    cloud = cloud_colors = None
    if one.points is not None and len(one.points):
        few = np.linspace(0, len(one.points) - 1, min(len(one.points), _CLOUD_POINTS)).astype(np.int64)
        if (
            len(one.points) > _CLOUD_POINTS
        ):  # points of a scan lie in order; an even stride would show stripes
            few = np.sort(np.random.default_rng(0).choice(len(one.points), _CLOUD_POINTS, replace=False))
        cloud = (one.points[few] - one.box[:3]).astype("<f4").tobytes()
        if one.colors is not None:
            cloud_colors = np.ascontiguousarray(one.colors[few], np.uint8).tobytes()
    return {
        "vector": np.asarray(one.embedding, np.float32),
        **dict(zip(_BOX, map(float, one.box), strict=True)),
        "label": one.label,
        "score": one.score,
        "scan": one.scan,
        "source": one.source,
        "number": one.number,
        "track": one.track,
        "timestamp": one.timestamp,
        "num_points": one.num_points,
        "crop": None if one.crop is None else _jpeg(one.crop),
        "cloud": cloud,
        "cloud_colors": cloud_colors,
    }


def _jpeg(crop: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(crop)
    image.thumbnail((_CROP_SIDE, _CROP_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_CROP_QUALITY)
    return stream.getvalue()
