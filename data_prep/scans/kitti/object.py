"""KITTI object detection: one velodyne sweep and the left color image per frame.

Official layout (http://www.cvlibs.net/datasets/kitti/eval_object.php)::

    training/velodyne/000000.bin  image_2/000000.png  calib/000000.txt  label_2/000000.txt
"""

from __future__ import annotations

from pathlib import Path

from data_prep.errors import BadDatasetError
from data_prep.scans.formats.images import (
    read_image,
    read_lines,
    read_records,
    require_centered,
    require_finite,
)
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.kitti.files import Calibration, parse_labels
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source


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

    def _image(self, id: str) -> Path:
        return self._folder / "image_2" / f"{id}.png"

    def _calibration(self, id: str) -> Calibration:
        return Calibration(self._folder / "calib" / f"{id}.txt")


def kitti_frame(
    id: str,
    sweep: Path,
    calibration: Calibration,
    image: Path,
    root: Path,
    timestamp: float | None = None,
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
