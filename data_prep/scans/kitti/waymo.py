"""Waymo reader, for exports in KITTI's layout: five cameras, one merged sweep, the car's pose.

As MMDetection3D's ``create_data.py waymo`` writes it up to 1.1 (https://mmdetection3d.readthedocs.io, "Waymo
Dataset"), after caizhongang/waymo_kitti_converter::

    training/velodyne/0000000.bin  image_0/0000000.png … image_4/  calib/0000000.txt
             pose/0000000.txt  timestamp/0000000.txt  label_all/0000000.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, transform_points, validate_rigid
from data_prep.labels import normalize_label
from data_prep.scans.formats.images import read_image, require_centered
from data_prep.scans.formats.records import read_records, require_finite
from data_prep.scans.formats.text import read_lines, read_matrix
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.kitti.files import calibration_matrix, read_calibration
from data_prep.scans.kitti.scan import split_folder
from data_prep.scans.scan import IndexedScan, choose_names
from data_prep.scans.sources import register_source

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@register_source("waymo")
class WaymoKittiScan(IndexedScan[Path]):
    """Frames of Waymo in KITTI's layout.

    Points are in the car's axes (x forward, y left, z up), the origin on the ground at the middle of the rear axle.
    ``T_world_points`` is the file in ``pose``; an export without that folder has the car's axes for its world.
    Intensity, which Waymo leaves open-ended, becomes tanh(intensity), as detectors of this dataset use it. The
    exporter drops the lens distortion, and images keep it: towards the border, points are some pixels off.

    Args:
        root: the exported folder, or its ``training`` or ``testing`` folder itself.
        split: folder below ``root``; ``testing`` has no labels.
        cameras: numbers: 0 front, 1 front left, 2 front right, 3 side left, 4 side right; None = those whose
            folder is there.
        columns: float32 values per point: 6 = x y z intensity elongation time, what the exporter writes.

    Raises:
        InputError: fewer than four columns, or a camera that is none.
        BadDatasetError: no ``velodyne/*.bin`` there, or no folder for a chosen camera.
    """

    source = "waymo"

    def __init__(
        self, root: Path, split: str = "training", cameras: Sequence[int] | None = None, columns: int = 6
    ) -> None:
        root = Path(root)
        if columns < 4:
            raise InputError(f"is {columns}", field="columns", fix="give at least 4: x y z intensity")
        self._columns = columns
        self._folder = split_folder(root, split)
        present = [number for number in range(5) if (self._folder / f"image_{number}").is_dir()]
        self._cameras = choose_names(cameras, present, source=self._folder, field="cameras")
        sweeps = {
            path.stem: path
            for path in sorted((self._folder / "velodyne").glob("*.bin"))
            if path.stem.isdecimal()  # a copy or a "._0000000.bin" is no frame
        }
        super().__init__(root, sweeps, f"{split}/velodyne/*.bin")

    def read(self, id: str, entry: Path) -> Frame:
        records = read_records(entry, self._columns)
        require_finite(records[:, :3], entry)
        strength = records[:, 3]
        if (strength < 0).any():
            raise BadFrameError(
                f"holds negative intensities (down to {strength.min():.3g}) with {self._columns} values per point",
                source=entry,
                field="columns",
                fix="state what this exporter writes, columns=4 (clip2: --option columns=4)",
            )
        return Frame.build(
            id,
            records[:, :3],
            intensity=np.tanh(strength),
            views=self._views(id),
            T_world_points=self._pose(id),
            timestamp=self._timestamp(id),
        )

    def view_names(self, id: str, entry: Path) -> list[str]:
        return [self._image(id, number).relative_to(self.root).as_posix() for number in self._cameras]

    def world(self, id: str, entry: Path) -> str | None:
        """The segment: the exporter's numbers end in three digits for the frame."""
        return f"segment {id[:-3]}" if (self._folder / "pose").is_dir() else None

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes in the car's axes; None where the split has no labels.

        Attributes: ``camera``, the number of the one that sees the object (0 also where none does), and
        ``object_id``, the track's name, empty where the exporter was not asked to keep it.
        """
        folder = self._folder / "label_all"
        if not folder.is_dir():
            return None
        id = self._ids[index]
        path = folder / f"{id}.txt"
        rows = [line.split() for line in read_lines(path, "labels")]
        return _labels(rows, invert(self._calibration(id).T_cam_car(0)), path)

    def _views(self, id: str) -> tuple[View, ...]:
        if not self._cameras:
            return ()
        calibration = self._calibration(id)
        return tuple(self._view(self._image(id, number), number, calibration) for number in self._cameras)

    def _view(self, path: Path, number: int, calibration: _Calibration) -> View:
        image = read_image(path)
        height, width = image.shape[:2]
        K = calibration.K(number)
        # Waymo crops the side cameras' images at one end (1920x886 of 1920x1280).
        require_centered(K, width, height, path, down=0.5)
        camera = Camera(K, width, height, invert(calibration.T_cam_car(number)))
        return View(path.relative_to(self.root).as_posix(), camera, image)

    def _image(self, id: str, number: int) -> Path:
        folder = self._folder / f"image_{number}"
        candidates = [folder / f"{id}{suffix}" for suffix in _IMAGE_SUFFIXES]
        return next((path for path in candidates if path.exists()), candidates[0])

    def _calibration(self, id: str) -> _Calibration:
        return _Calibration(self._folder / "calib" / f"{id}.txt")

    def _pose(self, id: str) -> NDArray[np.float64]:
        if not (self._folder / "pose").is_dir():
            return np.eye(4)
        path = self._folder / "pose" / f"{id}.txt"
        return validate_rigid(read_matrix(path, (4, 4)), source=path, field="pose")

    def _timestamp(self, id: str) -> float | None:
        if not (self._folder / "timestamp").is_dir():
            return None
        path = self._folder / "timestamp" / f"{id}.txt"
        return float(read_matrix(path, (1, 1))[0, 0]) / 1e6  # microseconds


class _Calibration:
    """One calibration file: ``P0``…``P4`` and ``Tr_velo_to_cam_0``…``_4``."""

    def __init__(self, path: Path) -> None:
        self._path, self._rows = path, read_calibration(path)

    def K(self, number: int) -> NDArray[np.float64]:
        return calibration_matrix(self._path, self._rows, (f"P{number}",), (3, 4))[:, :3]

    def T_cam_car(self, number: int) -> NDArray[np.float64]:
        name = f"Tr_velo_to_cam_{number}"
        matrix = calibration_matrix(self._path, self._rows, (name,), (3, 4))
        return validate_rigid(matrix, source=self._path, field=name)


def _labels(rows: list[list[str]], T_car_cam: NDArray[np.float64], path: Path) -> Annotations3D:
    """Boxes from ``type trunc occ alpha x0 y0 x1 y1 h w l x y z ry [camera [object]]``.

    The exporter moves the middle of the bottom face into the front camera and turns the heading to
    ry = -heading - 90°, without tilting the box: undone here in the car's own axes.
    """
    boxes, labels, cameras, objects = [], [], [], []
    for row in rows:
        try:
            height, width, length, x, y, z, ry = map(float, row[8:15])
            camera = int(row[15]) if len(row) > 15 else 0
            bottom = transform_points(T_car_cam, np.array([[x, y, z]]))[0]
            boxes.append(
                OrientedBox.from_yaw(bottom + [0, 0, height / 2], [length, width, height], -ry - np.pi / 2)
            )
        except (ValueError, InputError) as error:
            raise InputError(
                f"{' '.join(row)!r} is not a label ({error})", source=path, fix="write the exporter's fields"
            ) from error
        labels.append(normalize_label(row[0]))
        cameras.append(camera)
        objects.append(row[16] if len(row) > 16 else "")
    attributes: dict[str, NDArray] = {
        "camera": np.array(cameras, np.int64),
        "object_id": np.array(objects, dtype=object),
    }
    return Annotations3D(tuple(boxes), tuple(labels), None, attributes)
