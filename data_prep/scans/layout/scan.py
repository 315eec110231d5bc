"""The ``layout`` format: a folder that any tool can write and that leaves nothing to guess (``docs/layout.md``).

::

    scan.json              units, which way is up, cameras that frames share, order of the frames
    frames/ID.json         pose, timestamp, files and cameras of one frame, labels if there are any
    points/ID.npz          points (N, 3) float32, colors (N, 3) uint8, intensity (N,) float32
    depth/ID.png           instead of points or beside them
    images/CAMERA/ID.jpg   wherever the frame says
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError, shared_by_all_frames
from data_prep.geometry import Camera
from data_prep.geometry.local_origin import FAR
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.cloud import read_cloud
from data_prep.scans.formats.images import read_depth, read_image
from data_prep.scans.formats.npz import read_npz
from data_prep.scans.formats.records import RawCloud
from data_prep.scans.formats.text import natural_order, unreadable
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.layout.records import CameraRecord, DepthRecord, FrameRecord, PointsRecord, ScanRecord
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source
from data_prep.storage.parsing import read_array
from data_prep.storage.reading import stays_inside

_SUFFIXES = (".npz", ".npy", ".ply", ".pcd", ".bin")


@register_source("layout")
class LayoutScan(IndexedScan[Path]):
    """A folder in our own layout, LiDAR with cameras or RGB-D.

    Points are in the axes that their files have; ``T_world_points`` is as stated, followed by the rotation that puts
    ``up`` along z. A frame without a points file gets them from its depth: the camera's axes, row by row, colored.

    Args:
        root: the folder.

    Raises:
        BadDatasetError: no scan.json, or one that cannot be.
    """

    source = "layout"

    def __init__(self, root: Path) -> None:
        root = Path(root)
        path = root / "scan.json"
        if not path.is_file():
            raise BadDatasetError(
                "is missing",
                source=path,
                fix="write it as docs/layout.md says; if clip2 convert was interrupted, run the same command again",
            )
        with shared_by_all_frames(path):
            self._scan = ScanRecord.load(path)
            self._cameras = {
                name: camera.camera(f"{path}: cameras.{name}") for name, camera in self._scan.cameras.items()
            }
        self._T_zup = T_zup_from(self._scan.up)
        ids = self._scan.frames
        if ids is None:
            ids = sorted((path.stem for path in (root / "frames").glob("*.json")), key=natural_order)
        super().__init__(root, {id: root / "frames" / f"{id}.json" for id in ids}, "frames/ID.json")

    def read(self, id: str, entry: Path) -> Frame:
        record = FrameRecord.load(entry)
        views = tuple(
            View(view.image, self._camera(view.camera, entry), read_image(self._inside(view.image, entry)))
            for view in record.views
        )
        T_world_points = self._T_zup @ record.pose(str(entry))
        depth = None if record.depth is None else self._depth(record.depth, entry)
        if record.points is None:
            assert depth is not None, "a record without points states depth"
            camera = views[0].camera
            if not np.allclose(camera.T_points_cam, np.eye(4)):
                raise BadFrameError(
                    "is not the identity, but the points are those of its depth, in its axes",
                    source=entry,
                    field="views.0.camera.T_points_cam",
                    fix="write the identity, and the camera's pose as T_world_points",
                )
            frame = Frame.from_depth(id, camera, views[0].image, depth, T_world_points, views[0].name)
            return Frame(
                id, frame.points, T_world_points, views, frame.colors, None, frame.depth, record.timestamp
            )
        cloud = self._cloud(record.points, entry)
        return Frame.build(
            id,
            cloud.points,
            colors=cloud.colors,
            intensity=cloud.intensity,
            views=views,
            depth=depth,
            T_world_points=T_world_points,
            timestamp=record.timestamp,
        )

    def view_names(self, id: str, entry: Path) -> list[str]:
        """Names of the frame's images; one whose JSON cannot be read has none."""
        record = _readable(entry)
        return [] if record is None else [view.image for view in record.views]

    def world(self, id: str, entry: Path) -> str | None:
        """What the frame says; if it says nothing, the folder, provided that the sensor was not always at one place."""
        record = _readable(entry)
        if record is None:
            return None
        return record.world or (self.root.name if self._travels else None)

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes of one frame in the axes of its points; None where it has no labels."""
        entry = self._entries[index]
        return FrameRecord.load(entry).labels(str(entry))

    @cached_property
    def _travels(self) -> bool:
        """Whether two frames have different places."""
        first: NDArray[np.float64] | None = None
        for entry in self._entries:
            try:
                place = FrameRecord.load(entry).pose(str(entry))[:3, 3]
            except InputError:  # reading the frame says what is wrong with it
                continue
            first = place if first is None else first
            if not np.allclose(place, first, atol=1e-6):
                return True
        return False

    def _camera(self, camera: str | CameraRecord, entry: Path) -> Camera:
        if isinstance(camera, CameraRecord):
            return camera.camera(str(entry))
        if camera not in self._cameras:
            raise BadFrameError(
                f"{camera!r} is not in scan.json",
                source=entry,
                field="views.camera",
                fix=f"use {', '.join(self._cameras) or 'a camera in the view itself'}",
            )
        return self._cameras[camera]

    def _depth(self, record: DepthRecord, entry: Path) -> NDArray[np.float32]:
        path = self._inside(record.file, entry)
        if record.units_per_meter is not None:
            return (read_depth(path) / np.float32(record.units_per_meter)).astype(np.float32)
        try:
            depth = read_array(path)
        except (OSError, ValueError, EOFError) as error:
            raise unreadable(path, "depth", error) from error
        if not isinstance(depth, np.ndarray) or depth.dtype != np.float32 or depth.ndim != 2:
            raise BadFrameError(
                "is not (H, W) float32", source=path, field="depth", fix="save float32 meters"
            )
        return depth

    def _cloud(self, points: str | PointsRecord, entry: Path) -> RawCloud:
        record = PointsRecord(file=points) if isinstance(points, str) else points
        path = self._inside(record.file, entry)
        if path.suffix not in _SUFFIXES:
            raise BadFrameError(
                f"ends in {path.suffix!r}", source=path, field="points", fix=f"use {', '.join(_SUFFIXES)}"
            )
        if path.suffix == ".bin" and record.columns is None:
            raise BadFrameError(
                "does not say how many values a point has", source=entry, field="points",
                fix=f'write {{"file": "{record.file}", "columns": 4}} with its number',
            )  # fmt: skip
        cloud = read_npz(path) if path.suffix == ".npz" else read_cloud(path, record.columns)
        if len(cloud.points) and np.nanmax(np.abs(cloud.points)) > FAR:
            raise BadFrameError(
                f"reaches {np.nanmax(np.abs(cloud.points)):.0f} m, where float32 is too coarse",
                source=path,
                field="points",
                fix="take an offset off the points and put it into T_world_points",
            )
        return cloud

    def _inside(self, name: str, entry: Path) -> Path:
        if not stays_inside(name):
            raise BadFrameError(
                f"{name!r} leaves the folder", source=entry, fix="write paths relative to it, with /"
            )
        return self.root / name


def _readable(entry: Path) -> FrameRecord | None:
    try:
        return FrameRecord.load(entry)
    except InputError:  # reading the frame says what is wrong with it
        return None
