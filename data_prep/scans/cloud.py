"""Clouds in files: ``.ply .pcd .xyz .bin .npy .las .laz .e57``, and meshes ``.obj .off .glb`` sampled by area."""

from __future__ import annotations

from pathlib import Path

from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import rigid
from data_prep.geometry.local_origin import local_origin
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.cloud import CLOUD_SUFFIXES, read_cloud
from data_prep.scans.formats.images import require_finite
from data_prep.scans.frame import Frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source


@register_source("cloud")
class CloudScan(IndexedScan[Path]):
    """A cloud file, or a folder of them, one frame each. Meters are taken as given (a LAS file may state feet, they
    are converted); there are no images.

    Points keep the file's axes. Coordinates beyond 4 km (LAS, UTM) lose a whole-meter offset in float64 before
    they become float32; ``T_world_points`` gives it back, and turns ``up`` to z.

    Args:
        root: the file, or a folder whose files of these formats are taken in order of name.
        up: the axis of the file that points up: ``z``, ``-y`` …; None = ``y`` for ``.glb``, as glTF defines,
            else ``z``.
        columns: float32 values per point of a ``.bin``: 3 x y z, 4 + intensity, 5 + ring, 6 x y z r g b;
            None = 5 where the name ends in ``.pcd.bin`` (nuScenes), else what the content says without doubt:
            each column has a distribution of its own, which a wrong number would mix. In doubt, it is refused.
        sample: sample the faces of a ``.ply`` instead of taking its vertices.
        points: how many points to sample on a mesh.
        seed: of the sampling; the same seed gives the same points.
        scan: number of one scan of an ``.e57``, from 0; None = all of them, put together by their poses.

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
    ) -> None:
        root = Path(root)
        if up is not None:
            T_zup_from(up)
        if columns is not None and columns < 3:
            raise InputError(f"is {columns}", field="columns", fix="give at least 3: x y z")
        if points < 1:
            raise InputError(f"is {points}", field="points", fix="ask for at least one point")
        self._up, self._columns, self._sample, self._count, self._seed = up, columns, sample, points, seed
        self._scan = scan
        if root.is_file() and root.suffix.lower() not in CLOUD_SUFFIXES:
            raise BadDatasetError(
                f"ends in {root.suffix!r}", source=root, fix=f"give one of {' '.join(CLOUD_SUFFIXES)}"
            )
        files = (
            [root]
            if root.is_file()
            else sorted(p for p in root.iterdir() if p.suffix.lower() in CLOUD_SUFFIXES)
        )
        stems = [path.stem for path in files]
        entries = {
            path.stem if stems.count(path.stem) == 1 else path.name.replace(".", "_"): path for path in files
        }
        super().__init__(root, entries, " ".join(CLOUD_SUFFIXES))

    def read(self, id: str, entry: Path) -> Frame:
        cloud = read_cloud(entry, self._columns, self._sample, self._count, self._seed, self._scan)
        require_finite(cloud.points, entry)
        offset = local_origin(cloud.points)
        up = self._up or ("y" if entry.suffix.lower() == ".glb" else "z")
        return Frame.build(
            id,
            cloud.points - offset,
            colors=cloud.colors,
            intensity=cloud.intensity,
            T_world_points=T_zup_from(up) @ rigid(translation=offset),
        )

    def image_name(self, id: str, entry: Path) -> None:
        return None
