"""Triplets as an object set: mined objects with their first label, and the vectors of their crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.objects import Cloud, ObjectSet
from data_prep.labels import normalize_label
from data_prep.triplets import Triplet, open_triplets


def read_triplets(root: Path) -> ObjectSet:
    """The triplets of a folder; their first text is the label, and all first texts are the labels to choose from.

    Raises:
        InputError: not a folder of triplets.
    """
    triplets = open_triplets(root)
    entries = list(triplets.iter_entries())
    names = [normalize_label(entry.texts[0]) for entry in entries]
    labels = tuple(sorted(set(names)))
    places = tuple((shard.name, row) for shard in triplets.shards for row in range(shard.count))
    return ObjectSet(
        name="triplets",
        labels=labels,
        targets=np.array([labels.index(name) for name in names], np.int64),
        names=tuple(entry.key for entry in entries),
        load=_Shards(root, places),
        axes="z up, as mined",
        colored=any(entry.has_colors for entry in entries),
        metric=True,
        source="the first text of each triplet",
        crops=CropVectors(root, np.arange(len(entries))) if any(e.has_crop for e in entries) else None,
    )


@dataclass(frozen=True, eq=False)
class CropVectors:
    """CLIP's vectors of the crops of an object set, from the features beside its triplets.

    Attributes:
        root: folder of triplets.
        rows: (M,) the objects' positions in it.
    """

    root: Path
    rows: NDArray[np.int64]

    def only(self, chosen: NDArray[np.int64]) -> CropVectors:
        """Those of some objects."""
        return replace(self, rows=self.rows[chosen])

    def read(self, model: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(M, D) unit rows in the space of a CLIP model, and (M,) whether the object has a crop.

        Raises:
            InputError: no features of this model: ``clip2 embed`` makes them.
        """
        from clip2.teacher.features import load_features

        found = load_features(self.root, model)
        if found.image is None:
            width = found.text_embeddings.shape[1]
            return np.zeros((len(self.rows), width), np.float32), np.zeros(len(self.rows), bool)
        return found.image[self.rows].astype(np.float32), found.image_present[self.rows]


@dataclass(frozen=True)
class _Shards:
    root: Path
    places: tuple[tuple[str, int], ...]

    def __call__(self, index: int) -> Cloud:
        shard, row = self.places[index]
        triplet = _shard(self.root, shard)[row]
        return Cloud(triplet.points, triplet.colors)


@lru_cache(maxsize=1)  # objects of a shard follow each other
def _shard(root: Path, name: str) -> tuple[Triplet, ...]:
    return tuple(open_triplets(root).iter_shard(name, crops=False))
