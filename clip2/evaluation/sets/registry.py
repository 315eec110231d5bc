"""Registry of object sets: opening the test or training objects of a benchmark by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clip2.evaluation.class_lists import class_list
from clip2.evaluation.objects import ObjectSet
from clip2.evaluation.protocol import Settings
from clip2.evaluation.sets import modelnet


@dataclass(frozen=True)
class SetEntry:
    """A set of labeled objects.

    Attributes:
        summary: one line.
        expected: the files that ROOT should hold, in words.
        finds: whether ROOT holds them, judged by file names alone.
        open: root, settings, split (``test`` or ``train``) → the objects.
        trains: whether it has a ``train`` split.
    """

    summary: str
    expected: str
    finds: Callable[[Path], bool]
    open: Callable[[Path, Settings, str], ObjectSet]
    trains: bool = True


def _modelnet10(root: Path, settings: Settings, split: str) -> ObjectSet:
    classes = class_list("modelnet10")
    folder, grids = modelnet.off_folder(root, "ModelNet10"), modelnet.grids_file(root)
    if folder is not None:
        return modelnet.read_off_tree(folder, split, "modelnet10", classes, settings.seed)
    assert grids is not None
    return modelnet.read_grids(grids, split, "modelnet10", classes)


OBJECT_SETS: dict[str, SetEntry] = {
    "modelnet10": SetEntry(
        "ModelNet10, ten kinds of furniture",
        "CLASS/test/*.off, or modelnet10.npz with 0/1 grids X_test and classes y_test",
        lambda root: (
            modelnet.off_folder(root, "ModelNet10") is not None or modelnet.grids_file(root) is not None
        ),
        _modelnet10,
    ),
}
