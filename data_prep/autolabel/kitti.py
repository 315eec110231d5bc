"""KITTI labels: ``label_2`` per frame, ``label_02`` per sequence, calibration where the scan has none of KITTI's.

Fields of a line (object development kit, https://www.cvlibs.net/datasets/kitti/eval_object.php): type, truncated,
occluded, alpha, 2D box, height width length, x y z of the middle of the bottom face in the camera, rotation about the
camera's y axis, score. The tracking benchmark has frame and track number before them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.autolabel.formats import FORMATS, LabelFormat, write_lines
from data_prep.autolabel.labels import ImageDetection, Label3D, LabeledFrame, truncation
from data_prep.autolabel.sequences import sequence_places
from data_prep.geometry import Camera, invert
from data_prep.scans import Scan

_OCCLUDED = (0.1, 0.5)  # shares from which an object counts as partly and as largely occluded


@FORMATS.register("kitti")
class KittiFormat(LabelFormat):
    """KITTI object labels, and tracking labels where objects are followed.

    KITTI has one camera: objects are written that the first image of a frame shows. Labels of a KITTI scan are in the
    camera of its own calibration. Other scans get ``calib/ID.txt`` with their first camera.
    """

    name = "kitti"
    classes: ClassVar = {
        "car": "Car",
        "van": "Van",
        "truck": "Truck",
        "pedestrian": "Pedestrian",
        "person": "Pedestrian",
        "person sitting": "Person_sitting",
        "cyclist": "Cyclist",
        "rider": "Cyclist",
        "tram": "Tram",
        "train": "Tram",
        "misc": "Misc",
    }

    def write(self, folder: Path, scan: Scan, frames: Sequence[LabeledFrame]) -> None:
        """See :meth:`LabelFormat.write`."""
        tracked: dict[str, list[str]] = defaultdict(list)
        places = sequence_places(scan, [frame.position for frame in frames])
        follows = any(label.track is not None for frame in frames for label in frame.labels)
        for frame in frames:
            T_label_points = scan.T_label_points(frame.position)
            if T_label_points is None:
                camera = scan[frame.position].views[0].camera
                T_label_points = camera.T_cam_points
                write_lines(folder / "calib" / f"{frame.id}.txt", _calibration(camera))
            rows = []
            sequence, number = places[frame.id]
            tracked[sequence] += []
            for label in frame.labels:
                seen = label.seen_in(0)
                if seen is None or frame.T_world_points is None:
                    continue
                row = self._row(label, seen, frame, T_label_points @ invert(frame.T_world_points))
                rows.append(row)
                if label.track is not None:
                    tracked[sequence].append(f"{number} {label.track} {row}")
            write_lines(folder / "label_2" / f"{frame.id}.txt", rows)
        if follows:
            for sequence, lines in tracked.items():
                write_lines(folder / "label_02" / f"{sequence}.txt", lines)
            named = [f"{sequence} {number:06d} {id}" for id, (sequence, number) in places.items()]
            if any(id != f"{sequence}_{number:06d}" for id, (sequence, number) in places.items()):
                write_lines(folder / "label_02_frames.txt", named)

    def _row(self, label: Label3D, seen: ImageDetection, frame: LabeledFrame, T_label_world: NDArray) -> str:
        assert frame.T_world_points is not None
        box = label.box.transformed(T_label_world)
        length, width, height = box.size
        x, y, z = box.center + [0, height / 2, 0]
        forward = box.rotation[:, 0]
        turn = np.arctan2(-forward[2], forward[0])
        alpha = (turn - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi
        cut = truncation(label.box.transformed(invert(frame.T_world_points)), frame.cameras[0])
        hidden = int(np.searchsorted(_OCCLUDED, np.nan_to_num(seen.occluded), side="right"))
        numbers = (*seen.box, height, width, length, x, y, z, turn, label.score)
        fields = " ".join(f"{value:.4f}" for value in numbers)
        return f"{self.class_of(label.label)} {cut:.2f} {hidden} {alpha:.4f} {fields}"


def _calibration(camera: Camera) -> list[str]:
    """Lines of a calibration file whose camera is this one."""
    P = np.column_stack([camera.K, np.zeros(3)])
    matrices = {f"P{number}": P for number in range(4)}
    matrices["R0_rect"] = np.eye(3)
    matrices["Tr_velo_to_cam"] = camera.T_cam_points[:3]
    matrices["Tr_imu_to_velo"] = np.eye(4)[:3]
    return [
        f"{name}: {' '.join(f'{value:.9e}' for value in matrix.ravel())}" for name, matrix in matrices.items()
    ]
