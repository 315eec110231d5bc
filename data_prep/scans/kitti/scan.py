"""KITTI readers: one velodyne sweep and the left color image per frame, single frames or sequences.

Official layout (http://www.cvlibs.net/datasets/kitti/eval_object.php)::

    training/velodyne/000000.bin  image_2/000000.png  calib/000000.txt  label_2/000000.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError, shared_by_all_frames
from data_prep.scans.formats.images import read_image, require_centered
from data_prep.scans.formats.records import read_records, require_finite
from data_prep.scans.formats.text import read_lines
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.kitti.files import Calibration, parse_labels
from data_prep.scans.scan import IndexedScan, choose_names
from data_prep.scans.sources import register_source

_DIGITS = 9  # of a frame's number, at most: Python reads no integer of thousands of digits


@register_source("kitti")
class KittiScan(IndexedScan[Path]):
    """KITTI object frames.

    Points are in the velodyne's axes (x forward, y left, z up), the origin at the sensor, about 1.73 m above
    the road. The object set has no ego pose, so the world is that same z-up frame: ``T_world_points`` is the
    identity and the sensor's height is not added.

    Args:
        root: the dataset folder, or its ``training`` or ``testing`` folder itself.
        split: folder below ``root``; ``testing`` has no labels.

    Raises:
        BadDatasetError: no ``velodyne/*.bin`` there.
    """

    source = "kitti"

    def __init__(self, root: Path, split: str = "training") -> None:
        root = Path(root)
        self._folder = split_folder(root, split)
        sweeps = {path.stem: path for path in _visible(self._folder / "velodyne")}
        super().__init__(root, sweeps, f"{split}/velodyne/*.bin")

    def read(self, id: str, entry: Path) -> Frame:
        return kitti_frame(id, entry, self._calibration(id), self._image(id), self.root)

    def image_name(self, id: str, entry: Path) -> str:
        return self._image(id).relative_to(self.root).as_posix()

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes of one frame in the velodyne's axes; None where the split has no labels."""
        if not (self._folder / "label_2").is_dir():
            return None
        id = self._ids[index]
        path = self._folder / "label_2" / f"{id}.txt"
        rows = [line.split() for line in read_lines(path, "labels")]
        return parse_labels(rows, self._calibration(id), path, tracked=False)

    def T_label_points(self, index: int) -> NDArray[np.float64]:
        """(4, 4) from the velodyne to the rectified camera 0."""
        return self._calibration(self._ids[index]).T_rect_velo

    def _image(self, id: str) -> Path:
        return self._folder / "image_2" / f"{id}.png"

    def _calibration(self, id: str) -> Calibration:
        return Calibration(self._folder / "calib" / f"{id}.txt")


def kitti_frame(
    id: str, sweep: Path, calibration: Calibration, image: Path, root: Path, timestamp: float | None = None
) -> Frame:
    """One sweep (N, 4) x y z intensity with the left color image, whose view is named relative to ``root``."""
    records = read_records(sweep, columns=4)
    require_finite(records[:, :3], sweep)
    pixels = read_image(image)
    height, width = pixels.shape[:2]
    require_centered(calibration.K, width, height, image)
    calibration.require_official_size(width, height, image)
    camera = calibration.camera(width=width, height=height)
    view = View(image.relative_to(root).as_posix(), camera, pixels)
    return Frame.build(id, records[:, :3], intensity=records[:, 3], views=(view,), timestamp=timestamp)


def _visible(velodyne: Path) -> list[Path]:
    return [path for path in sorted(velodyne.glob("*.bin")) if not path.name.startswith(".")]


def split_folder(root: Path, split: str) -> Path:
    """``root/split``, or ``root`` where that is the split folder itself.

    Raises:
        BadDatasetError: neither holds ``velodyne/``.
    """
    for folder in (root / split, root):
        if (folder / "velodyne").is_dir():
            return folder
    raise BadDatasetError(
        "holds no velodyne folder",
        source=root,
        field=f"{split}/velodyne",
        fix=f"point at the folder that holds {split}/velodyne",
    )


@register_source("kitti-tracking")
class KittiTrackingScan(IndexedScan[Path]):
    """KITTI tracking frames, all sequences one after another; frames are the sweeps found.

    Points are in the velodyne's axes (x forward, y left, z up). Ego poses (OXTS) are not read:
    ``T_world_points`` is the identity for every frame, so the world moves with the car. Sweeps and images are
    taken at 10 Hz; ``timestamp`` is the frame number over ten, counted within the sequence.

    Args:
        root: the dataset folder, or its ``training`` or ``testing`` folder itself.
        split: folder below ``root``; ``testing`` has no labels.
        sequences: names like ``0001``; None = all.

    Raises:
        BadDatasetError: no sweeps, an unknown sequence, or a sequence whose calibration is unusable.
    """

    source = "kitti-tracking"

    def __init__(self, root: Path, split: str = "training", sequences: Sequence[str] | None = None) -> None:
        root = Path(root)
        self._folder = split_folder(root, split)
        present = sorted(path.name for path in (self._folder / "velodyne").iterdir() if path.is_dir())
        velodyne = self._folder / "velodyne"
        wanted = choose_names(sequences, present, source=velodyne, field="sequences")
        sweeps = {
            f"{sequence}_{path.stem}": path
            for sequence in wanted
            for path in sorted((velodyne / sequence).glob("*.bin"))
            if path.stem.isdecimal()  # a copy or a "._000000.bin" is no frame of the sequence
        }
        super().__init__(root, sweeps, f"{split}/velodyne/SEQUENCE/*.bin")
        self._calibrations = {name: self._calibration(name) for name in wanted}
        self._label_rows: dict[Path, dict[int, list[list[str]]]] = {}

    def read(self, id: str, entry: Path) -> Frame:
        calibration = self._calibrations[entry.parent.name]
        return kitti_frame(id, entry, calibration, self._image(entry), self.root, int(entry.stem) / 10)

    def image_name(self, id: str, entry: Path) -> str:
        return self._image(entry).relative_to(self.root).as_posix()

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes of one frame with ``track_id``; None where the split has no labels."""
        if not (self._folder / "label_02").is_dir():
            return None
        sweep = self._entries[index]
        path = self._folder / "label_02" / f"{sweep.parent.name}.txt"
        if path not in self._label_rows:
            self._label_rows[path] = self._read_label_rows(path)
        rows = self._label_rows[path].get(int(sweep.stem), [])
        return parse_labels(rows, self._calibrations[sweep.parent.name], path, tracked=True)

    def T_label_points(self, index: int) -> NDArray[np.float64]:
        """(4, 4) from the velodyne to the rectified camera 0."""
        return self._calibrations[self._entries[index].parent.name].T_rect_velo

    def _image(self, sweep: Path) -> Path:
        return self._folder / "image_02" / sweep.parent.name / f"{sweep.stem}.png"

    def _calibration(self, sequence: str) -> Calibration:
        with shared_by_all_frames():  # of a sequence: better to stop now than at every frame
            return Calibration(self._folder / "calib" / f"{sequence}.txt")

    @staticmethod
    def _read_label_rows(path: Path) -> dict[int, list[list[str]]]:
        """Rows of one sequence by frame number."""
        rows: dict[int, list[list[str]]] = {}
        for number, line in enumerate(read_lines(path, "labels"), start=1):
            fields = line.split()
            if not fields[0].isdecimal() or len(fields[0]) > _DIGITS or len(fields) < 17:
                raise InputError(
                    f"{line.strip()!r} is not a label",
                    source=path,
                    field=f"line {number}",
                    fix="write frame, track id, then the official label fields",
                )
            rows.setdefault(int(fields[0]), []).append(fields)
        return rows
