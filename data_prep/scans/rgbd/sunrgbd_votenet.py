"""One frame of SUN RGB-D in VoteNet's layout: colored points in a leveled frame, calibration, boxes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, rigid, transform_points, validate_rigid
from data_prep.scans.formats.images import read_image, read_lines, read_matrix, require_centered, unreadable
from data_prep.scans.frame import Annotations3D, Frame
from data_prep.scans.rgbd.depth_frame import depth_frame

# What scipy raises for a file that is damaged, or of Matlab 7.3.
_MAT_ERRORS = (
    OSError, MatReadError, ValueError, TypeError, EOFError, IndexError, OverflowError, MemoryError,
    NotImplementedError, struct.error, zlib.error,
)  # fmt: skip
# Camera axes (x right, y down, z forward) to x right, y forward, z up.
CAMERA_TO_LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


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
        return depth_frame(id, camera, image, depth, T_world_cam, name)

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
            labels.append(fields[0].lower().replace("_", " "))
            rectangles.append([x0, y0, x0 + w2d, y0 + h2d])
        return Annotations3D(tuple(boxes), tuple(labels), np.array(rectangles, np.float32).reshape(-1, 4))

    def _calibration(self, width: int, height: int) -> tuple[Camera, NDArray[np.float64]]:
        """Line 1 Rtilt, line 2 K, both column by column; pixels count from 1 as in Matlab."""
        path = self.folder / "calib" / f"{self.stem}.txt"
        rows = read_matrix(path, (2, 9))
        tilt, K = (row.reshape(3, 3).T for row in rows)
        validate_rigid(rigid(tilt), source=str(path), field="Rtilt")
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
    try:
        points = loadmat(path, variable_names=["instance"])["instance"]
    except _MAT_ERRORS as error:
        raise unreadable(path, "instance", error) from error
    except KeyError as error:
        raise BadFrameError(
            "is missing", source=path, field="instance", fix="use VoteNet's own export"
        ) from error
    if points.ndim != 2 or points.shape[1] < 3 or len(points) == 0 or points.dtype.kind != "f":
        raise BadFrameError(
            f"has shape {points.shape}", source=path, field="instance", fix="give (N, 6) numbers"
        )
    return points
