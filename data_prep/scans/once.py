"""ONCE reader: a roof LiDAR and seven cameras per frame.

Official layout (https://once-for-auto-driving.github.io, once_devkit)::

    ImageSets/train.txt
    data/000076/000076.json  lidar_roof/1616343527200.bin  cam01/1616343527200.jpg  cam03/ cam05/ … cam09/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, Distortion, OrientedBox, validate_rigid
from data_prep.geometry.camera import validate_intrinsics
from data_prep.geometry.transforms import quaternion_pose
from data_prep.labels import normalize_label
from data_prep.scans.formats.images import read_image, require_centered
from data_prep.scans.formats.records import read_records, require_finite, unit_intensity
from data_prep.scans.formats.text import read_lines
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.scan import IndexedScan, choose_names
from data_prep.scans.sources import register_source
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text

_FIX = "use the JSON of the official download"


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
        cameras = [cameras] if isinstance(cameras, str) else cameras
        listed = present if split is None else _image_set(root, split)
        wanted = choose_names(
            listed if sequences is None else sequences, present, source=folder, field="sequences"
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


@dataclass(frozen=True)
class OnceCamera:
    """Calibration of one camera.

    Attributes:
        K: (3, 3).
        T_velo_cam: (4, 4), camera to LiDAR.
        distortion: of the images as they are stored.
    """

    K: NDArray[np.float64]
    T_velo_cam: NDArray[np.float64]
    distortion: Distortion


class OnceSequence:
    """One sequence: cameras, frames, poses and boxes from its JSON. Frame numbers and poses stay in memory; boxes are read again when they are asked for.

    Args:
        folder: ``data/000076``.
        cameras: names; None = those of the calibration whose folder is there.

    Attributes:
        folder, path: the folder and its JSON.
        frame_ids: milliseconds since 1970 as text, ascending.
        cameras: name → calibration.

    Raises:
        BadDatasetError: the JSON is missing, not what it should be, or names a frame twice; a camera is unknown.
    """

    def __init__(self, folder: Path, cameras: Sequence[str] | None) -> None:
        self.folder, self.path = folder, folder / f"{folder.name}.json"
        content = self._load()
        calibrations = _field(content, "calib", dict, self.path, "")
        choose_names(cameras, calibrations, source=self.path, field="calib")
        chosen = [name for name in calibrations if (folder / name).is_dir()] if cameras is None else cameras
        self.cameras = {name: self._calibration(name, calibrations[name]) for name in sorted(chosen)}
        frames = _field(content, "frames", list, self.path, "")
        ids = [str(_field(frame, "frame_id", (str, int), self.path, "frames")) for frame in frames]
        if bad := [id for id in ids if not id.isdecimal()]:
            raise BadDatasetError(f"{bad[0]!r} is no time", source=self.path, field="frame_id", fix=_FIX)
        if len(set(ids)) != len(ids):
            twice = next(id for id in ids if ids.count(id) > 1)
            raise BadDatasetError(f"{twice} comes twice", source=self.path, field="frame_id", fix=_FIX)
        order = sorted(range(len(ids)), key=lambda row: int(ids[row]))
        self.frame_ids = [ids[row] for row in order]
        self._order = order
        self._poses = np.zeros((len(ids), 7))
        for place, row in enumerate(order):
            pose = frames[row].get("pose") or [0.0] * 7
            try:
                self._poses[place] = pose
            except (TypeError, ValueError) as error:
                raise BadDatasetError(
                    "is not qx qy qz qw x y z", source=self.path, field=f"frame {ids[row]}: pose", fix=_FIX
                ) from error
        self._annotated: list[Any] | None = None

    def has_pose(self, row: int) -> bool:
        """Whether the file gives one; zeros stand for none."""
        return bool(self._poses[row, :4].any())

    def pose(self, row: int) -> NDArray[np.float64]:
        """(4, 4) T_world_velo.

        Raises:
            InputError: not a rotation.
        """
        x, y, z, w = self._poses[row, :4]
        field = f"frame {self.frame_ids[row]}: pose"
        return quaternion_pose([w, x, y, z], self._poses[row, 4:], source=self.path, field=field)

    def annotations(self, row: int) -> Annotations3D | None:
        """Boxes of one frame (center, length width height, counter-clockwise angle about z); None = not labeled.

        Raises:
            InputError: names and boxes that do not fit each other.
        """
        if self._annotated is None:
            frames = self._load()["frames"]
            self._annotated = [frames[place].get("annos") for place in self._order]
        labeled = self._annotated[row]
        if not isinstance(labeled, dict) or "names" not in labeled:
            return None
        where = f"frame {self.frame_ids[row]}: annos"
        names = _field(labeled, "names", list, self.path, where)
        try:
            table = np.array(_field(labeled, "boxes_3d", list, self.path, where), np.float64).reshape(-1, 7)
        except (TypeError, ValueError) as error:
            raise InputError(
                "is not (N, 7)", source=self.path, field=f"{where}.boxes_3d", fix=_FIX
            ) from error
        if len(table) != len(names):
            raise InputError(
                f"has {len(table)} boxes for {len(names)} names", source=self.path, field=where, fix=_FIX
            )
        try:
            boxes = tuple(OrientedBox.from_yaw(values[:3], values[3:6], values[6]) for values in table)
        except InputError as error:  # the box does not know its file
            raise InputError(
                error.problem, source=self.path, field=f"{where}.boxes_3d: {error.field}", fix=error.fix
            ) from error
        return Annotations3D(boxes, tuple(normalize_label(str(name)) for name in names))

    def _calibration(self, name: str, values: Any) -> OnceCamera:
        where = f"calib.{name}"
        K, T, bent = (
            _field(values, key, list, self.path, where)
            for key in ("cam_intrinsic", "cam_to_velo", "distortion")
        )
        with shared_by_all_frames(self.path, fix=_FIX):  # better to stop now than at every frame
            K = validate_intrinsics(K, source=self.path, field=f"{where}.cam_intrinsic")
            T = validate_rigid(T, source=self.path, field=f"{where}.cam_to_velo")
            try:
                coefficients = tuple(np.array(bent, np.float64).ravel().tolist())
            except (TypeError, ValueError) as error:
                raise InputError(f"is not numbers ({error})", field=f"{where}.distortion") from error
            return OnceCamera(K, T, Distortion("radtan", coefficients))

    def _load(self) -> Any:
        try:
            return parse_json(read_text(self.path))
        except (OSError, ValueError) as error:
            raise BadDatasetError(
                f"cannot be read ({type(error).__name__}: {error})", source=self.path, fix=_FIX
            ) from error


def _field(row: Any, name: str, kind: type | tuple[type, ...], path: Path, where: str) -> Any:
    found = row.get(name) if isinstance(row, dict) else None
    if not isinstance(found, kind):
        field = f"{where}.{name}" if where else name
        problem = "is missing" if found is None else "is of the wrong kind"
        raise BadDatasetError(problem, source=path, field=field, fix=_FIX)
    return found
