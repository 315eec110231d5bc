"""Cloud file reader: ``.ply .pcd .xyz .bin .npy .las .laz .e57``, and meshes (``.obj .stl .glb …``) sampled by area."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import rigid
from data_prep.geometry.local_origin import local_origin
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.e57 import read_e57
from data_prep.scans.formats.las import read_las
from data_prep.scans.formats.mesh import MESH_SUFFIXES, mesh_up, sample_mesh
from data_prep.scans.formats.pcd import read_pcd
from data_prep.scans.formats.ply import read_ply
from data_prep.scans.formats.records import (
    RawCloud,
    cloud_from_columns,
    mapped,
    read_records,
    require_finite,
    spread,
)
from data_prep.scans.formats.text import unreadable
from data_prep.scans.frame import Frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source
from data_prep.storage.parsing import read_array
from data_prep.storage.reading import read_text

SUFFIXES = (".ply", ".pcd", ".xyz", ".bin", ".npy", ".las", ".laz", ".e57", *MESH_SUFFIXES)
# KITTI object, tracking and raw: x y z intensity. (Waymo's exports in this layout have seven digits and six values.)
_KITTI = re.compile(r"/velodyne(/\d{4})?/\d{6}\.bin$|/velodyne_points/data/\d{10}\.bin$")


@register_source("cloud")
class CloudScan(IndexedScan[Path]):
    """A cloud file, or a folder of them, one frame each. There are no images. Coordinates are meters unless ``scale``
    says otherwise (LAS, 3MF and COLLADA files may state another unit, which is converted).

    Points keep the file's axes. Coordinates beyond 4 km (LAS, UTM) lose a whole-meter offset in float64 before
    they become float32; ``T_world_points`` gives it back, and turns ``up`` to z.

    Args:
        root: the file, or a folder whose files of these formats are taken in order of name.
        up: the axis of the file that points up: ``z``, ``-y`` …; None = ``y`` for glTF, what it says for
            COLLADA, else ``z``.
        columns: float32 values per point of a ``.bin``: 3 x y z, 4 + intensity, 5 + ring, 6 x y z r g b;
            None = what the name says: 4 for KITTI's ``velodyne/000000.bin``, 5 for nuScenes' ``.pcd.bin``.
        sample: sample the faces of a ``.ply`` instead of taking its vertices.
        points: how many points to sample on a mesh.
        seed: of the sampling; the same seed gives the same points.
        scan: number of one scan of an ``.e57``, from 0; None = all of them, put together by their poses.
        scale: meters per unit of the file: 0.001 for millimeters.
        most: keep at most so many points of a file, spread over it; a binary ``.ply``, ``.bin``, ``.npy``, ``.las`` or
            ``.laz`` is then read without holding all of it in memory. None = all points.

    Raises:
        InputError: an option that cannot be.
        BadDatasetError: no file of a known format.
    """

    source = "cloud"

    def __init__(
        self,
        root: Path,
        up: str | None = None,
        columns: int | None = None,
        sample: bool = False,
        points: int = 100_000,
        seed: int = 0,
        scan: int | None = None,
        scale: float = 1.0,
        most: int | None = None,
    ) -> None:
        root = Path(root)
        if most is not None and most < 1:
            raise InputError(f"is {most}", field="most", fix="keep at least one point")
        if up is not None:
            T_zup_from(up)
        if columns is not None and columns < 3:
            raise InputError(f"is {columns}", field="columns", fix="give at least 3: x y z")
        if points < 1:
            raise InputError(f"is {points}", field="points", fix="ask for at least one point")
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f"is {scale}", field="scale", fix="give meters per unit, like 0.001")
        self._up, self._columns, self._sample, self._count, self._seed = up, columns, sample, points, seed
        self._scan, self._scale, self._most = scan, scale, most
        if root.is_file() and root.suffix.lower() not in SUFFIXES:
            raise BadDatasetError(
                f"ends in {root.suffix!r}", source=root, fix=f"give one of {' '.join(SUFFIXES)}"
            )
        files = (
            [root] if root.is_file() else sorted(p for p in root.iterdir() if p.suffix.lower() in SUFFIXES)
        )
        stems = [path.stem for path in files]
        entries = {
            path.stem if stems.count(path.stem) == 1 else path.name.replace(".", "_"): path for path in files
        }
        super().__init__(root, entries, " ".join(SUFFIXES))

    def read(self, id: str, entry: Path) -> Frame:
        cloud = read_cloud(
            entry, self._columns, self._sample, self._count, self._seed, self._scan, self._most
        )
        return cloud_frame(id, cloud, entry, self._up or mesh_up(entry), self._scale)


def cloud_frame(id: str, cloud: RawCloud, source: Path, up: str = "z", scale: float = 1.0) -> Frame:
    """The frame of a cloud without images: in meters, near its own origin, turned to a z-up world.

    Args:
        id: of the frame.
        cloud: as its file has it.
        source: file of the cloud, for errors.
        up: the cloud's axis that points up.
        scale: meters per unit of the cloud.

    Raises:
        InputError: ``up`` is not an axis, or ``scale`` not above 0.
        BadFrameError: no finite point.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"is {scale}", field="scale", fix="give meters per unit, like 0.001")
    require_finite(cloud.points, source)
    points = cloud.points if scale == 1 else cloud.points * scale
    offset = local_origin(points)
    return Frame.build(
        id,
        points - offset,
        colors=cloud.colors,
        intensity=cloud.intensity,
        T_world_points=T_zup_from(up) @ rigid(translation=offset),
        notes=() if cloud.total is None else (f"{len(points):,} of {cloud.total:,} points are used",),
    )


