"""RGB-D folders: 7-Scenes naming, or ``color/ depth/ pose/`` with a ``scan.yaml``; poses may be absent.

7-Scenes (https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/), in the folder itself or in
``seq-*`` folders below::

    frame-000000.color.png  frame-000000.depth.png  frame-000000.pose.txt  camera-intrinsics.txt

Generic, frames named by file stem, the conventions stated as :class:`RgbdStatement` says::

    color/0.jpg  depth/0.png  pose/0.txt  intrinsics.txt  scan.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from data_prep.config import TypedConfig, parse_config, read_yaml
from data_prep.errors import BadDatasetError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, Distortion, invert, validate_rigid
from data_prep.geometry.camera import validate_intrinsics
from data_prep.geometry.transforms import AXES, T_zup_from
from data_prep.scans.formats.images import read_depth, read_image, require_centered, require_size
from data_prep.scans.formats.text import natural_order, read_matrix
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth import depth_seen_by
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

# 7-Scenes documents millimeters and camera-to-world poses; which way is up it does not say.
_SEVEN_SCENES = {
    "depth_scale": 1000.0,
    "pose_direction": "camera_to_world",
    "intrinsics": "camera-intrinsics.txt",
}
_NO_DEPTH = 65535  # what Kinect-era recordings write for "nothing measured", besides 0


_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_MATRIX = "write fx 0 cx / 0 fy cy / 0 0 1"
# Depth units per meter that cameras and datasets use; the first that gives the depth of a room is proposed.
_USUAL_SCALES = (1000, 5000, 10_000, 256)


class RgbdFiles(NamedTuple):
    """The three files of one frame; color and pose may be absent, then reading says so."""

    color: Path
    depth: Path
    pose: Path


@register_source("rgbd")
class RgbdScan(IndexedScan[RgbdFiles]):
    """RGB-D frames, with poses or without.

    Points are the unprojected depth of the color camera in camera axes (x right, y down, z forward), row by
    row, colored by their pixel; ``T_world_points`` is the pose followed by the rotation that puts up along z.

    Color and depth share one camera, as in registered recordings. (7-Scenes does not register its color:
    labels and colors sit a few pixels beside the geometry there.) With ``color_intrinsics`` the two images share
    the viewpoint but not the pixels (ScanNet exports): each color pixel takes the depth measured nearest to its
    ray, so images keep the size that detectors saw.

    Up comes from ``up`` in ``scan.yaml``; 7-Scenes naming also accepts ``gravity-direction.txt``, three numbers
    that point **down** in the frame of the poses (checked on redkitchen: table and floor normals come out along +z).

    Without poses (``pose_direction: none``) every frame has its own world, and ``up`` is an axis of the camera: ``-y``
    for one that was held level.

    Args:
        root: the folder.

    Raises:
        BadDatasetError: neither layout, a convention that is not stated, or unusable intrinsics.
    """

    source = "rgbd"
    T_world_poses: NDArray[np.float64]

    def __init__(self, root: Path) -> None:
        root = Path(root)
        entries = find_seven_scenes(root) or find_generic(root)
        super().__init__(root, entries, "frame-NNNNNN.depth.png files, or color/ depth/ pose/ folders")
        seven_scenes = next(iter(entries.values())).depth.name.endswith(".depth.png")
        posed = any(files.pose.exists() for files in entries.values())
        with shared_by_all_frames(root / "scan.yaml"):
            known = {**_SEVEN_SCENES, **_gravity(root)} if seven_scenes else {}
            if not posed:
                known.pop("pose_direction", None)
            try:
                self._statement = RgbdStatement.load(root / "scan.yaml", known)
            except InputError as error:
                raise error.as_kind(
                    BadDatasetError, fix=_proposal(next(iter(entries.values())), posed)
                ) from None
            if not posed and self._statement.pose_direction != "none":
                raise BadDatasetError(
                    f"is {self._statement.pose_direction}, but there are no pose files, like "
                    f"{next(iter(entries.values())).pose.relative_to(root)}",
                    source=root / "scan.yaml",
                    field="pose_direction",
                    fix="write pose_direction: none, and up: -y for a camera that was held level",
                )
            self.T_world_poses = T_zup_from(self._statement.up)
            distortion = self._statement.distortion
            self._lens = Distortion() if distortion is None else distortion.lens()
            self._K_depth = _intrinsics(root / self._statement.intrinsics)
            color = self._statement.color_intrinsics
            self._K_color = self._K_depth if color is None else _intrinsics(root / color)

    def read(self, id: str, entry: RgbdFiles) -> Frame:
        pose = self._pose(entry.pose)
        raw = read_depth(entry.depth)
        depth = np.where(raw == _NO_DEPTH, 0, raw / np.float32(self._statement.depth_scale)).astype(
            np.float32
        )
        if self._statement.max_depth is not None:
            depth[depth > self._statement.max_depth] = 0
        image = read_image(entry.color)
        if self._statement.color_intrinsics is None:
            fix = (
                f"write color_intrinsics: color.txt into {self.root / 'scan.yaml'}, and into color.txt the 3x3 matrix "
                f"of the color images; {self._statement.intrinsics} stays that of the depth"
            )
            require_size(image, depth.shape[::-1], "its depth", entry.color, fix=fix)
        require_centered(self._K_color, image.shape[1], image.shape[0], entry.color)
        camera = Camera(self._K_color, image.shape[1], image.shape[0], distortion=self._lens)
        if self._statement.color_intrinsics is not None:
            depth = depth_seen_by(camera, depth, self._K_depth)
        return Frame.from_depth(
            id, camera, image, depth, self.T_world_poses @ pose, self.image_name(id, entry)
        )

    def image_name(self, id: str, entry: RgbdFiles) -> str:
        return entry.color.relative_to(self.root).as_posix()

    def world(self, id: str, entry: RgbdFiles) -> str | None:
        """The folder, of 7-Scenes too: its sequences are all in one world. Without poses, the frame's own."""
        return None if self._statement.pose_direction == "none" else self.root.name

    def _pose(self, path: Path) -> NDArray[np.float64]:
        """(4, 4) camera to world of the poses; without poses the camera is the world."""
        if self._statement.pose_direction == "none":
            return np.eye(4)
        pose = validate_rigid(read_matrix(path, (4, 4)), source=path, field="pose")
        return invert(pose) if self._statement.pose_direction == "world_to_camera" else pose


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


