"""Objects of recognition results, maps and triplet folders, for an index."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.mapping.files import DOCUMENT, read_map
from clip2.mapping.map_object import MapObject
from clip2.recognition.instances import Instances3D
from clip2.search.objects import StoredObject
from data_prep.errors import InputError
from data_prep.scans.formats.ply import read_ply
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.triplets import open_triplets
from data_prep.triplets.triplet import Triplet

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from data_prep.scans import Frame

_BATCH = 256


def read_objects(
    path: str | Path, model: ObjectModel | None = None, scan: str = ""
) -> tuple[str, Iterator[StoredObject]]:
    """Space of the vectors, and the objects, of what one path holds.

    Args:
        path: a result of ``clip2 recognize`` (JSON; the PLY beside it gives the clouds), a map folder of ``clip2 map``, or
            a triplet folder.
        model: encodes the points of triplets.
        scan: name of the scan; default: the name of the file or folder.

    Raises:
        InputError: none of these, or triplets without a model.
    """
    path, scan = str(path), scan or _scan_name(str(path))
    if (Path(path) / DOCUMENT).is_file():
        return _from_map(Path(path), scan)
    if needs_model(path):
        if model is None:
            raise InputError("needs a model to encode its points", source=path, fix="add --model")
        return model.teacher.name, _from_triplets(path, model, scan)
    result = Instances3D.from_json(path)
    if not result.model:
        raise InputError("does not state its CLIP model", source=path, field="model", fix="recognize again")
    points = _points_beside(Path(path), result)
    return result.model, iter(objects_of(result, scan, path, points))


def objects_of(
    result: Instances3D,
    scan: str = "",
    source: str = "",
    points: NDArray[np.float64] | None = None,
    frame: Frame | None = None,
) -> list[StoredObject]:
    """Objects of a recognition result or a map query.

    Args:
        result: with embeddings.
        scan: name of the scan; default: the result's frame.
        source: where it is stored.
        points: of the scan, if the result has none.
        frame: that was recognized; its images give the crops.
    """
    points = result.points if points is None else points
    crops = [None] * len(result) if frame is None else _crops(result, frame)
    found = []
    for i in range(len(result)):
        index = result.indices[i]
        if not np.any(result.embeddings[i]):
            continue  # a map has not encoded it yet
        found.append(
            StoredObject(
                embedding=_unit(result.embeddings[i]),
                box=result.boxes[i],
                label="" if result.labels[i] == UNKNOWN else result.labels[i],
                score=float(result.scores[i]),
                scan=scan or result.frame_id,
                source=source,
                number=i,
                track=None if result.track_ids is None else int(result.track_ids[i]),
                timestamp=result.timestamp,
                num_points=len(index),
                points=None if points is None or not len(index) else points[index],
                colors=None if result.colors is None or not len(index) else result.colors[index],
                crop=crops[i],
            )
        )
    return found


def _scan_name(path: str) -> str:
    """Name of the file or folder; of its folder for names that commands give by default."""
    name = Path(path.rstrip("/")).absolute()
    return name.parent.name if name.stem in ("result", "triplets", "map") else name.stem


def _from_map(folder: Path, scan: str) -> tuple[str, Iterator[StoredObject]]:
    """Confirmed and lost objects of a map: what is merely tentative may be nothing."""
    objects, facts = read_map(folder)
    entries = parse_json(read_text(folder / DOCUMENT))["objects"]
    try:
        names = {entry["id"]: (entry["label"], float(entry["score"] or 0)) for entry in entries}
        named = [(one, *names[one.id]) for one in objects]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"does not list the objects of its arrays ({error!r})",
            source=folder / DOCUMENT,
            field="objects",
            fix="restore it from a copy, or map again",
        ) from error
    return facts["model"], (
        _from_map_object(one, number, label, score, folder, scan)
        for number, (one, label, score) in enumerate(named)
        if one.state != "tentative" and one.mean_embedding is not None
    )


def _from_map_object(
    one: MapObject, number: int, label: str | None, score: float, folder: Path, scan: str
) -> StoredObject:
    assert one.mean_embedding is not None
    points = one.points()
    return StoredObject(
        embedding=_unit(one.mean_embedding),
        box=one.box,
        label="" if label in (None, UNKNOWN) else str(label),
        score=score,
        scan=scan,
        source=str(folder),
        number=number,
        track=one.id,
        timestamp=one.last_seen,
        num_points=len(points),
        points=points,
        colors=one.colors,
    )


def _from_triplets(path: str, model: ObjectModel, scan: str) -> Iterator[StoredObject]:
    triplets = iter(open_triplets(path))
    number = 0
    while batch := list(islice(triplets, _BATCH)):
        vectors = model.describe([one.points for one in batch], [one.colors for one in batch]).embeddings
        for one, vector in zip(batch, vectors, strict=True):
            yield _from_triplet(one, vector, path, number, scan)
            number += 1


def _from_triplet(
    one: Triplet, vector: NDArray[np.float32], path: str, number: int, scan: str
) -> StoredObject:
    record = one.provenance
    center = np.zeros(3) if record.center is None else np.array(record.center, np.float64)
    low, high = one.points.min(axis=0), one.points.max(axis=0)
    box = np.concatenate([center + (low + high) / 2, high - low, [0.0]])
    return StoredObject(
        embedding=_unit(vector),
        box=box,
        label=one.texts[0],
        score=float(record.score or 0.0),
        scan=scan,
        source=f"{path}#{one.key}",
        number=number,
        timestamp=record.timestamp,
        num_points=len(one.points),
        points=one.points + center,
        colors=one.colors,
        crop=one.crop,
    )


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def _points_beside(path: Path, result: Instances3D) -> NDArray[np.float64] | None:
    """Points of the PLY that ``clip2 recognize`` wrote; None if it is missing or of another scan."""
    beside = path.with_suffix(".ply")
    if not beside.exists():
        return None
    points = read_ply(beside).points
    last = max((int(index.max()) for index in result.indices if len(index)), default=-1)
    return points if last < len(points) else None


def _crops(result: Instances3D, frame: Frame) -> list[Any]:
    """Of each object the crop of the image that shows most of its points."""
    from clip2.recognition.page import SeenInView, ShownObject

    assert result.objectness is not None
    rows = zip(
        result.labels,
        result.scores.tolist(),
        result.objectness.tolist(),
        result.oriented_boxes(),
        result.indices,
        strict=True,
    )
    shown = [ShownObject(*row) for row in rows]
    views = [SeenInView(frame, view, shown) for view in frame.views]
    best = [max(views, key=lambda view: view.counts[i], default=None) for i in range(len(shown))]
    return [None if view is None else view.crop(i) for i, view in enumerate(best)]


def needs_model(path: str) -> bool:
    """Whether the vectors of a path are still to be computed: triplet folders hold points."""
    return "://" in path or (Path(path).is_dir() and not (Path(path) / DOCUMENT).is_file())
