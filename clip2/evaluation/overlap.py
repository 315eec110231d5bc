"""Overlap of test and training data, told by the digests of clouds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.objects import cloud_digest
from clip2.evaluation.protocol import Settings
from clip2.evaluation.sets.registry import SetEntry
from data_prep.errors import InputError
from data_prep.triplets.reader import TripletSet, open_triplets


@dataclass(frozen=True)
class Seen:
    """Digests of objects that a model may have been trained on.

    Attributes:
        digests: of all of them.
        where: the folders they were read from, in words.
    """

    digests: frozenset[str] = frozenset()
    where: str = ""

    @property
    def size(self) -> int:
        """Number of different objects."""
        return len(self.digests)


def seen_digests(entry: SetEntry, root: Path, settings: Settings) -> Seen:
    """Digests of the folders of ``settings.trained_on``: triplets, or the training split of the same set.

    Raises:
        InputError: a folder that is neither.
    """
    digests: set[str] = set()
    for folder in settings.trained_on:
        if entry.trains and folder.is_dir() and entry.finds(folder):
            objects = entry.open(folder, settings, "train")
            clouds = (objects.read(index).points for index in range(len(objects)))
        else:
            clouds = (triplet.points for triplet in _triplets(folder))
        digests |= {cloud_digest(points) for points in clouds}
    return Seen(frozenset(digests), ", ".join(map(str, settings.trained_on)))


def repeats(digests: Sequence[str], seen: frozenset[str]) -> NDArray[np.bool_]:
    """(M,) bool, which objects were seen."""
    return np.array([digest in seen for digest in digests], dtype=bool)


def _triplets(folder: Path) -> TripletSet:
    if not folder.is_dir():
        raise InputError("is not a folder", source=folder, field="--trained-on", fix="check the path")
    return open_triplets(folder)
