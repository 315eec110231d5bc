"""SUN RGB-D reader: single RGB-D images in the official folders or in VoteNet's layout.

Official (https://rgbd.cs.princeton.edu/), one folder per frame at any depth below ``SUNRGBD/``::

    image/*.jpg  depth/*.png  depth_bfx/*.png  intrinsics.txt  extrinsics/*.txt

VoteNet (https://github.com/facebookresearch/votenet/tree/main/sunrgbd)::

    sunrgbd_trainval/image/000001.jpg  calib/000001.txt  depth/000001.mat  label/000001.txt
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, rigid, transform_points, validate_rigid
from data_prep.labels import normalize_label
from data_prep.scans.formats.images import read_depth, read_image, require_centered, require_size
from data_prep.scans.formats.mat import read_mat_array
from data_prep.scans.formats.text import read_lines, read_matrix
from data_prep.scans.frame import Annotations3D, Frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

DEPTH_FOLDERS = ("depth", "depth_bfx")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Camera axes (x right, y down, z forward) to x right, y forward, z up.
CAMERA_TO_LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@register_source("sunrgbd")
class SunRgbdScan(IndexedScan["Path | VotenetFrame"]):
    """SUN RGB-D frames of both layouts, official ones first.

    Points are the unprojected depth in camera axes (x right, y down, z forward), row by row, colored by their
    pixel. ``T_world_points`` levels the floor by the dataset's own tilt: x right, y forward, z up, the origin at
    the camera. Frames share no world.

    VoteNet's point files hold the unprojected (hole-filled) depth; they are put back on their pixels, so both
    layouts give the same kind of frame, and a calibration that does not belong to its points is noticed.

    Args:
        root: a folder that holds ``SUNRGBD/``, ``sunrgbd_trainval/`` or both, or one of them itself.
        depth: ``depth`` as measured or ``depth_bfx`` with holes filled; official layout only.

    Raises:
        InputError: another ``depth``.
        BadDatasetError: no frames.
    """

    source = "sunrgbd"

    def __init__(self, root: Path, depth: Literal["depth", "depth_bfx"] = "depth") -> None:
        root = Path(root)
        if depth not in DEPTH_FOLDERS:
            raise InputError(f"is {depth!r}", field="depth", fix=f"use {' or '.join(DEPTH_FOLDERS)}")
        self._depth = depth
        entries: dict[str, Path | VotenetFrame] = {
            "__".join(path.relative_to(root).parts) or path.name: path for path in _frame_folders(root)
        }
        entries.update(find_votenet_frames(root))
        super().__init__(root, entries, "SUNRGBD/ or sunrgbd_trainval/")

    def read(self, id: str, entry: Path | VotenetFrame) -> Frame:
        name = self.image_name(id, entry)
        if isinstance(entry, VotenetFrame):
            return entry.read(id, name)
        raw = read_depth(_only_image(entry / self._depth))
        # The official decoding: the three lowest bits were rotated to the top (read3dPoints.m of the toolbox).
        depth = ((raw >> 3) | (raw << 13)).astype(np.float32) / np.float32(1000)
        image = read_image(_only_image(entry / "image"))
        require_size(depth, image.shape[1::-1], "the image", entry / self._depth)
        K = read_matrix(entry / "intrinsics.txt", (3, 3))
        require_centered(K, image.shape[1], image.shape[0], self.root / name)
        camera = Camera(K, width=image.shape[1], height=image.shape[0])
        return Frame.from_depth(id, camera, image, depth, _leveling(entry / "extrinsics"), name)

    def image_name(self, id: str, entry: Path | VotenetFrame) -> str:
        if isinstance(entry, VotenetFrame):
            return entry.image.relative_to(self.root).as_posix()
        # Reading this frame reports a damaged folder; here the names of the other frames are still wanted.
        image = next(iter(_images(entry / "image")), entry / "image")
        return image.relative_to(self.root).as_posix()

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes in camera axes; None for official folders, whose labels are Matlab files."""
        entry = self._entries[index]
        return entry.annotations() if isinstance(entry, VotenetFrame) else None


def _frame_folders(folder: Path) -> Iterator[Path]:
    """Folders with ``intrinsics.txt`` and ``image/``, sorted; nothing inside them is listed (10,335 in all)."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise BadDatasetError(
            f"cannot be listed ({error})", source=folder, fix="point at a folder"
        ) from error
    names = {entry.name for entry in entries}
    if {"intrinsics.txt", "image"} <= names:
        yield folder
    elif not {"calib", "image"} <= names:  # not the VoteNet folder: tens of thousands of files, no frames
        for entry in entries:
            if entry.is_dir():
                yield from _frame_folders(Path(entry.path))


def _images(folder: Path) -> list[Path]:
    """Images, without what file managers leave behind (``Thumbs.db``, ``._0001.jpg``)."""
    return sorted(
        path
        for path in folder.glob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def _only_image(folder: Path) -> Path:
    images = _images(folder)
    if len(images) != 1:
        raise BadFrameError(f"holds {len(images)} images", source=folder, fix="keep the one official file")
    return images[0]


def _leveling(folder: Path) -> NDArray[np.float64]:
    """T_world_cam from the tilt file; names are dates, and the newest corrects the older ones."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise BadFrameError("holds no tilt", source=folder, field="extrinsics", fix="complete the dataset")
    tilt = validate_rigid(read_matrix(files[-1], (3, 4)), source=files[-1], field="extrinsics")
    return rigid(tilt[:3, :3] @ CAMERA_TO_LEVEL)


