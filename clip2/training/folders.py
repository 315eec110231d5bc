"""Triplet folders and the features cached beside them, as one training set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress as Bar

from clip2.teacher.features import load_features
from clip2.training.clouds import Clouds
from clip2.training.combine import combine
from clip2.training.dataset import NAMELESS, TrainingSet, Words, sample_object, with_words
from clip2.training.point_cache import Progress, StoredObjects, frame_of, open_point_cache
from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets import TripletSet, open_triplets


def load_training_set(
    folders: Sequence[str | Path],
    clip: str | None = None,
    max_points: int = 4096,
    nameless: Sequence[str] = NAMELESS,
    cache: bool = False,
    console: Console | None = None,
) -> TrainingSet:
    """Read triplet folders and the features cached beside them.

    Args:
        folders: made by ``clip2 prep`` and then ``clip2 embed``.
        clip: CLIP model whose features to use, where a folder has several.
        max_points: points kept per object: always the same uniform sample.
        nameless: words that name nothing, like the one label of a class-agnostic detector (SAM and others); see
            :func:`pack`.
        cache: map the points from float16 files (:mod:`clip2.training.point_cache`), written beside the shards the
            first time, instead of holding them in memory as float32.
        console: where the writing of those files is shown; None: nowhere.

    Raises:
        BadDatasetError: no folder, an empty one, features that are missing or of different CLIP models.
        InputError: the files cannot be written.
    """
    if not folders:
        raise InputError("no triplets given", field="--data", fix="name a folder made by clip2 prep")
    packs = [_one(Path(folder), folder, clip, max_points, nameless, cache, console) for folder in folders]
    return combine(packs, [str(folder) for folder in folders])


def _one(
    source: Path,
    folder: str | Path,
    clip: str | None,
    max_points: int,
    nameless: Sequence[str],
    cache: bool,
    console: Console | None,
) -> TrainingSet:
    features = load_features(folder, clip)
    triplets = open_triplets(folder)
    if len(triplets) == 0:
        raise BadDatasetError("holds no triplets", source=source, fix="run clip2 prep on more frames")
    if len(features.text_ids) != len(triplets):
        raise BadDatasetError(
            f"has features of {len(features.text_ids)} triplets and {len(triplets)} triplets",
            source=source,
            fix="run clip2 embed again",
        )
    if cache:
        with _shown(f"packing the points of {source.name}", console) as progress:
            found = open_point_cache(triplets, max_points, progress)
    else:
        found = _in_memory(triplets, max_points)
    return with_words(
        found.clouds,
        found.has_color,
        found.problems,
        found.frames,
        Words(
            features.text_ids,
            features.texts,
            features.text_embeddings,
            features.model,
            features.templates,
            nameless,
        ),
        features.image,
        features.image_present if features.image is not None else None,
        source,
    )


def _in_memory(triplets: TripletSet, max_points: int) -> StoredObjects:
    found, frames = [], []
    number_of: dict[object, int] = {}
    for triplet in (
        each for shard in triplets.shards for each in triplets.iter_shard(shard.name, crops=False)
    ):
        found.append(sample_object(triplet.points, triplet.colors, max_points, triplet.key))
        frames.append(number_of.setdefault(frame_of(triplet.key, triplet.provenance), len(number_of)))
    return StoredObjects(
        Clouds.gather([points for points, _, _ in found], [colors for _, colors, _ in found]),
        np.array([colors is not None for _, colors, _ in found]),
        np.array(frames, np.int64),
        tuple(problem for _, _, problem in found),
    )


@contextmanager
def _shown(what: str, console: Console | None) -> Iterator[Progress]:
    with Bar(console=console or Console(quiet=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
