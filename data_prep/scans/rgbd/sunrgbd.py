"""SUN RGB-D: single RGB-D images in the official folders, and in the layout that VoteNet made of them.

Official (https://rgbd.cs.princeton.edu/), one folder per frame at any depth below ``SUNRGBD/``::

    image/*.jpg  depth/*.png  depth_bfx/*.png  intrinsics.txt  extrinsics/*.txt

VoteNet (https://github.com/facebookresearch/votenet/tree/main/sunrgbd)::

    sunrgbd_trainval/image/000001.jpg  calib/000001.txt  depth/000001.mat  label/000001.txt
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, rigid, validate_rigid
from data_prep.scans.formats.images import read_depth, read_image, read_matrix, require_centered
from data_prep.scans.frame import Annotations3D, Frame
from data_prep.scans.rgbd.depth_frame import depth_frame
from data_prep.scans.rgbd.sunrgbd_votenet import CAMERA_TO_LEVEL, VotenetFrame, find_votenet_frames
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

DEPTH_FOLDERS = ("depth", "depth_bfx")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@register_source("sunrgbd")
class SunRgbdScan(IndexedScan["Path | VotenetFrame"]):
    """SUN RGB-D frames of both layouts, official ones first.

    Points are the unprojected depth in camera axes (x right, y down, z forward), row by row, colored by their
    pixel. ``T_world_points`` levels the floor by the dataset's own tilt: x right, y forward, z up, the origin at
    the camera. There is no motion between frames: each has a world of its own.

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
        if depth.shape != image.shape[:2]:
            raise BadFrameError(
                f"is {depth.shape[1]}x{depth.shape[0]}, the image {image.shape[1]}x{image.shape[0]}",
                source=entry / self._depth,
                field="image size",
                fix="use the official image and depth, not resized copies",
            )
        K = read_matrix(entry / "intrinsics.txt", (3, 3))
        require_centered(K, image.shape[1], image.shape[0], self.root / name)
        camera = Camera(K, width=image.shape[1], height=image.shape[0])
        return depth_frame(id, camera, image, depth, _leveling(entry / "extrinsics"), name)

    def image_name(self, id: str, entry: Path | VotenetFrame) -> str:
        if isinstance(entry, VotenetFrame):
            return entry.image.relative_to(self.root).as_posix()
        # What is wrong with the folder is said when this frame is read; the names of all others are still wanted.
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
    tilt = validate_rigid(read_matrix(files[-1], (3, 4)), source=str(files[-1]), field="extrinsics")
    return rigid(tilt[:3, :3] @ CAMERA_TO_LEVEL)
