"""Packing of objects and triplet folders into a training set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress as Bar

from clip2.labels import normalize_label
from clip2.model_config import TeacherSpec
from clip2.teacher.features import load_features
from clip2.training.clouds import Clouds, sample_object
from clip2.training.config import NAMELESS, DataConfig
from clip2.training.dataset import TrainingSet, combine
from clip2.training.point_cache import (
    Progress,
    Sample,
    StoredObjects,
    frame_of,
    open_point_cache,
    sample_objects,
)
from clip2.training.stream import ShardCache, stream_objects
from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets import TripletSet, open_triplets


def load_training_set(
    folders: Sequence[str | Path],
    clip: str | None = None,
    max_points: int = 4096,
    nameless: Sequence[str] = NAMELESS,
    cache: bool = False,
    console: Console | None = None,
    views: bool = False,
    stream: bool = False,
) -> TrainingSet:
    """Read triplet folders and the CLIP features cached beside them.

    Args:
        folders: made by ``clip2 prep`` and then ``clip2 embed``.
        clip: CLIP model whose features to use; needed if a folder has those of several.
        max_points: points kept per object, always the same uniform sample.
        nameless: labels that name nothing, like the one label of a class-agnostic detector; see :func:`pack`.
        cache: map the points from float16 files (:mod:`clip2.training.point_cache`), written beside the shards on
            first use, instead of holding them in memory as float32.
        console: shows the progress of writing those files.
        views: also learn from the single views of associated objects; see
            :class:`~clip2.training.config.DataConfig`.
        stream: do not read the points now, but from the shards when they are asked for
            (:mod:`clip2.training.stream`). The frames of the set are then its shards.

    Raises:
        BadDatasetError: a folder is missing or empty, or its features are missing or of another CLIP model.
        InputError: the point files cannot be written.
    """
    if not folders:
        raise InputError("no triplets given", field="--data", fix="name a folder made by clip2 prep")
    shards = ShardCache(capacity=8) if stream else None
    packs = [
        _one(Path(folder), clip, max_points, nameless, cache, console, views, shards) for folder in folders
    ]
    return combine(packs, [str(folder) for folder in folders])


def configured_training_set(data: DataConfig, console: Console | None = None) -> TrainingSet:
    """The training set that a configuration names; see :func:`load_training_set`."""
    return load_training_set(
        data.folders,
        data.clip,
        data.max_points,
        data.nameless,
        data.cache,
        console,
        data.views,
        data.stream > 0,
    )


def pack(
    objects: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8] | None]],
    own_texts: Sequence[Sequence[int] | NDArray[np.int64]],
    texts: Sequence[str],
    text_vectors: NDArray[np.float32],
    model: str,
    images: NDArray[np.float16] | None = None,
    image_present: NDArray[np.bool_] | None = None,
    frames: Sequence[int] | None = None,
    max_points: int = 4096,
    source: str | Path = "objects",
    templates: str | None = None,
    nameless: Sequence[str] = NAMELESS,
    point_targets: NDArray[np.float16] | None = None,
) -> TrainingSet:
    """Training set from arrays in memory, without a triplet folder.

    Args:
        objects: n pairs of points (k, 3) float32 meters, z-up, and colors (k, 3) uint8 or None.
        own_texts: rows of ``texts`` that describe each object, best first.
        texts, text_vectors: U labels or captions and their (U, D) float32 unit vectors.
        model: CLIP model of the vectors.
        images, image_present: (n, D) float16 vectors of crops and (n,) bool; or both None.
        frames: frame number of each object; None: every object is its own frame.
        max_points: points kept per object.
        source: name of the data in error messages.
        templates: prompt set of the text vectors; None: unknown.
        nameless: texts that name nothing. They are excluded from targets and negatives; an object without another
            text trains by its image alone, and is left out if it has none.
        point_targets: (n, D) float16 embeddings of a point teacher, zeros where there is none; or None.

    Raises:
        BadDatasetError: no object can be learned from.
    """
    found = [
        sample_object(points, color, max_points, f"object {i}") for i, (points, color) in enumerate(objects)
    ]
    numbers = np.arange(len(found)) if frames is None else np.asarray(frames)
    return _training_set(
        _stored(found, numbers, np.arange(len(found))),
        _Targets(own_texts, texts, text_vectors, model, templates, images, image_present, point_targets),
        nameless,
        source,
    )


@dataclass(frozen=True, eq=False)
class _Targets:
    """Target vectors of n objects; attributes as the arguments of :func:`pack`."""

    own_texts: Sequence[Sequence[int] | NDArray[np.int64]]
    texts: Sequence[str]
    text_vectors: NDArray[np.float32]
    model: str
    templates: str | None
    images: NDArray[np.float16] | None
    image_present: NDArray[np.bool_] | None
    point_targets: NDArray[np.float16] | None = None


def _one(
    folder: Path,
    clip: str | None,
    max_points: int,
    nameless: Sequence[str],
    cache: bool,
    console: Console | None,
    views: bool,
    shards: ShardCache | None,
) -> TrainingSet:
    features = load_features(folder, clip)
    triplets = open_triplets(folder)
    if len(triplets) == 0:
        raise BadDatasetError("holds no triplets", source=folder, fix="run clip2 prep on more frames")
    if len(features.text_ids) != len(triplets):
        raise BadDatasetError(
            f"has features of {len(features.text_ids)} triplets and {len(triplets)} triplets",
            source=folder,
            fix="run clip2 embed again",
        )
    if shards is not None:
        found = stream_objects(folder, features, max_points, shards)
    elif cache:
        with _shown(f"packing the points of {folder.name}", console) as progress:
            found = open_point_cache(triplets, max_points, progress, views)
    else:
        found = _in_memory(triplets, max_points, views)
    targets = _Targets(
        [features.text_ids[number] for number in found.triplets],
        features.texts,
        features.text_embeddings,
        features.model,
        features.templates,
        None if features.image is None else features.image[found.triplets],
        features.image_present[found.triplets],
        None if features.points is None else features.points[found.triplets],
    )
    return _training_set(found, targets, nameless, folder)


def _in_memory(triplets: TripletSet, max_points: int, views: bool) -> StoredObjects:
    found, frames, whose = [], [], []
    number_of: dict[object, int] = {}
    for number, triplet, sample in sample_objects(triplets, max_points, views):
        found.append(sample)
        frames.append(number_of.setdefault(frame_of(triplet.key, triplet.provenance), len(number_of)))
        whose.append(number)
    return _stored(found, np.array(frames), np.array(whose))


def _stored(
    samples: Sequence[Sample], frames: NDArray[np.int64], triplets: NDArray[np.int64]
) -> StoredObjects:
    return StoredObjects(
        Clouds.gather([points for points, _, _ in samples], [colors for _, colors, _ in samples]),
        np.array([colors is not None for _, colors, _ in samples], bool),
        frames.astype(np.int64),
        tuple(problem for _, _, problem in samples),
        triplets.astype(np.int64),
    )


def _training_set(
    objects: StoredObjects, targets: _Targets, nameless: Sequence[str], source: str | Path
) -> TrainingSet:
    """The usable objects; texts that are spelled alike become one, and texts that name nothing disappear."""
    texts, own_texts = targets.texts, targets.own_texts
    if targets.images is None or targets.image_present is None:
        has_image = np.zeros(len(objects.frames), bool)
    else:
        has_image = targets.image_present
    taught = targets.point_targets
    usable = has_image if taught is None else has_image | taught.any(axis=1)
    silent = {normalize_label(text) for text in nameless}
    names = [normalize_label(text) not in silent for text in texts]
    left_out: Counter[str] = Counter()
    kept = []
    for i, problem in enumerate(objects.problems):
        if not usable[i] and not any(names[int(row)] for row in own_texts[i]):
            some = "that names anything" if len(own_texts[i]) else "with a vector"
            left_out[f"no image, and no text {some}"] += 1
        elif problem:
            left_out[problem] += 1
        else:
            kept.append(i)
    if not kept:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in left_out.items())
        raise BadDatasetError(
            f"no object to learn from ({reasons or 'none given'})", source=source, field="triplets"
        )
    row_of: dict[str, int] = {}
    merged = [row_of.setdefault(normalize_label(text), row) for row, text in enumerate(texts)]
    first_rows = [row for row in sorted(set(row_of.values())) if names[row]]
    new_row = {row: position for position, row in enumerate(first_rows)}
    own = [
        list(dict.fromkeys(new_row[merged[int(row)]] for row in own_texts[i] if names[int(row)]))
        for i in kept
    ]
    padded = np.full((len(kept), max(1, *map(len, own))), -1, dtype=np.int64)
    for i, rows in enumerate(own):
        padded[i, : len(rows)] = rows
    present = has_image[kept]
    vectors = targets.text_vectors
    return TrainingSet(
        clouds=objects.clouds.select(np.array(kept)),
        has_color=objects.has_color[kept],
        frames=objects.frames[kept],
        texts=tuple(texts[row] for row in first_rows),
        text_vectors=np.ascontiguousarray(vectors[first_rows], dtype=np.float32),
        own_texts=padded,
        images=targets.images[kept].astype(np.float16)
        if targets.images is not None and present.any()
        else None,
        image_present=present,
        triplets=objects.triplets[kept],
        teacher=TeacherSpec(name=targets.model, width=vectors.shape[1], templates=targets.templates),
        left_out=left_out,
        point_targets=None if taught is None else taught[kept].astype(np.float16),
    )


@contextmanager
def _shown(what: str, console: Console | None) -> Iterator[Progress]:
    with Bar(console=console or Console(quiet=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
