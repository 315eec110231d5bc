"""ONCE: a roof LiDAR and seven cameras per frame.

Official layout (https://once-for-auto-driving.github.io, once_devkit)::

    ImageSets/train.txt
    data/000076/000076.json  lidar_roof/1616343527200.bin  cam01/1616343527200.jpg  cam03/ cam05/ … cam09/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.errors import BadDatasetError, BadFrameError
from data_prep.geometry import Camera
from data_prep.scans.formats.images import (
    read_image,
    read_lines,
    read_records,
    require_centered,
    require_finite,
)
from data_prep.scans.formats.records import unit_intensity
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.once.sequence import OnceSequence
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source


@register_source("once")
class OnceScan(IndexedScan["tuple[OnceSequence, int]"]):
    """Frames of ONCE, sequence by sequence, in time order.

    Points are in the LiDAR's axes: **x left, y backward, z up** (the devkit's authors; the first paper and the web
    page said otherwise). ``T_world_points`` is the file's pose, its world z-up. Images are as the lens saw them:
    cameras carry the distortion k1 k2 p1 p2 k3 of the calibration instead of images being resampled.

    Args:
        root: the folder that holds ``data``, or ``data`` itself.
        split: name of a list in ``ImageSets``, like ``train`` or ``raw_small``; None = all sequences there.
        sequences: names like ``000076``; None = those of the split.
        cameras: names like ``cam01``; None = those of the calibration whose folder is there (they are downloaded
            one by one).
        poses: False = the world is each frame's own LiDAR. Some frames of ONCE have no pose; with True they are
            bad frames.

    Raises:
        BadDatasetError: no sequences, an unknown sequence, split or camera, or a sequence whose JSON is unusable.
    """

    source = "once"

    def __init__(
        self,
        root: Path,
        split: str | None = None,
        sequences: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        poses: bool = True,
    ) -> None:
        root = Path(root)
        folder = root / "data" if (root / "data").is_dir() else root
        present = sorted(
            path.parent.name for path in folder.glob("*/*.json") if path.stem == path.parent.name
        )
        if not present:
            raise BadDatasetError(
                "holds no sequence", source=root, fix="point at the folder that holds data/000076/000076.json"
            )
        sequences, cameras = ([names] if isinstance(names, str) else names for names in (sequences, cameras))
        listed = present if split is None else _image_set(root, split)
        wanted = listed if sequences is None else sequences
        if unknown := sorted(set(wanted) - set(present)):
            raise BadDatasetError(
                f"{unknown[0]!r} is not there",
                source=folder,
                field="sequences",
                fix=f"choose from {', '.join(present[:10])}{' …' if len(present) > 10 else ''}",
            )
        self._poses = poses
        entries = {}
        for name in wanted:
            sequence = OnceSequence(folder / name, cameras)
            entries.update({f"{name}_{id}": (sequence, row) for row, id in enumerate(sequence.frame_ids)})
        super().__init__(root, entries, "frames in data/SEQUENCE/SEQUENCE.json")

    def read(self, id: str, entry: tuple[OnceSequence, int]) -> Frame:
        sequence, row = entry
        stem = sequence.frame_ids[row]
        sweep = sequence.folder / "lidar_roof" / f"{stem}.bin"
        records = read_records(sweep, columns=4)
        require_finite(records[:, :3], sweep)
        views = []
        for name, calibration in sequence.cameras.items():
            path = sequence.folder / name / f"{stem}.jpg"
            image = read_image(path)
            height, width = image.shape[:2]
            require_centered(calibration.K, width, height, path)
            camera = Camera(calibration.K, width, height, calibration.T_velo_cam, calibration.distortion)
            views.append(View(path.relative_to(self.root).as_posix(), camera, image))
        return Frame.build(
            id,
            records[:, :3],
            intensity=unit_intensity(records[:, 3], sweep),
            views=tuple(views),
            T_world_points=self._pose(sequence, row),
            timestamp=int(stem) / 1000,
        )

    def view_names(self, id: str, entry: tuple[OnceSequence, int]) -> list[str]:
        sequence, row = entry
        return [
            (sequence.folder / name / f"{sequence.frame_ids[row]}.jpg").relative_to(self.root).as_posix()
            for name in sequence.cameras
        ]

    def world(self, id: str, entry: tuple[OnceSequence, int]) -> str | None:
        """The sequence, with poses."""
        return entry[0].folder.name if self._poses else None

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes in the LiDAR's axes; None for frames that nobody labeled.

        The labeled 2D boxes belong to images undistorted with another camera matrix and are left out.
        """
        sequence, row = self._entries[index]
        return sequence.annotations(row)

    def _pose(self, sequence: OnceSequence, row: int) -> np.ndarray:
        if not self._poses:
            return np.eye(4)
        if not sequence.has_pose(row):
            raise BadFrameError(
                "has no pose",
                source=sequence.path,
                field=f"frame {sequence.frame_ids[row]}: pose",
                fix="leave it out, or give up the world with poses=False (clip2: --option poses=false)",
            )
        return sequence.pose(row)


def _image_set(root: Path, split: str) -> list[str]:
    path = root / "ImageSets" / f"{split}.txt"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.txt"))
        raise BadDatasetError(
            "is missing", source=path, field="split", fix=f"use one of {', '.join(known) or 'none: no lists'}"
        )
    return [line.strip() for line in read_lines(path, "list of sequences")]
