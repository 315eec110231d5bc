"""ScanNet reader: RGB-D video of rooms as exported frames, as ``.sens``, or as the reconstructed mesh.

One folder per scene (http://www.scan-net.org/, https://github.com/ScanNet/ScanNet)::

    scene0000_00/color/0.jpg  depth/0.png  pose/0.txt  intrinsic/intrinsic_color.txt  intrinsic_depth.txt
    scene0000_00/scene0000_00.sens  scene0000_00.txt  scene0000_00_vh_clean_2.ply
    scene0000_00/scene0000_00.aggregation.json  scene0000_00_vh_clean_2.0.010000.segs.json
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, transform_points, validate_rigid
from data_prep.labels import normalize_label
from data_prep.scans.formats.images import read_depth, read_image, require_centered
from data_prep.scans.formats.ply import read_ply
from data_prep.scans.formats.sens import SensFile, SensFrame
from data_prep.scans.formats.text import read_json, read_lines, read_matrix
from data_prep.scans.frame import Annotations3D, Frame
from data_prep.scans.rgbd.depth import depth_seen_by
from data_prep.scans.rgbd.posed import RgbdFiles, find_generic
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

PARTS = ("frames", "sens", "mesh")
_DEPTH_SCALE = 1000.0  # exported depth is in millimeters


@dataclass(frozen=True)
class Scene:
    """A scene's folder, and what is shared by its frames; each is read when first asked for."""

    folder: Path
    sens_path: Path | None = None

    @property
    def name(self) -> str:
        return (
            self.folder.resolve().name if self.sens_path is None else self.sens_path.stem.removesuffix("_vh")
        )

    @cached_property
    def T_world_scan(self) -> NDArray[np.float64]:
        """(4, 4) axis alignment; the identity where ``SCENE.txt`` has none (test scenes): z is up all the same."""
        path = self.folder / f"{self.name}.txt"
        if not path.exists():
            return np.eye(4)
        for line in read_lines(path, "meta"):
            key, _, value = line.partition("=")
            if key.strip() == "axisAlignment":
                try:
                    matrix = np.array(value.split(), dtype=np.float64).reshape(4, 4)
                except ValueError as error:
                    raise InputError(
                        "is not 16 numbers", source=path, field="axisAlignment", fix="copy the file again"
                    ) from error
                return validate_rigid(matrix, source=path, field="axisAlignment")
        return np.eye(4)

    @cached_property
    def intrinsics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3, 3) of color and of depth, of an exported folder."""
        K_color, K_depth = (
            read_matrix(self._intrinsic(kind), (4, 4), (3, 3))[:3, :3] for kind in ("color", "depth")
        )
        return K_color, K_depth

    @cached_property
    def sens(self) -> SensFile:
        assert self.sens_path is not None
        return SensFile.open(self.sens_path)

    @property
    def mesh(self) -> Path:
        return self.folder / f"{self.name}_vh_clean_2.ply"

    def _intrinsic(self, kind: str) -> Path:
        exported = self.folder / "intrinsic" / f"intrinsic_{kind}.txt"
        benchmark = self.folder / f"intrinsics_{kind}.txt"  # scannet_frames_25k
        return benchmark if benchmark.exists() else exported


@dataclass(frozen=True)
class ScanNetFrame:
    """One frame of a scene: exported files, a place in the ``.sens``, or, with neither, its mesh."""

    scene: Scene
    files: RgbdFiles | None = None
    number: int | None = None


@register_source("scannet")
class ScanNetScan(IndexedScan[ScanNetFrame]):
    """Scenes of ScanNet, one or several after another.

    RGB-D frames: points are the unprojected depth seen from the color camera, in camera axes (x right, y down, z
    forward), colored by their pixel; each color pixel takes the depth measured nearest to its ray, as the
    official tools do (they take both cameras for one viewpoint). Frames whose camera was lost (pose of -inf)
    are bad frames. Mesh: points are the vertices of ``_vh_clean_2.ply`` in its own axes, without images.

    ``T_world_points`` leads to the aligned scene where ``SCENE.txt`` has ``axisAlignment``: walls along x and y,
    the floor at z = 0.

    Args:
        root: a scene's folder, the folder of all scenes (``scans/``), or one ``.sens`` file.
        part: ``frames`` (exported), ``sens``, or ``mesh``; None takes of each scene the first of these it has.

    Raises:
        InputError: another ``part``.
        BadDatasetError: no scene there, or a ``.sens`` that cannot be read.
    """

    source = "scannet"

    def __init__(self, root: Path, part: Literal["frames", "sens", "mesh"] | None = None) -> None:
        root = Path(root)
        if part is not None and part not in PARTS:
            raise InputError(f"is {part!r}", field="part", fix=f"use {', '.join(PARTS)}")
        if root.is_file():
            if root.suffix != ".sens":
                raise BadDatasetError("is not a .sens file", source=root, fix="give a scene's folder")
            entries = _entries(Scene(root.parent, root), ("sens",), prefix="")
        else:
            parts = PARTS if part is None else (part,)
            entries = _entries(_scene(root), parts, prefix="")
            if not entries:
                for folder in sorted(path for path in root.iterdir() if path.is_dir()):
                    entries.update(_entries(_scene(folder), parts, prefix=f"{folder.name}_"))
        scenes = {entry.scene.folder: entry.scene for entry in entries.values() if entry.number is not None}
        if len(scenes) == 1:  # a single file is checked for its end at once, a thousand are not
            next(iter(scenes.values())).sens.frames  # noqa: B018
        super().__init__(root, entries, "color/ depth/ pose/ intrinsic/, a .sens or a _vh_clean_2.ply")

    def read(self, id: str, entry: ScanNetFrame) -> Frame:
        scene = entry.scene
        if entry.files is None and entry.number is None:
            cloud = read_ply(scene.mesh)
            return Frame.build(id, cloud.points, colors=cloud.colors, T_world_points=scene.T_world_scan)
        if entry.files is not None:
            files = entry.files
            pose, source, depth_source = read_matrix(files.pose, (4, 4)), files.pose, files.depth
            image, raw = read_image(files.color), read_depth(files.depth)
            (K_color, K_depth), scale = scene.intrinsics, _DEPTH_SCALE
        else:
            assert entry.number is not None
            sens = scene.sens
            place: SensFrame = sens.frames[entry.number]
            pose, source, depth_source = place.T_world_cam, sens.path, sens.path
            image, raw = sens.color(place), sens.depth(place)
            K_color, K_depth, scale = sens.K_color, sens.K_depth, sens.depth_scale
        if not np.isfinite(pose).all():
            raise BadFrameError(
                "is not finite: the camera was lost here",
                source=source,
                field=f"pose of frame {id}",
                fix="nothing to do, such frames are left out",
            )
        T_scan_cam = validate_rigid(pose, source=source, field="pose")
        name = self.image_name(id, entry)
        assert name is not None, "a mesh has been read"
        height, width = image.shape[:2]
        require_centered(K_color, width, height, self.root / name)
        require_centered(K_depth, raw.shape[1], raw.shape[0], depth_source)
        camera = Camera(K_color, width, height)
        depth = depth_seen_by(camera, raw / np.float32(scale), K_depth)
        return Frame.from_depth(id, camera, image, depth, scene.T_world_scan @ T_scan_cam, name)

    def image_name(self, id: str, entry: ScanNetFrame) -> str | None:
        """The image's file; for ``.sens`` the name that the official export gives it."""
        if entry.files is not None:
            return entry.files.color.relative_to(self.root).as_posix()
        if entry.number is None:
            return None
        name, folder = f"color/{entry.number}.jpg", entry.scene.folder
        return name if folder in (self.root, self.root.parent) else f"{folder.name}/{name}"

    def world(self, id: str, entry: ScanNetFrame) -> str:
        """The scene."""
        return entry.scene.name

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes of a mesh in its own axes; None for RGB-D frames, and where the labels are not there."""
        entry = self._entries[index]
        scene = entry.scene
        aggregation = scene.folder / f"{scene.name}.aggregation.json"
        if entry.files is not None or entry.number is not None or not aggregation.exists():
            return None
        segments = scene.folder / f"{scene.name}_vh_clean_2.0.010000.segs.json"
        return read_scannet_labels(aggregation, segments, read_ply(scene.mesh).points, scene.T_world_scan)


def _scene(folder: Path) -> Scene:
    recordings = sorted(folder.glob("*.sens"))
    return Scene(folder, recordings[0] if recordings else None)


def _entries(scene: Scene, parts: tuple[str, ...], prefix: str) -> dict[str, ScanNetFrame]:
    """Frames of the first of ``parts`` that the scene has, by id."""
    for part in parts:
        if part == "frames" and (files := find_generic(scene.folder)):
            return {f"{prefix}{stem}": ScanNetFrame(scene, files=file) for stem, file in files.items()}
        if part == "sens" and scene.sens_path is not None:
            return {f"{prefix}{i}": ScanNetFrame(scene, number=i) for i in range(scene.sens.count)}
        if part == "mesh" and scene.mesh.exists():
            return {prefix.rstrip("_") or scene.name: ScanNetFrame(scene)}
    return {}


def read_scannet_labels(
    aggregation: Path, segments: Path, vertices: NDArray, T_world_mesh: NDArray[np.float64]
) -> Annotations3D:
    """Boxes of the labeled objects, axis-aligned in the aligned scene as the detection benchmarks have them.

    Args:
        aggregation: ``SCENE.aggregation.json``: the segments of each object, and its label.
        segments: ``SCENE_vh_clean_2.0.010000.segs.json``: the segment of every vertex.
        vertices: (V, 3) of the mesh, meters, in its own axes.
        T_world_mesh: (4, 4) axis alignment.

    Returns:
        Boxes in the mesh's axes; attribute ``object_id`` (M,).

    Raises:
        BadFrameError: files that are not such, or not of this mesh.
    """
    of_vertex = _integers(read_json(segments).get("segIndices"), segments, "segIndices")
    if len(of_vertex) != len(vertices):
        raise BadFrameError(
            f"holds {len(of_vertex)} vertices, the mesh {len(vertices)}",
            source=segments,
            field="segIndices",
            fix="use the files of the same mesh (_vh_clean_2)",
        )
    groups = read_json(aggregation).get("segGroups")
    if not isinstance(groups, list):
        raise BadFrameError("is missing", source=aggregation, field="segGroups", fix="copy the file again")
    aligned = transform_points(T_world_mesh, vertices.astype(np.float64))
    T_mesh_world = invert(T_world_mesh)
    boxes, labels, ids = [], [], []
    for number, group in enumerate(groups):
        field = f"segGroups {number}"
        if not isinstance(group, dict) or not isinstance(group.get("label"), str):
            raise BadFrameError("has no label", source=aggregation, field=field, fix="copy the file again")
        members = _integers(group.get("segments"), aggregation, f"{field} segments")
        points = aligned[np.isin(of_vertex, members)]
        if len(points) == 0:  # the decimated mesh may have lost a thing of a few centimeters
            continue
        low, high = points.min(axis=0), points.max(axis=0)
        boxes.append(OrientedBox((low + high) / 2, high - low).transformed(T_mesh_world))
        labels.append(normalize_label(group["label"]))
        identity = group.get("objectId", number)
        ids.append(identity if isinstance(identity, int) else number)
    return Annotations3D(tuple(boxes), tuple(labels), attributes={"object_id": np.array(ids, dtype=np.int64)})


def _integers(values: Any, path: Path, field: str) -> NDArray[np.int64]:
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        raise BadFrameError("is not a list of whole numbers", source=path, field=field, fix="copy it again")
    return np.array(values, dtype=np.int64)