@dataclass(frozen=True)
class VotenetFrame:
    """Where the files of frame ``stem`` are.

    Attributes:
        folder: holds ``image``, ``calib``, ``depth``, ``label``.
        stem: for example ``000001``.
    """

    folder: Path
    stem: str

    @property
    def image(self) -> Path:
        return self.folder / "image" / f"{self.stem}.jpg"

    def read(self, id: str, name: str) -> Frame:
        """The frame, its points put back on the pixels they were measured at."""
        image = read_image(self.image)
        camera, T_world_cam = self._calibration(width=image.shape[1], height=image.shape[0])
        require_centered(camera.K, camera.width, camera.height, self.image)
        path = self.folder / "depth" / f"{self.stem}.mat"
        points = transform_points(invert(T_world_cam), _read_points(path)[:, :3].astype(np.float64))
        uv, z = camera.project(points)
        pixels = np.rint(uv)
        off = np.abs(uv - pixels).max()  # NaN behind the camera
        if not off < 0.1 or not camera.in_image(pixels).all():
            raise BadFrameError(
                f"does not put the points on pixels of the image (up to {off:.2f} px off, or outside)",
                source=self.folder / "calib" / f"{self.stem}.txt",
                field="Rtilt, K",
                fix="use the calibration that belongs to this depth file",
            )
        depth = np.zeros((camera.height, camera.width), np.float32)
        depth[pixels[:, 1].astype(np.int64), pixels[:, 0].astype(np.int64)] = z
        return Frame.from_depth(id, camera, image, depth, T_world_cam, name)

    def annotations(self) -> Annotations3D | None:
        """Boxes in camera axes; the file gives half sizes and the direction of the length axis."""
        path = self.folder / "label" / f"{self.stem}.txt"
        if not path.exists():
            return None
        _, T_world_cam = self._calibration(width=1, height=1)
        T_cam_world = invert(T_world_cam)
        boxes, labels, rectangles = [], [], []
        for number, line in enumerate(read_lines(path, "labels"), start=1):
            fields = line.split()
            try:
                x0, y0, w2d, h2d, *center, half_w, half_l, half_h, ox, oy = map(float, fields[1:])
                if len(center) != 3:
                    raise ValueError(f"{len(fields)} fields")
            except ValueError as error:
                raise InputError(
                    f"is not a label ({error})",
                    source=path,
                    field=f"line {number}",
                    fix="write VoteNet's 13 fields",
                ) from error
            size = 2 * np.array([half_l, half_w, half_h])
            boxes.append(OrientedBox.from_yaw(center, size, np.arctan2(oy, ox)).transformed(T_cam_world))
            labels.append(normalize_label(fields[0]))
            rectangles.append([x0, y0, x0 + w2d, y0 + h2d])
        return Annotations3D(tuple(boxes), tuple(labels), np.array(rectangles, np.float32).reshape(-1, 4))

    def _calibration(self, width: int, height: int) -> tuple[Camera, NDArray[np.float64]]:
        """Line 1 Rtilt, line 2 K, both column by column; pixels count from 1 as in Matlab."""
        path = self.folder / "calib" / f"{self.stem}.txt"
        rows = read_matrix(path, (2, 9))
        tilt, K = (row.reshape(3, 3).T for row in rows)
        validate_rigid(rigid(tilt), source=path, field="Rtilt")
        K = K - np.array([[0, 0, 1.0], [0, 0, 1.0], [0, 0, 0]])
        return Camera(K, width, height), rigid(tilt @ CAMERA_TO_LEVEL)


def find_votenet_frames(root: Path) -> dict[str, VotenetFrame]:
    """Frames by id below ``root/sunrgbd_trainval`` or ``root``; empty where there are none."""
    for folder in (root / "sunrgbd_trainval", root):
        if (folder / "calib").is_dir() and (folder / "depth").is_dir():
            stems = sorted(path.stem for path in (folder / "depth").glob("*.mat"))
            return {f"{folder.name}__{stem}": VotenetFrame(folder, stem) for stem in stems}
    return {}


def _read_points(path: Path) -> NDArray:
    """(N, 6) x y z r g b of the key ``instance``."""
    points = read_mat_array(path, "instance")
    if points.ndim != 2 or points.shape[1] < 3 or len(points) == 0 or points.dtype.kind != "f":
        raise BadFrameError(
            f"has shape {points.shape}", source=path, field="instance", fix="give (N, 6) numbers"
        )
    return points
