"""KITTI calibration and label files of the object and tracking benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, rigid, validate_rigid
from data_prep.geometry.camera import validate_intrinsics
from data_prep.labels import normalize_label
from data_prep.scans.formats.text import read_lines
from data_prep.scans.frame import Annotations3D

# Object and tracking name the same matrices differently.
_RECTIFICATION = ("R0_rect", "R_rect")
_VELODYNE_TO_CAMERA = ("Tr_velo_to_cam", "Tr_velo_cam")
# Rectified focal length (pixels) and image size of each recording day (S_rect_02 of the raw data's
# calib_cam_to_cam.txt): the calibration files of the object and tracking sets leave the size out.
_RECORDING_DAYS = {
    721.5377: (1242, 375),  # 2011_09_26
    707.0493: (1224, 370),  # 2011_09_28
    718.3351: (1238, 374),  # 2011_09_29
    707.0912: (1226, 370),  # 2011_09_30
    718.856: (1241, 376),  # 2011_10_03
}
# Box axes (length, width, height) in the rectified camera at ry = 0: length along x, width along z, height up = -y.
_BOX_TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


class Calibration:
    """One KITTI calibration file: pixel = P2 · R_rect · Tr · [x y z 1].

    Attributes:
        K: (3, 3) of the left color camera.
        T_rect_velo: (4, 4), velodyne to the rectified camera 0, the frame of the labels.
        T_cam_velo: (4, 4), velodyne to camera 2, which P2's fourth column places beside camera 0.

    Raises:
        InputError: the file is missing, or a key is missing, malformed, or not a rotation.
    """

    def __init__(self, path: Path) -> None:
        rows = read_calibration(path)
        P = calibration_matrix(path, rows, ("P2",), (3, 4))
        rectification = calibration_matrix(path, rows, _RECTIFICATION, (3, 3))
        to_camera = calibration_matrix(path, rows, _VELODYNE_TO_CAMERA, (3, 4))
        self.K = validate_intrinsics(P[:, :3], source=path, field="P2", fix="check the row order")
        name = _present(rows, _RECTIFICATION)
        rectify = validate_rigid(np.c_[rectification, np.zeros(3)], source=path, field=name)
        name = _present(rows, _VELODYNE_TO_CAMERA)
        self.T_rect_velo = rectify @ validate_rigid(to_camera, source=path, field=name)
        self.T_cam_velo = rigid(translation=np.linalg.solve(self.K, P[:, 3])) @ self.T_rect_velo

    def require_official_size(self, width: int, height: int, image: Path) -> None:
        """Refuse a resized or cropped image of KITTI's own camera; other cameras in this layout pass.

        Raises:
            BadFrameError: it names ``image``.
        """
        for focal, size in _RECORDING_DAYS.items():
            if abs(self.K[0, 0] - focal) < 0.001 and (
                abs(width / size[0] - 1) > 0.02 or abs(height / size[1] - 1) > 0.02
            ):
                raise BadFrameError(
                    f"is {width}x{height}, but the camera of its calibration took {size[0]}x{size[1]}",
                    source=image,
                    field="image size",
                    fix="use the official image, not a resized or cropped copy",
                )

    def camera(self, width: int, height: int) -> Camera:
        """The left color camera relative to velodyne points."""
        return Camera(self.K, width, height, invert(self.T_cam_velo))


def parse_labels(
    rows: Sequence[Sequence[str]], calibration: Calibration, path: Path, tracked: bool
) -> Annotations3D:
    """Label rows (``type trunc occ alpha x0 y0 x1 y1 h w l x y z ry``) as boxes in the velodyne frame.

    The labeled position is the center of the bottom face in the rectified camera; boxes get their geometric
    center. DontCare rows are left out.

    Args:
        rows: the fields of each line.
        calibration: of the frame.
        path: the label file, named in errors.
        tracked: rows start with ``frame track_id``; ``track_id`` becomes an attribute.

    Raises:
        InputError: a row of another length, or with a field that is not a number.
    """
    T_velo_rect = invert(calibration.T_rect_velo)
    lead = 2 if tracked else 0
    boxes, labels, numbers = [], [], []
    for row in rows:
        if len(row) - lead not in (15, 16):  # the sixteenth is a result file's score
            raise InputError(
                f"{' '.join(row)!r} has {len(row)} fields", source=path, fix="write the official label fields"
            )
        kind = row[lead]
        try:
            values = [float(value) for value in row[lead + 1 :]]
            track = int(row[1]) if tracked else -1
        except ValueError as error:
            raise InputError(f"{' '.join(row)!r} is not a label ({error})", source=path) from error
        if kind == "DontCare":
            continue
        height, width, length, x, y, z, ry = values[7:14]
        if not np.isfinite(values).all() or min(height, width, length) < 0:
            raise InputError(
                f"{' '.join(row)!r} is no box", source=path, fix="give finite numbers and full lengths"
            )
        c, s = np.cos(ry), np.sin(ry)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        box = OrientedBox(
            np.array([x, y - height / 2, z]), np.array([length, width, height]), turn @ _BOX_TO_CAMERA
        )
        boxes.append(box.transformed(T_velo_rect))
        labels.append(normalize_label(kind))
        numbers.append([*values[:2], *values[3:7], track])
    table = np.array(numbers, dtype=np.float64).reshape(len(boxes), 7)
    attributes: dict[str, NDArray] = {
        "truncated": table[:, 0].astype(np.float32),
        "occluded": table[:, 1].astype(np.int64),
    }
    if tracked:
        attributes["track_id"] = table[:, 6].astype(np.int64)
    return Annotations3D(tuple(boxes), tuple(labels), table[:, 2:6].astype(np.float32), attributes)


def _present(rows: dict[str, list[str]], names: tuple[str, ...]) -> str:
    return next((name for name in names if name in rows), names[0])


def read_calibration(path: Path) -> dict[str, list[str]]:
    """Values by key of a calibration file, with or without colons.

    Raises:
        InputError: the file is missing or not text.
    """
    return {key.rstrip(":"): values for key, *values in map(str.split, read_lines(path, "calibration"))}


def calibration_matrix(
    path: Path, rows: dict[str, list[str]], names: tuple[str, ...], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """The matrix under the first of ``names`` that is there.

    Raises:
        InputError: none is, or it is not so many finite numbers.
    """
    name = _present(rows, names)
    if name not in rows:
        raise InputError(
            "is missing", source=path, field=" / ".join(names), fix="use the dataset's own calibration file"
        )
    try:
        matrix = np.array(rows[name], dtype=np.float64).reshape(shape)
    except ValueError as error:
        raise InputError(
            f"is not {shape[0] * shape[1]} numbers", source=path, field=name, fix="copy the file again"
        ) from error
    if not np.isfinite(matrix).all():
        raise InputError(
            "holds values that are not finite", source=path, field=name, fix="copy the file again"
        )
    return matrix
