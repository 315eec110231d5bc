"""A user's own folder of clouds, one subfolder per label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip2.evaluation.objects import Cloud, ObjectSet
from clip2.evaluation.protocol import Axes
from data_prep.errors import InputError
from data_prep.geometry.transforms import T_zup_from, transform_points
from data_prep.labels import normalize_label
from data_prep.scans.cloud import SUFFIXES, read_cloud
from data_prep.scans.formats.mesh import mesh_up

_MESH_POINTS = 10_000


def cloud_files(root: Path) -> dict[str, list[Path]]:
    """Label → its files in order of name; the label is the folder's name with ``_`` as a space."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith("."):
            files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
            if files:
                found.setdefault(normalize_label(folder.name), []).extend(files)
    return found


def read_clouds(root: Path, axes: Axes, meters: bool) -> ObjectSet:
    """The clouds of a folder.

    Args:
        root: with a subfolder per label.
        axes: ``auto``: z-up, and y-up for glTF.
        meters: whether the files are in meters; others are scaled so that the largest side is 1 m.

    Raises:
        InputError: no clouds.
    """
    files = cloud_files(root)
    pairs = [(label, path) for label, paths in files.items() for path in paths]
    empty = sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and normalize_label(folder.name) not in files and not folder.name.startswith(".")
    )
    if not pairs:
        raise InputError(
            "holds no clouds", source=root, fix=f"put files {' '.join(SUFFIXES)} into a folder per label"
        )
    labels = tuple(files)
    load = _Files(tuple(path for _, path in pairs), axes)
    return ObjectSet(
        name="clouds",
        labels=labels,
        targets=np.array([labels.index(label) for label, _ in pairs], np.int64),
        names=tuple(str(path.relative_to(root)) for _, path in pairs),
        load=load,
        axes={"auto": "z up, glTF y up", "y-up": "y up, turned", "z-up": "z up, not turned"}[axes],
        colored=load(0).colors is not None,
        left_out=f"folders without clouds: {', '.join(empty)}" if empty else "",
        metric=meters,
        source="the folders' names",
    )


@dataclass(frozen=True)
class _Files:
    paths: tuple[Path, ...]
    axes: Axes

    def __call__(self, index: int) -> Cloud:
        path = self.paths[index]
        raw = read_cloud(path, count=_MESH_POINTS)
        T = T_zup_from(mesh_up(path) if self.axes == "auto" else self.axes[0])
        return Cloud(transform_points(T, np.asarray(raw.points, np.float64)), raw.colors)
