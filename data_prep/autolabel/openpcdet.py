"""Custom datasets of OpenPCDet: points, labels and image sets.

https://github.com/open-mmlab/OpenPCDet/blob/master/docs/CUSTOM_DATASET_TUTORIAL.md: lines of ``x y z dx dy dz heading
class`` in the axes of the points, z-up, center in the middle of the box, heading counter-clockwise from x.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.autolabel.formats import FORMATS, LabelFormat, write_lines
from data_prep.autolabel.labels import LabeledFrame
from data_prep.geometry import rigid, rotation_between
from data_prep.geometry.transforms import invert, transform_points
from data_prep.scans import Scan
from data_prep.storage.parsing import array_bytes

_LEVEL = np.cos(np.deg2rad(20))  # a sensor tilted more than that is no LiDAR on wheels
_VALIDATION = 5  # one frame in this many, at the end


@FORMATS.register("openpcdet")
class OpenPcdetFormat(LabelFormat):
    """``points/ID.npy`` (x y z intensity), ``labels/ID.txt`` and ``ImageSets``. Any label is a class.

    Points stay in the LiDAR's axes. Those of a camera are turned until z is up, about the camera. Frames without labels
    are left out: ``CustomDataset`` cannot read an empty label file. Blanks in labels become ``_``, as the class is the
    last word of a line. The last fifth of the frames is the validation set.
    """

    name = "openpcdet"

    def write(self, folder: Path, scan: Scan, frames: Sequence[LabeledFrame]) -> None:
        """See :meth:`LabelFormat.write`."""
        (folder / "points").mkdir()
        labeled = [frame for frame in frames if frame.labels]
        for one in labeled:
            frame = scan[one.position]
            T = leveled(frame.T_world_points)
            intensity = np.zeros(len(frame.points)) if frame.intensity is None else frame.intensity
            points = transform_points(T, frame.points, np.float64)
            records = np.column_stack([points, intensity]).astype(np.float32)
            (folder / "points" / f"{one.id}.npy").write_bytes(array_bytes(records))
            rows = []
            for label in one.labels:
                box = label.box.transformed(T @ invert(frame.T_world_points))
                numbers = (*box.center, *box.size, box.yaw)
                name = "_".join(label.label.split())
                rows.append(f"{' '.join(f'{value:.4f}' for value in numbers)} {name}")
            write_lines(folder / "labels" / f"{one.id}.txt", rows)
        ids = [one.id for one in labeled]
        first = len(ids) - len(ids) // _VALIDATION if len(ids) >= _VALIDATION else max(1, len(ids) - 1)
        write_lines(folder / "ImageSets" / "train.txt", ids[:first])
        write_lines(folder / "ImageSets" / "val.txt", ids[first:] or ids)


def leveled(T_world_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) from a frame's points to z-up axes at the sensor: the identity if the points are z-up already."""
    up = T_world_points[2, :3]
    return np.eye(4) if up[2] > _LEVEL else rigid(rotation_between(up, [0, 0, 1]))