def _proposal(files: RgbdFiles, posed: bool) -> str:
    """Advice for a folder that does not state its conventions: values that fit its first depth image."""
    stated = "pose_direction: camera_to_world, up: z" if posed else "pose_direction: none, up: -y"
    why = "" if posed else "; up -y is that of a level camera"
    try:
        depth = read_depth(files.depth)
    except InputError:
        depth = np.zeros((1, 1), np.uint16)
    measured = depth[(depth > 0) & (depth < _NO_DEPTH)]
    middle = float(np.median(measured)) if measured.size else 0.0
    scale = next((scale for scale in _USUAL_SCALES if 0.3 < middle / scale < 8), _USUAL_SCALES[0])
    return (
        f"write for example {{depth_scale: {scale}, {stated}}}, with your values; half of "
        f"{files.depth.name} is then nearer than {middle / scale:.2f} m{why}"
    )


def _intrinsics(path: Path) -> NDArray[np.float64]:
    K = read_matrix(path, (3, 3), (4, 4))[:3, :3]
    if not np.allclose(K[2], [0, 0, 1]):
        raise InputError(f"ends in the row {K[2].tolist()}", source=path, field="intrinsics", fix=_MATRIX)
    return validate_intrinsics(K, source=path, field="intrinsics", fix=_MATRIX)


class LensStatement(TypedConfig):
    """``model`` and ``coefficients`` of a :class:`Distortion`."""

    model: Literal["radtan", "fisheye"]
    coefficients: tuple[float, ...]

    def lens(self) -> Distortion:
        """The stated distortion.

        Raises:
            InputError: a wrong number of coefficients.
        """
        return Distortion(self.model, self.coefficients)


class RgbdStatement(TypedConfig):
    """The keys of ``scan.yaml``: what an RGB-D folder cannot say by itself.

    Attributes:
        depth_scale: depth units per meter; 1000 for millimeters, 5000 for TUM.
        pose_direction: what the pose files hold; ``none``: there are none.
        up: the world direction that points up: an axis (``z``, ``-y`` …) or three numbers.
        intrinsics: file with the 3x3 or 4x4 matrix, relative to the folder.
        color_intrinsics: the same for the color images, where they are not pixel for pixel with the depth.
        distortion: lens of the color images as stored; their depth is taken to share it, unless
            ``color_intrinsics`` is given: then depth has none.
        max_depth: meters; farther depth is no measurement.
    """

    depth_scale: float = Field(gt=0)
    pose_direction: Literal["camera_to_world", "world_to_camera", "none"]
    up: str | tuple[float, ...]
    intrinsics: str = "intrinsics.txt"
    color_intrinsics: str | None = None
    distortion: LensStatement | None = None
    max_depth: float | None = Field(default=None, gt=0)

    @field_validator("up")
    @classmethod
    def _up_is_a_direction(cls, up: str | tuple[float, ...]) -> str | tuple[float, ...]:
        if isinstance(up, str):
            if up not in AXES:
                raise ValueError(f"is not one of {', '.join(AXES)} or three numbers")
        elif len(up) != 3 or not np.linalg.norm(up) > 0:
            raise ValueError("is not three numbers that make a direction")
        return up

    @classmethod
    def load(cls, path: Path, known: dict[str, Any]) -> RgbdStatement:
        """Read ``path``, which may be absent where ``known`` says everything; its keys win over ``known``.

        Raises:
            BadDatasetError: not YAML, an unknown key, a value of the wrong type, or a key that is missing.
        """
        with shared_by_all_frames(path):
            stated = read_yaml(path) if path.exists() else {}
            values = {**known, **stated} if isinstance(stated, dict) else stated
            return parse_config(cls, values, source=path)


def find_seven_scenes(root: Path) -> dict[str, RgbdFiles]:
    """``frame-000000.depth.png`` and its like, in ``root`` or in ``root/seq-*``, by frame id; empty if none."""
    entries = {}
    for depth in sorted(root.glob("frame-*.depth.png")) or sorted(root.glob("seq-*/frame-*.depth.png")):
        stem = depth.name.removesuffix(".depth.png")
        colors = [depth.with_name(f"{stem}.color{suffix}") for suffix in _IMAGE_SUFFIXES]
        color = next(filter(Path.exists, colors), colors[0])
        id = stem if depth.parent == root else f"{depth.parent.name}_{stem}"
        entries[id] = RgbdFiles(color, depth, depth.with_name(f"{stem}.pose.txt"))
    return entries


def find_generic(root: Path) -> dict[str, RgbdFiles]:
    """``depth/STEM.png`` with ``color/STEM.*`` and ``pose/STEM.txt``, by stem; empty if none."""
    colors = {p.stem: p for p in sorted((root / "color").glob("*")) if p.suffix.lower() in _IMAGE_SUFFIXES}
    depths = sorted((root / "depth").glob("*.png"), key=lambda path: natural_order(path.stem))
    return {
        path.stem: RgbdFiles(
            colors.get(path.stem, root / "color" / f"{path.stem}.jpg"),
            path,
            root / "pose" / f"{path.stem}.txt",
        )
        for path in depths
    }
