"""ModelNet10 and ModelNet40 as a tree of OFF meshes, or as occupancy grids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.class_lists import ClassList, unknown_labels
from clip2.evaluation.objects import Cloud, ObjectSet
from clip2.evaluation.sets.arrays import read_npz
from data_prep.errors import BadDatasetError
from data_prep.storage.reading import read_file

# Enough that every protocol can draw its points from them.
MESH_POINTS = 10_000


def off_folder(root: Path, name: str) -> Path | None:
    """The folder with ``CLASS/test/*.off`` at or below ROOT; None: there is none."""
    candidates = (root, root / name, root / name.lower())
    return next((path for path in candidates if any(path.glob("*/test/*.off"))), None)


def read_off_tree(folder: Path, split: str, name: str, classes: ClassList, seed: int) -> ObjectSet:
    """``CLASS/SPLIT/*.off``, sampled uniformly by area with a fixed seed.

    Raises:
        InputError: a folder of no class of the list, or no meshes of the split.
    """
    paths = sorted(folder.glob(f"*/{split}/*.off"))
    numbers = {path.parent.parent.name: classes.number(path.parent.parent.name) for path in paths}
    strange = [name for name, number in numbers.items() if number is None]
    if strange:
        raise unknown_labels(strange, classes, str(folder))
    if not paths:
        raise BadDatasetError(f"holds no {split} meshes", source=folder, fix=f"expected CLASS/{split}/*.off")
    targets = np.array([numbers[path.parent.parent.name] for path in paths], np.int64)
    return ObjectSet(
        name=name,
        labels=classes.labels,
        targets=targets,
        names=tuple(str(path.relative_to(folder)) for path in paths),
        load=_Meshes(tuple(paths), seed),
        axes="OFF meshes stand z-up, not turned",
        synonyms=dict(classes.synonyms),
        source=classes.source,
    )


@dataclass(frozen=True)
class _Meshes:
    paths: tuple[Path, ...]
    seed: int

    def __call__(self, index: int) -> Cloud:
        from data_prep.scans.formats.mesh import sample_mesh

        path = self.paths[index]
        raw = sample_mesh(path, MESH_POINTS, _seed_of(read_file(path), self.seed))
        return Cloud(raw.points.astype(np.float32))


def grids_file(root: Path) -> Path | None:
    """``modelnet10.npz`` at or one folder below ROOT; None: there is none."""
    candidates = (root / "modelnet10.npz", root / "objects" / "modelnet10.npz")
    return next((path for path in candidates if path.is_file()), None)


def read_grids(file: Path, split: str, name: str, classes: ClassList) -> ObjectSet:
    """Surface voxels of 0/1 grids ``X_SPLIT`` (M, side, side, side) with axis 2 up, classes ``y_SPLIT``.

    Voxel centers are moved by up to half a voxel, so that clouds are no lattices; the move depends on the grid alone,
    so that two copies of a grid are two copies of a cloud.

    Raises:
        InputError: keys are missing, or it is no npz file.
    """
    grids, targets = _arrays(file, split)
    full = np.flatnonzero(grids.any(axis=(1, 2, 3)))
    empty = len(grids) - len(full)
    return ObjectSet(
        name=name,
        labels=classes.labels,
        targets=targets[full],
        names=tuple(f"{split} grid {number}" for number in full),
        load=_Grids(file, split, full),
        axes="axis 2 of the grids is up, not turned",
        left_out=f"{empty} empty grid{'s' * (empty != 1)} left out" if empty else "",
        synonyms=dict(classes.synonyms),
        source=classes.source,
    )


@dataclass(frozen=True, eq=False)
class _Grids:
    file: Path
    split: str
    numbers: NDArray[np.int64]

    @cached_property
    def _grids(self) -> NDArray[np.bool_]:
        return _arrays(self.file, self.split)[0]

    def __getstate__(self) -> dict[str, object]:  # a worker reads the file itself
        return {name: value for name, value in vars(self).items() if name != "_grids"}

    def __call__(self, index: int) -> Cloud:
        from scipy.ndimage import binary_erosion

        grid = self._grids[self.numbers[index]]
        surface = np.argwhere(grid & ~binary_erosion(grid)).astype(np.float32)
        random = np.random.default_rng(_seed_of(np.packbits(grid).tobytes()))
        return Cloud(surface + random.uniform(-0.5, 0.5, surface.shape).astype(np.float32))


def _seed_of(content: bytes, seed: int = 0) -> int:
    """A seed that depends on the object alone: two copies of it are sampled alike and have one digest."""
    return int.from_bytes(hashlib.sha256(content).digest()[:7], "little") + seed


def _arrays(file: Path, split: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    # Occupancy as float32 shrinks to a 260th.
    arrays = read_npz(file, (f"X_{split}", f"y_{split}"), most_times=400)
    return arrays[f"X_{split}"].astype(bool), arrays[f"y_{split}"].astype(np.int64)
