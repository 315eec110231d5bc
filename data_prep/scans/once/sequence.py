"""One sequence of ONCE: what its JSON says about cameras, frames, poses and boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import Distortion, OrientedBox, validate_rigid
from data_prep.scans.frame import Annotations3D
from data_prep.scans.rgbd.quaternion_pose import quaternion_pose

_FIX = "use the JSON of the official download"


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
    """One sequence. Frame numbers and poses stay in memory; boxes are read again when they are asked for.

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
        for name in cameras or ():
            if name not in calibrations:
                raise BadDatasetError(
                    f"holds no {name}", source=self.path, field="calib", fix=f"use {', '.join(calibrations)}"
                )
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
        return Annotations3D(boxes, tuple(str(name).lower().replace("_", " ") for name in names))

    def _calibration(self, name: str, values: Any) -> OnceCamera:
        where = f"calib.{name}"
        try:
            K = np.array(_field(values, "cam_intrinsic", list, self.path, where), np.float64)
            T = validate_rigid(
                _field(values, "cam_to_velo", list, self.path, where),
                source=str(self.path),
                field=f"{where}.cam_to_velo",
            )
            bent = np.array(_field(values, "distortion", list, self.path, where), np.float64).ravel()
            distortion = Distortion("radtan", tuple(bent.tolist()))
        except InputError as error:  # shared by the whole sequence: better to stop now than at every frame
            raise BadDatasetError(
                error.problem,
                source=self.path,
                field=error.field if str(error.field).startswith("calib") else f"{where}.{error.field}",
                fix=error.fix,
            ) from error
        except (TypeError, ValueError) as error:
            raise BadDatasetError(
                f"is not numbers ({error})", source=self.path, field=where, fix=_FIX
            ) from error
        if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
            raise BadDatasetError(
                "is not a 3x3 matrix with positive focal lengths",
                source=self.path,
                field=f"{where}.cam_intrinsic",
                fix=_FIX,
            )
        return OnceCamera(K, T, distortion)

    def _load(self) -> Any:
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
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
