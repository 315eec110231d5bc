"""One cloud from one file, whatever its format."""

from __future__ import annotations

import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np

from data_prep.errors import BadFrameError
from data_prep.scans.formats.e57 import read_e57
from data_prep.scans.formats.images import read_records, unreadable
from data_prep.scans.formats.las import read_las
from data_prep.scans.formats.mesh import sample_mesh
from data_prep.scans.formats.pcd import read_pcd
from data_prep.scans.formats.ply import read_ply
from data_prep.scans.formats.record_width import find_record_width
from data_prep.scans.formats.records import RawCloud, cloud_from_columns

MESH_SUFFIXES = (".obj", ".off", ".glb")
CLOUD_SUFFIXES = (".ply", ".pcd", ".xyz", ".bin", ".npy", ".las", ".laz", ".e57", *MESH_SUFFIXES)


def read_cloud(
    path: Path,
    columns: int | None = None,
    sample: bool = False,
    count: int = 100_000,
    seed: int = 0,
    scan: int | None = None,
) -> RawCloud:
    """Read a cloud, or sample a mesh.

    Args:
        path: one of ``CLOUD_SUFFIXES``.
        columns: float32 values per point of a ``.bin``; None = 5 for ``.pcd.bin`` (nuScenes), else what its
            content says without doubt (:func:`find_record_width`).
        sample: sample the faces of a ``.ply`` too, instead of taking its vertices.
        count: points to sample on a mesh.
        seed: of the sampling.
        scan: number of one scan of an ``.e57``; None = all of them.

    Raises:
        InputError: the extra that the format needs is not installed.
        BadFrameError: unreadable, or not what its name or header says.
    """
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES or (sample and suffix == ".ply"):
        if suffix == ".ply":
            read_ply(path)  # trimesh fills what a lying header promises with zeros; this refuses it
        return sample_mesh(path, count, seed)
    if suffix == ".ply":
        return read_ply(path)
    if suffix == ".pcd":
        return read_pcd(path)
    if suffix == ".bin":
        nuscenes = path.name.endswith(".pcd.bin")
        width = columns or (5 if nuscenes else find_record_width(path))
        return cloud_from_columns(read_records(path, width), path)
    if suffix == ".npy":
        return _read_npy(path)
    if suffix in (".las", ".laz"):
        return read_las(path)
    if suffix == ".e57":
        return read_e57(path, scan)
    return _read_text(path)


def _read_npy(path: Path) -> RawCloud:
    try:
        with path.open("rb") as file:
            # numpy takes what has not its mark for a pickle, and says how to run that.
            if file.read(6) != np.lib.format.MAGIC_PREFIX:
                raise BadFrameError(
                    "does not begin like a .npy file",
                    source=path,
                    field="points",
                    fix="write it with numpy.save",
                )
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:
        raise unreadable(path, "points", error) from error
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu":
        raise BadFrameError(
            "does not hold numbers", source=path, field="points", fix="save an (N, 3) float array"
        )
    return cloud_from_columns(table, path)


def _read_text(path: Path) -> RawCloud:
    try:
        lines = path.read_text(encoding="ascii").replace(",", " ").splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns where there is no number at all
            table = np.loadtxt(lines, dtype=np.float64, comments=("#", "//"), ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise unreadable(path, "points", error) from error
    return cloud_from_columns(table, path)
