"""Replica reader: exact RGB-D video through eight rooms, as rendered for NICE-SLAM.

Layout (https://github.com/cvg/nice-slam, ``scripts/download_replica.sh``)::

    Replica/cam_params.json
    Replica/room0/results/frame000000.jpg  results/depth000000.png  traj.txt
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, validate_rigid
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.images import read_depth, read_image, require_size
from data_prep.scans.formats.text import finite_number, read_json, read_lines
from data_prep.scans.frame import Frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

_PARAMETERS = "cam_params.json"


class ReplicaFrame(NamedTuple):
    """Where one frame is: its scene's folder and number, and the row of ``traj.txt`` that is its pose."""

    scene: Path
    number: str
    row: int


@register_source("replica")
class ReplicaScan(IndexedScan[ReplicaFrame]):
    """Replica rooms, one or several after another; each is its own world.

    Points are the unprojected depth in camera axes (x right, y down, z forward), colored by their pixel.
    ``traj.txt`` holds camera-to-world matrices in rows of 16 numbers, one per frame in order of its number, in
    Replica's z-up world.

    Args:
        root: a scene (``room0``) with ``cam_params.json`` in it or beside it, or the folder of all scenes.
        up: the axis of the poses' world that points up; for renderings of other meshes in the same layout.

    Raises:
        InputError: ``up`` is no axis.
        BadDatasetError: no ``results/`` there, or camera parameters or a trajectory that cannot be used.
    """

    source = "replica"
    T_world_poses: NDArray[np.float64]

    def __init__(self, root: Path, up: str = "z") -> None:
        root = Path(root)
        self.T_world_poses = T_zup_from(up)
        scenes = [root] if (root / "results").is_dir() else sorted(p.parent for p in root.glob("*/results"))
        entries: dict[str, ReplicaFrame] = {}
        self._poses: dict[Path, list[list[float]]] = {}
        for scene in scenes:
            depths = sorted((scene / "results").glob("depth*.png"))
            numbers = [path.stem.removeprefix("depth") for path in depths]
            prefix = "" if scene == root else f"{scene.name}_"
            entries.update(
                {f"{prefix}{number}": ReplicaFrame(scene, number, row) for row, number in enumerate(numbers)}
            )
            self._poses[scene] = _trajectory(scene / "traj.txt", len(numbers))
        super().__init__(root, entries, "SCENE/results/depthNNNNNN.png")
        beside = (root / _PARAMETERS, root.parent / _PARAMETERS)
        self._camera, self._scale = _parameters(next(filter(Path.exists, beside), beside[0]))

    def read(self, id: str, entry: ReplicaFrame) -> Frame:
        pose = np.reshape(self._poses[entry.scene][entry.row], (4, 4))
        pose = validate_rigid(pose, source=str(entry.scene / "traj.txt"), field=f"line {entry.row + 1}")
        folder = entry.scene / "results"
        image = read_image(folder / f"frame{entry.number}.jpg")
        raw = read_depth(folder / f"depth{entry.number}.png")
        for field, picture in (("image", image), ("depth", raw)):
            size = (self._camera.width, self._camera.height)
            require_size(
                picture,
                size,
                f"{_PARAMETERS} says",
                folder / f"frame{entry.number}.jpg",
                field=f"{field} size",
            )
        depth = (raw / np.float32(self._scale)).astype(np.float32)
        name = self.image_name(id, entry)
        return Frame.from_depth(id, self._camera, image, depth, self.T_world_poses @ pose, name)

    def image_name(self, id: str, entry: ReplicaFrame) -> str:
        return (entry.scene / "results" / f"frame{entry.number}.jpg").relative_to(self.root).as_posix()

    def world(self, id: str, entry: ReplicaFrame) -> str:
        """The room."""
        return entry.scene.name


def _parameters(path: Path) -> tuple[Camera, float]:
    """The camera, and depth units per meter (6553.5)."""
    with shared_by_all_frames(path):
        record = read_json(path).get("camera")
        if not isinstance(record, dict):
            raise InputError("is missing", source=path, field="camera", fix="use NICE-SLAM's cam_params.json")
        fx, fy, cx, cy, w, h, scale = (
            finite_number(record, key, path) for key in ("fx", "fy", "cx", "cy", "w", "h", "scale")
        )
        if scale <= 0:
            raise InputError(f"is {scale:g}", source=path, field="scale", fix="write 6553.5")
        return Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), int(w), int(h)), scale


def _trajectory(path: Path, frames: int) -> list[list[float]]:
    """Rows of 16 numbers, at least one per frame."""
    rows: list[list[float]] = []
    with shared_by_all_frames(path):
        lines = read_lines(path, "poses")
    for number, line in enumerate(lines, start=1):
        try:
            rows.append([float(word) for word in line.split()])
        except ValueError as error:
            raise BadDatasetError(f"is not numbers ({error})", source=path, field=f"line {number}") from error
        if len(rows[-1]) != 16:
            raise BadDatasetError(
                f"holds {len(rows[-1])} numbers",
                source=path,
                field=f"line {number}",
                fix="write a 4x4 matrix",
            )
    if len(rows) < frames:
        raise BadDatasetError(
            f"holds {len(rows)} poses for {frames} frames", source=path, field="poses", fix="copy it again"
        )
    return rows
