"""Hits of a search: objects with their further sightings, and the filter that a search applies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.search.objects import StoredObject
from data_prep.errors import InputError

_SAME_PLACE = 0.5  # of the larger box's diagonal: hits of one scan with nearer centers are one object


@dataclass(frozen=True)
class Hit:
    """An object that was found.

    Attributes:
        object: as it is stored; cloud and crop are thumbnails.
        similarity: cosine with the query, -1..1.
        others: further sightings of the same object, best first.
    """

    object: StoredObject
    similarity: float
    others: tuple[StoredObject, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict for ``json``, without thumbnails."""
        one = self.object
        return {
            "similarity": round(self.similarity, 6),
            "label": one.label,
            "score": round(one.score, 6),
            "scan": one.scan,
            "source": one.source,
            "object": one.number,
            "track": one.track,
            "timestamp": one.timestamp,
            "center": one.box[:3].tolist(),
            "size": one.box[3:6].tolist(),
            "yaw": float(one.box[6]),
            "num_points": one.num_points,
            "sightings": 1 + len(self.others),
        }


def row_filter(
    near: Sequence[float] | None, since: float | None, until: float | None, scan: str | None
) -> str:
    """The filter in SQL; text is quoted, numbers are numbers."""
    parts = []
    if near is not None:
        values = np.asarray(near, np.float64)
        if values.shape != (4,) or not np.isfinite(values).all() or values[3] <= 0:
            raise InputError(f"is {near}", field="near", fix="give x, y, z and a radius above 0")
        x, y, z, r = (repr(float(v)) for v in values)
        square = " + ".join(f"({n} - ({v})) * ({n} - ({v}))" for n, v in (("x", x), ("y", y), ("z", z)))
        parts.append(f"{square} <= {r} * {r}")
    for name, value, sign in (("since", since, ">="), ("until", until, "<=")):
        if value is not None:
            if not np.isfinite(value):
                raise InputError(f"is {value}", field=name, fix="give seconds since 1970")
            parts.append(f"timestamp {sign} {float(value)!r}")
    if scan is not None:
        quoted = scan.replace("'", "''")
        parts.append(f"scan = '{quoted}'")
    return " AND ".join(parts)


def group_sightings(found: Sequence[tuple[StoredObject, float]]) -> Iterator[Hit]:
    """Hits with their further sightings; the best sighting of an object stands for it."""
    groups: list[tuple[StoredObject, float, list[StoredObject]]] = []
    for one, similarity in found:
        for first, _, others in groups:
            if _is_same(first, one):
                others.append(one)
                break
        else:
            groups.append((one, similarity, []))
    return (Hit(one, similarity, tuple(others)) for one, similarity, others in groups)


def _is_same(a: StoredObject, b: StoredObject) -> bool:
    """Whether two sightings are of one object: the same id of a map, or the same place in the same scan."""
    if a.scan != b.scan:
        return False
    if a.track is not None and b.track is not None:
        return a.track == b.track
    reach = _SAME_PLACE * max(np.linalg.norm(a.box[3:6]), np.linalg.norm(b.box[3:6]))
    return bool(np.linalg.norm(a.box[:3] - b.box[:3]) < reach)


def mean_direction(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One query from several: label, image and cloud together."""
    units = [vector / np.linalg.norm(vector) for vector in vectors]
    mean: NDArray[np.float32] = np.mean(units, axis=0, dtype=np.float32)
    return mean
