"""Posed RGB-D folders: 7-Scenes naming, or ``color/ depth/ pose/`` with a ``scan.yaml``.

7-Scenes (https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/), in the folder itself or in
``seq-*`` folders below::

    frame-000000.color.png  frame-000000.depth.png  frame-000000.pose.txt  camera-intrinsics.txt

Generic, frames named by file stem, the conventions stated as :class:`RgbdStatement` says::

    color/0.jpg  depth/0.png  pose/0.txt  intrinsics.txt  scan.yaml
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, invert, validate_rigid
from data_prep.scans.formats.images import read_depth, read_image, read_matrix, require_centered
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth_frame import depth_frame, depth_seen_by
from data_prep.scans.rgbd.folders import RgbdFiles, find_generic, find_seven_scenes
from data_prep.scans.rgbd.statement import RgbdStatement
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

# 7-Scenes documents millimeters and camera-to-world poses; which way is up it does not say.
_SEVEN_SCENES = {
    "depth_scale": 1000.0,
    "pose_direction": "camera_to_world",
    "intrinsics": "camera-intrinsics.txt",
}
_NO_DEPTH = 65535  # what Kinect-era recordings write for "nothing measured", besides 0


@register_source("rgbd")
class RgbdScan(IndexedScan[RgbdFiles]):
    """Posed RGB-D frames.

    Points are the unprojected depth of the color camera in camera axes (x right, y down, z forward), row by
    row, colored by their pixel; ``T_world_points`` is the pose followed by the rotation that puts up along z.

    Color and depth share one camera, as in registered recordings. (7-Scenes does not register its color:
    words and colors sit a few pixels beside the geometry there.) With ``color_intrinsics`` the two images share
    the viewpoint but not the pixels (ScanNet exports): each color pixel takes the depth measured nearest to its
    ray, so images keep the size that detectors saw.

    Up comes from ``up`` in ``scan.yaml``; 7-Scenes naming also accepts ``gravity-direction.txt``, three numbers
    that point **down** in the frame of the poses (checked on redkitchen: table and floor normals come out along +z).

    Args:
        root: the folder.

    Raises:
        BadDatasetError: neither layout, a convention that is not stated, or unusable intrinsics.
    """

    source = "rgbd"

    def __init__(self, root: Path) -> None:
        root = Path(root)
        entries = find_seven_scenes(root) or find_generic(root)
        super().__init__(root, entries, "frame-NNNNNN.depth.png files, or color/ depth/ pose/ folders")
        seven_scenes = next(iter(entries.values())).depth.name.endswith(".depth.png")
        with shared_by_all_frames(root / "scan.yaml"):
            known = {**_SEVEN_SCENES, **_gravity(root)} if seven_scenes else None
            self._statement = RgbdStatement.load(root / "scan.yaml", known)
            self.T_world_poses = self._statement.T_zup_world()
            self._lens = self._statement.lens()
            self._K_depth = _intrinsics(root / self._statement.intrinsics)
            color = self._statement.color_intrinsics
            self._K_color = self._K_depth if color is None else _intrinsics(root / color)

    def read(self, id: str, entry: RgbdFiles) -> Frame:
        pose = validate_rigid(read_matrix(entry.pose, (4, 4)), source=str(entry.pose), field="pose")
        if self._statement.pose_direction == "world_to_camera":
            pose = invert(pose)
        raw = read_depth(entry.depth)
        depth = np.where(raw == _NO_DEPTH, 0, raw / np.float32(self._statement.depth_scale)).astype(
            np.float32
        )
        if self._statement.max_depth is not None:
            depth[depth > self._statement.max_depth] = 0
        image = read_image(entry.color)
        require_centered(self._K_color, image.shape[1], image.shape[0], entry.color)
        camera = Camera(self._K_color, image.shape[1], image.shape[0], distortion=self._lens)
        if self._statement.color_intrinsics is not None:
            depth = depth_seen_by(camera, depth, self._K_depth)
        elif depth.shape != image.shape[:2]:
            raise BadFrameError(
                f"is {image.shape[1]}x{image.shape[0]}, its depth {depth.shape[1]}x{depth.shape[0]}",
                source=entry.color,
                field="image size",
                fix="give images registered to the depth, or state color_intrinsics in scan.yaml",
            )
        return depth_frame(id, camera, image, depth, self.T_world_poses @ pose, self.image_name(id, entry))

    def image_name(self, id: str, entry: RgbdFiles) -> str:
        return entry.color.relative_to(self.root).as_posix()

    def world(self, id: str, entry: RgbdFiles) -> str:
        """The folder, of 7-Scenes too: its sequences are all in one world."""
        return self.root.name


def _gravity(root: Path) -> dict[str, list[float]]:
    path = root / "gravity-direction.txt"
    if not path.exists():
        return {}
    down = read_matrix(path, (3, 1), (1, 3)).ravel()
    if not np.isfinite(down).all() or not np.linalg.norm(down) > 0:
        raise BadDatasetError(
            f"is {down.tolist()}, not a direction", source=path, fix="write the way things fall"
        )
    return {"up": (-down).tolist()}


def _intrinsics(path: Path) -> NDArray[np.float64]:
    K = read_matrix(path, (3, 3), (4, 4))[:3, :3]
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[2], [0, 0, 1]):
        raise InputError(
            "is not a camera matrix", source=path, field="intrinsics", fix="write fx 0 cx / 0 fy cy / 0 0 1"
        )
    return K
