"""Polycam reader: keyframes of its raw data export (LiDAR or Room mode, *Developer mode* on).

Layout (https://github.com/PolyCam/polyform), frames named by their time in milliseconds::

    keyframes/images/TIME.jpg  cameras/TIME.json  depth/TIME.png
    keyframes/corrected_images/TIME.jpg  corrected_cameras/TIME.json
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.errors import BadDatasetError
from data_prep.geometry import rigid, validate_rigid
from data_prep.scans.formats.images import read_depth, read_image, require_size
from data_prep.scans.formats.text import finite_number, read_json
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth import T_WORLD_ARKIT, arkit_frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

_DEPTH_SCALE = 1000.0


class PolycamFrame(NamedTuple):
    """The three files of a keyframe."""

    image: Path
    camera: Path
    depth: Path


@register_source("polycam")
class PolycamScan(IndexedScan[PolycamFrame]):
    """Keyframes of a Polycam capture.

    Where Polycam has optimized the capture, ``corrected_images`` (undistorted) and ``corrected_cameras`` (poses
    with loops closed) are read; keyframes that it dropped there are left out, since their poses are of another
    world. Depth is millimeters, 256x192 over the view of the image.

    Points are the unprojected depth seen from the color camera, in camera axes (x right, y down, z forward),
    colored by their pixel. ``t_00`` to ``t_23`` are ARKit's camera to world; its y, against gravity, becomes z.

    Args:
        root: the unzipped export, or its ``keyframes`` folder.

    Raises:
        BadDatasetError: no keyframes, or a capture without depth (photo mode).
    """

    source = "polycam"

    def __init__(self, root: Path) -> None:
        root = Path(root)
        self.T_world_poses = T_WORLD_ARKIT
        folder = root / "keyframes" if (root / "keyframes").is_dir() else root
        corrected = any((folder / "corrected_cameras").glob("*.json"))
        images, cameras = (f"corrected_{name}" if corrected else name for name in ("images", "cameras"))
        found = sorted((folder / cameras).glob("*.json"), key=lambda path: (len(path.stem), path.stem))
        if found and not any((folder / "depth").glob("*.png")):
            raise BadDatasetError(
                "holds no depth",
                source=folder / "depth",
                fix="capture in LiDAR or Room mode; photo mode has pictures only",
            )
        entries = {
            path.stem: PolycamFrame(
                folder / images / f"{path.stem}.jpg", path, folder / "depth" / f"{path.stem}.png"
            )
            for path in found
        }
        super().__init__(root, entries, "keyframes/cameras/*.json, the raw data of Developer mode")

    def read(self, id: str, entry: PolycamFrame) -> Frame:
        record = read_json(entry.camera)
        fx, fy, cx, cy, width, height = (
            finite_number(record, key, entry.camera) for key in ("fx", "fy", "cx", "cy", "width", "height")
        )
        rows = [[finite_number(record, f"t_{i}{j}", entry.camera) for j in range(4)] for i in range(3)]
        matrix = np.array(rows)
        pose = validate_rigid(rigid(matrix[:, :3], matrix[:, 3]), source=entry.camera, field="t_00..t_23")
        image = read_image(entry.image)
        require_size(image, (width, height), "its camera", entry.image)
        depth = (read_depth(entry.depth) / np.float32(_DEPTH_SCALE)).astype(np.float32)
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        time = int(id) / 1000 if id.isdecimal() else None
        return arkit_frame(id, K, image, depth, pose, self.image_name(id, entry), time)

    def image_name(self, id: str, entry: PolycamFrame) -> str:
        return entry.image.relative_to(self.root).as_posix()

    def world(self, id: str, entry: PolycamFrame) -> str:
        """The capture."""
        return self.root.name
