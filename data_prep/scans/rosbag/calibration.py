"""calibration.yaml: what a bag does not say about its cameras, or says wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_prep.errors import BadDatasetError
from data_prep.geometry import Distortion, validate_rigid
from data_prep.scans.rgbd.statement import LensStatement
from data_prep.scans.rosbag.camera_info import Lens

EXAMPLE = (
    "{cameras: {/cam0/image_raw: {K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], T_points_cam: [[...], ...]}}}"
)


class CameraStatement(BaseModel):
    """One camera. What is not stated comes from the bag: K and the lens from CameraInfo, the place from tf.

    Attributes:
        K: 3x3 intrinsics, pixels; with it, CameraInfo is not used.
        distortion: lens of the images as recorded; only with K.
        T_points_cam: 4x4, takes camera coordinates (x right, y down, z forward) to those of the points, meters.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    K: list[list[float]] | None = None
    distortion: LensStatement | None = None
    T_points_cam: list[list[float]] | None = None

    def lens(self) -> Lens | None:
        """Intrinsics, or None where they are not stated; of whatever size the images have."""
        if self.K is None:
            return None
        given = self.distortion
        lens = Distortion(given.model, tuple(given.coefficients)) if given else Distortion()
        return Lens(np.array(self.K, dtype=np.float64), 0, 0, lens)


class Calibration(BaseModel):
    """The file: image topic → camera."""

    model_config = ConfigDict(extra="forbid")
    cameras: dict[str, CameraStatement] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read and check the file.

        Raises:
            BadDatasetError: missing, not YAML, an unknown key, or numbers that are no camera.
        """
        try:
            stated: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise BadDatasetError(f"cannot be read ({error})", source=path, fix=f"write {EXAMPLE}") from error
        try:
            calibration = cls.model_validate(stated)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadDatasetError(
                first["msg"], source=path, field=".".join(map(str, first["loc"])), fix=f"write {EXAMPLE}"
            ) from error
        for topic, camera in calibration.cameras.items():
            field = f"cameras.{topic}"
            if camera.K is not None and (
                np.shape(camera.K) != (3, 3) or camera.K[0][0] <= 0 or camera.K[1][1] <= 0
            ):
                raise BadDatasetError("is not 3x3", source=path, field=f"{field}.K", fix=f"write {EXAMPLE}")
            if camera.K is None and camera.distortion is not None:
                raise BadDatasetError(
                    "is stated without K", source=path, field=f"{field}.distortion", fix="state K beside it"
                )
            if camera.T_points_cam is not None:
                validate_rigid(camera.T_points_cam, source=str(path), field=f"{field}.T_points_cam")
        return calibration

    def lens(self, topic: str) -> Lens | None:
        """Stated intrinsics of an image topic."""
        return self.cameras[topic].lens() if topic in self.cameras else None

    def T_points_cam(self, topic: str) -> NDArray[np.float64] | None:
        """(4, 4) stated place of a camera."""
        stated = self.cameras[topic].T_points_cam if topic in self.cameras else None
        return None if stated is None else np.array(stated, dtype=np.float64)
