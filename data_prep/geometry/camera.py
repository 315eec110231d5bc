"""Pinhole cameras with lens distortion: projection of points and unprojection of depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError
from data_prep.geometry.distortion import Distortion
from data_prep.geometry.transforms import invert, validate_rigid

NEAR = 1e-3  # meters; points closer to the image plane than this have no pixel


def validate_intrinsics(
    K: ArrayLike, *, source: str | Path | None = None, field: str = "camera.K", fix: str = "check intrinsics"
) -> NDArray[np.float64]:
    """Return ``K`` as a (3, 3) float64 camera matrix, or raise.

    Raises:
        InputError: not numbers, another shape, not finite, or without positive focal lengths.
    """
    try:
        matrix = np.asarray(K, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise InputError(
            "is not a 3x3 matrix with positive focal lengths", source=source, field=field, fix=fix
        )
    return matrix


@dataclass(frozen=True)
class Camera:
    """A camera and where it sits relative to the frame's points.

    Camera axes are OpenCV's: x right, y down, z forward. Pixel centers lie at integers, so the image
    covers [-0.5, width - 0.5] x [-0.5, height - 0.5].

    Attributes:
        K: (3, 3) float64 intrinsics in pixels.
        width, height: image size in pixels.
        T_points_cam: (4, 4) float64; takes camera coordinates to the coordinates of ``Frame.points``.
        distortion: lens model; images of undistorted datasets keep the default.

    Raises:
        InputError: K not finite or without positive focal lengths, size not positive, T_points_cam not rigid.

    >>> camera = Camera(np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), width=640, height=480)
    >>> uv, depth = camera.project(np.array([[0.2, -0.1, 2.0]]))
    >>> uv.tolist(), depth.tolist()
    ([[370.0, 215.0]], [2.0])
    """

    K: NDArray[np.float64]
    width: int
    height: int
    T_points_cam: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    distortion: Distortion = field(default_factory=Distortion)

    def __post_init__(self) -> None:
        K = validate_intrinsics(self.K)
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"is {self.width}x{self.height}", field="camera size", fix="give pixels")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "T_points_cam", validate_rigid(self.T_points_cam, field="T_points_cam"))

    @property
    def T_cam_points(self) -> NDArray[np.float64]:
        """(4, 4): takes points to this camera's coordinates."""
        return invert(self.T_points_cam)

    def project(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """Project points into the image.

        Args:
            points: (N, 3) in the frame of ``Frame.points``, meters.

        Returns:
            uv (N, 2) pixels, NaN where the point is not in front of the camera or beyond what its lens model
            describes; depth (N,) meters along z. Both in the points' floating dtype. Pixels outside the image are returned as they are.
        """
        dtype = points.dtype if points.dtype.kind == "f" else np.dtype(np.float64)
        T = self.T_cam_points
        if self.distortion.model == "none":
            # One (3, 3) product instead of two: K R p + K t.
            P = (self.K @ T[:3]).astype(dtype)
            # Axis by axis: each in one stretch of memory, for what follows here and at the caller's.
            homogeneous = P[:, :3] @ points.T
            homogeneous += P[:, 3:]
            depth = homogeneous[2] / dtype.type(self.K[2, 2])
            front = depth > NEAR
            if not front.all():
                homogeneous[2, ~front] = np.nan
            return (homogeneous[:2] / homogeneous[2]).T, depth
        camera_points = points @ T[:3, :3].T.astype(dtype) + T[:3, 3].astype(dtype)
        depth = camera_points[:, 2]
        scale = np.where(depth > NEAR, depth, np.nan).astype(dtype)
        xy = self.distortion.apply(camera_points[:, :2] / scale[:, None])
        return xy @ self.K[:2, :2].T.astype(dtype) + self.K[:2, 2].astype(dtype), depth

    def in_image(self, uv: NDArray) -> NDArray[np.bool_]:
        """(N,) True where a pixel position lies inside the image; NaN is outside."""
        u, v = uv[:, 0], uv[:, 1]
        return (u >= -0.5) & (u < self.width - 0.5) & (v >= -0.5) & (v < self.height - 0.5)

    def unproject_pixels(self, uv: NDArray, depth: NDArray) -> NDArray:
        """(N, 2) pixels with (N,) depths in meters along z → (N, 3) points in the frame of ``Frame.points``.

        NaN where the lens model has no direction for the pixel (far corners of strong distortion).
        """
        # Column by column: a product with a 3x3 matrix this thin costs more in BLAS threads than in arithmetic.
        inverse = np.linalg.inv(self.K[:2, :2])
        du, dv = (np.asarray(uv, dtype=np.float64) - self.K[:2, 2]).T
        normalized = np.stack(
            [inverse[0, 0] * du + inverse[0, 1] * dv, inverse[1, 0] * du + inverse[1, 1] * dv], axis=1
        )
        x, y = self.distortion.remove(normalized).T
        z = np.asarray(depth, dtype=np.float64)
        T = self.T_points_cam
        return np.stack([(T[k, 0] * x + T[k, 1] * y + T[k, 2]) * z + T[k, 3] for k in range(3)], axis=1)

    def unproject(self, depth: NDArray) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Lift a depth image.

        Args:
            depth: (H, W) meters along z; 0, NaN and inf mean no measurement.

        Returns:
            points (M, 3) float32 in the frame of ``Frame.points`` and the flat pixel index (M,) each came from,
            in row-major order. Pixels that the lens model has no direction for are left out.

        Raises:
            InputError: the depth image is not of this camera's size.
        """
        if depth.shape != (self.height, self.width):
            raise InputError(
                f"is {depth.shape[1]}x{depth.shape[0]}, the camera {self.width}x{self.height}",
                field="depth",
                fix="use the depth camera's intrinsics or register depth to color",
            )
        flat = depth.reshape(-1)
        pixels = np.flatnonzero(np.isfinite(flat) & (flat > 0))
        uv = np.stack([pixels % self.width, pixels // self.width], axis=1)
        points = self.unproject_pixels(uv, flat[pixels]).astype(np.float32)
        if self.distortion.model == "none":
            return points, pixels
        known = np.isfinite(points).all(axis=1)
        return points[known], pixels[known]
