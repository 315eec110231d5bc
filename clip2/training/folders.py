"""Triplet folders and the features cached beside them, read into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clip2.teacher.features import TripletFeatures, load_features
from clip2.training.combine import combine
from clip2.training.dataset import NAMELESS, TrainingSet, pack
from data_prep.errors import BadDatasetError, InputError
from data_prep.triplets import TripletSet, open_triplets


def load_training_set(
    folders: Sequence[str | Path],
    clip: str | None = None,
    max_points: int = 4096,
    nameless: Sequence[str] = NAMELESS,
) -> TrainingSet:
    """Read triplet folders and the features cached beside them into memory.

    Args:
        folders: made by ``clip2 prep`` and then ``clip2 embed``.
        clip: CLIP model whose features to use, where a folder has several.
        max_points: points kept per object: always the same uniform sample.
        nameless: words that name nothing, like the one label of a class-agnostic detector (SAM and others); see
            :func:`pack`.

    Raises:
        BadDatasetError: no folder, an empty one, features that are missing or of different CLIP models.
    """
    if not folders:
        raise InputError("no triplets given", field="--data", fix="name a folder made by clip2 prep")
    packs = []
    for folder in folders:
        features = load_features(folder, clip)
        packs.append(_pack(Path(folder), open_triplets(folder), features, max_points, nameless))
    return combine(packs, [str(folder) for folder in folders])


def _pack(
    folder: Path, triplets: TripletSet, features: TripletFeatures, max_points: int, nameless: Sequence[str]
) -> TrainingSet:
    if len(triplets) == 0:
        raise BadDatasetError("holds no triplets", source=folder, fix="run clip2 prep on more frames")
    objects, frames = [], []
    number_of: dict[tuple[Any, Any], int] = {}
    for triplet in (
        each for shard in triplets.shards for each in triplets.iter_shard(shard.name, crops=False)
    ):
        objects.append((triplet.points, triplet.colors))
        frame = (triplet.provenance.get("source"), triplet.provenance.get("frame", triplet.key))
        frames.append(number_of.setdefault(frame, len(number_of)))
    if len(features.text_ids) != len(objects):
        raise BadDatasetError(
            f"has features of {len(features.text_ids)} triplets and {len(objects)} triplets",
            source=folder,
            fix="run clip2 embed again",
        )
    return pack(
        objects,
        features.text_ids,
        features.texts,
        features.text_embeddings,
        features.model,
        features.image,
        features.image_present if features.image is not None else None,
        frames,
        max_points,
        source=folder,
        templates=features.templates,
        nameless=nameless,
    )
