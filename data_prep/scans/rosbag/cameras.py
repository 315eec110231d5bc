"""Cameras of a bag: intrinsics from sensor_msgs/CameraInfo or from calibration.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from data_prep.config import TypedConfig, parse_config, read_yaml
from data_prep.errors import InputError, shared_by_all_frames
from data_prep.geometry import Distortion, validate_rigid
from data_prep.geometry.camera import validate_intrinsics
from data_prep.scans.rgbd.posed import LensStatement

_FIX = "calibrate the camera, or state calibration=FILE"
_FEWEST = {"plumb_bob": 4, "rational_polynomial": 8, "equidistant": 4, "fisheye": 4}
_EXAMPLE = (
    "{cameras: {/cam0/image_raw: {K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], T_points_cam: [[...], ...]}}}"
)
_Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Lens:
    """Intrinsics of the images of one topic.

    Attributes:
        K: (3, 3) float64, pixels.
        width, height: of the images; 0 where the driver does not say.
        distortion: of the images as recorded.
        R_cam_image: (3, 3) rotation from the axes of the image (rectified ones are turned) to those of the frame.
    """

    K: NDArray[np.float64]
    width: int
    height: int
    distortion: Distortion
    R_cam_image: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))


def camera_info_topic(image_topic: str) -> str:
    """Where ROS convention puts the CameraInfo of an image topic.

    >>> camera_info_topic("/camera/color/image_raw/compressed")
    '/camera/color/camera_info'
    """
    base = base_topic(image_topic)
    return f"{base.rpartition('/')[0]}/camera_info"


def base_topic(image_topic: str) -> str:
    """The image topic without its transport: ``/compressed``, ``/compressedDepth``."""
    for transport in ("/compressedDepth", "/compressed"):
        image_topic = image_topic.removesuffix(transport)
    return image_topic


def is_rectified(image_topic: str) -> bool:
    """Whether the image is undistorted already: image_proc calls such topics ``image_rect…``."""
    return base_topic(image_topic).rpartition("/")[2].startswith("image_rect")


def lens_from_info(info: Any, where: str, rectified: bool) -> Lens:
    """Intrinsics from a CameraInfo message; binning and the region of interest are taken into account.

    Args:
        info: the decoded message, of ROS 1 or ROS 2.
        where: bag and topic, named in errors.
        rectified: the images are rectified: P and R instead of K and D.

    Raises:
        InputError: not calibrated, or a lens model that we do not have.
    """
    K, D, R, P = (_numbers(info, name) for name in "KDRP")
    K = K.reshape(3, 3)
    R_cam_image = np.eye(3)
    if rectified and P[0] > 0:
        K, D = P.reshape(3, 4)[:, :3].copy(), D[:0]
        R_cam_image = R.reshape(3, 3).T if R.any() else R_cam_image
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise InputError(
            "is of a camera that is not calibrated (K is zero)", source=where, field="K", fix=_FIX
        )
    roi, bins = info.roi, np.array([max(info.binning_x, 1), max(info.binning_y, 1)])
    size = (roi.width or info.width, roi.height or info.height)
    K[:2, 2] = (K[:2, 2] - (roi.x_offset, roi.y_offset) + 0.5) / bins - 0.5
    K[:2, :2] /= bins[:, None]
    width, height = (int(n) // int(b) for n, b in zip(size, bins, strict=True))
    return Lens(K, width, height, _distortion(info.distortion_model, D, where), R_cam_image)


def _distortion(model: str, D: NDArray[np.float64], where: str) -> Distortion:
    if not D.any() and np.isfinite(D).all():
        return Distortion()
    if model not in _FEWEST or len(D) < _FEWEST[model]:
        raise InputError(
            f"is {model!r} with {len(D)} numbers", source=where, field="distortion_model",
            fix=f"use one of {', '.join(_FEWEST)}, record rectified images, or state calibration=FILE",
        )  # fmt: skip
    if model in ("equidistant", "fisheye"):
        return Distortion("fisheye", tuple(D[:4].tolist()))
    if D[5:].any():
        raise InputError(
            f"has k4..k6 = {D[5:8].tolist()}, a rational polynomial", source=where, field="D",
            fix="record rectified images, or state a plumb_bob or equidistant lens in calibration=FILE",
        )  # fmt: skip
    return Distortion("radtan", tuple(D[:5].tolist()))


def _numbers(info: Any, name: str) -> NDArray[np.float64]:
    """Upper case in ROS 1, lower case in ROS 2."""
    value = getattr(info, name) if hasattr(info, name) else getattr(info, name.lower())
    return np.array(value, dtype=np.float64)


class CameraStatement(TypedConfig):
    """One camera of ``calibration.yaml``. What it leaves out comes from the bag: K and lens from CameraInfo, the
    place from tf.

    Attributes:
        K: 3x3 intrinsics, pixels; with it, CameraInfo is not used.
        distortion: lens of the images as recorded; only with K.
        T_points_cam: 4x4, takes camera coordinates (x right, y down, z forward) to those of the points, meters.
    """

    K: _Matrix | None = None
    distortion: LensStatement | None = None
    T_points_cam: _Matrix | None = None

    def lens(self) -> Lens | None:
        """Intrinsics, or None where they are not stated; of whatever size the images have."""
        if self.K is None:
            return None
        distortion = Distortion() if self.distortion is None else self.distortion.lens()
        return Lens(np.array(self.K, dtype=np.float64), 0, 0, distortion)


class Calibration(TypedConfig):
    """``calibration.yaml``: what a bag does not say about its cameras, or says wrong, by image topic."""

    cameras: dict[str, CameraStatement] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read and check the file.

        Raises:
            BadDatasetError: missing, not YAML, an unknown key, or numbers that are no camera.
        """
        with shared_by_all_frames(path, fix=f"write {_EXAMPLE}"):
            calibration = parse_config(cls, read_yaml(path), source=path)
            for topic, camera in calibration.cameras.items():
                field = f"cameras.{topic}"
                if camera.K is not None:
                    validate_intrinsics(camera.K, source=path, field=f"{field}.K", fix=f"write {_EXAMPLE}")
                if camera.K is None and camera.distortion is not None:
                    raise InputError("is stated without K", source=path, field=f"{field}.distortion")
                if camera.T_points_cam is not None:
                    validate_rigid(camera.T_points_cam, source=path, field=f"{field}.T_points_cam")
        return calibration

    def lens(self, topic: str) -> Lens | None:
        """Stated intrinsics of an image topic."""
        return self.cameras[topic].lens() if topic in self.cameras else None

    def T_points_cam(self, topic: str) -> NDArray[np.float64] | None:
        """(4, 4) stated place of a camera."""
        stated = self.cameras[topic].T_points_cam if topic in self.cameras else None
        return None if stated is None else np.array(stated, dtype=np.float64)