def read_cloud(
    path: Path,
    columns: int | None = None,
    sample: bool = False,
    count: int = 100_000,
    seed: int = 0,
    scan: int | None = None,
    most: int | None = None,
) -> RawCloud:
    """Read a cloud, or sample a mesh.

    Args:
        path: a file of one of these formats.
        columns: float32 values per point of a ``.bin``; None = as its name says: 4 for ``velodyne/000000.bin``
            (KITTI), 5 for ``.pcd.bin`` (nuScenes).
        sample: sample the faces of a ``.ply`` too, instead of taking its vertices.
        count: points to sample on a mesh.
        seed: of the sampling.
        scan: number of one scan of an ``.e57``; None = all of them.
        most: keep at most so many points; None = all of them.

    Raises:
        InputError: the extra that the format needs is not installed.
        BadFrameError: unreadable, or not what its name or header says.
    """
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES or (sample and suffix == ".ply"):
        if suffix == ".ply":
            read_ply(path)  # trimesh fills what a lying header promises with zeros; this refuses it
        return sample_mesh(path, count, seed).thinned(most)
    if suffix == ".ply":
        return read_ply(path, most=most)
    if suffix == ".pcd":
        return read_pcd(path).thinned(most)
    if suffix == ".bin":
        return _from_table(_read_bin(path, columns or _columns_by_name(path), most), path, most)
    if suffix == ".npy":
        return _from_table(_read_npy(path, most), path, most)
    if suffix in (".las", ".laz"):
        return read_las(path, most)
    if suffix == ".e57":
        return read_e57(path, scan).thinned(most)
    return _read_text(path).thinned(most)


def _read_bin(path: Path, columns: int, most: int | None) -> NDArray:
    try:
        content = None if most is None else mapped(path)
    except OSError as error:
        raise unreadable(path, "points", error) from error
    return read_records(path, columns, content)


def _from_table(table: NDArray, path: Path, most: int | None) -> RawCloud:
    """The cloud of (N, C) columns, thinned before they are converted."""
    if most is None or table.ndim != 2:
        return cloud_from_columns(table, path)
    return cloud_from_columns(table[spread(len(table), most)], path).thinned(most, len(table))


def _columns_by_name(path: Path) -> int:
    """Float32 values per point of a ``.bin`` whose name belongs to a dataset that fixes them.

    Raises:
        BadFrameError: any other name.
    """
    if path.name.endswith(".pcd.bin"):
        return 5
    if _KITTI.search(path.absolute().as_posix()):
        return 4
    raise BadFrameError(
        "does not say how many float32 values a point has",
        source=path,
        field="columns",
        fix="state columns=3 for x y z, 4 with intensity, 6 for x y z r g b (clip2: --option columns=4)",
    )


def _read_npy(path: Path, most: int | None) -> NDArray:
    try:
        table = read_array(path, mapped=most is not None)
    except (OSError, ValueError) as error:
        raise unreadable(path, "points", error) from error
    if table.dtype.kind not in "fiu":
        raise BadFrameError(
            "does not hold numbers", source=path, field="points", fix="save an (N, 3) float array"
        )
    return table


def _read_text(path: Path) -> RawCloud:
    try:
        lines = read_text(path, "ascii").replace(",", " ").splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns about a file without numbers
            table = np.loadtxt(lines, dtype=np.float64, comments=("#", "//"), ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise unreadable(path, "points", error) from error
    return cloud_from_columns(table, path)
