"""Oriented 3D boxes and their projection into an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError
from data_prep.geometry.camera import NEAR, Camera

_CORNER_SIGNS = np.array(
    [[x, y, z] for z in (-0.5, 0.5) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
)
# Pairs of corner indices: bottom ring, top ring, uprights.
BOX_EDGES = np.array(
    [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
)


@dataclass(frozen=True)
class OrientedBox:
    """A box in 3D.

    Attributes:
        center: (3,) float64, the geometric center, meters.
        size: (3,) float64, full lengths along the box's own x, y, z (length, width, height), meters.
        rotation: (3, 3) float64, takes box axes to the surrounding frame.

    Raises:
        InputError: wrong shapes, numbers that are not finite, or a negative size.

    >>> box = OrientedBox.from_yaw([2.0, 0, 0.5], [4.0, 2, 1], np.pi / 2)
    >>> box.corners().shape, box.contains(np.array([[2.0, 1.9, 0.5], [3.9, 0, 0.5]])).tolist()
    ((8, 3), [True, False])
    """

    center: NDArray[np.float64]
    size: NDArray[np.float64]
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        for name, shape in (("center", (3,)), ("size", (3,)), ("rotation", (3, 3))):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != shape or not all(map(math.isfinite, value.ravel().tolist())):  # few for numpy
                raise InputError(f"must be finite with shape {shape}, got {value.shape}", field=f"box.{name}")
            object.__setattr__(self, name, value)
        if min(self.size.tolist()) < 0:
            raise InputError(f"is negative: {self.size.tolist()}", field="box.size", fix="give full lengths")

    @classmethod
    def from_yaw(cls, center: ArrayLike, size: ArrayLike, yaw: float) -> OrientedBox:
        """Upright box: ``yaw`` radians counter-clockwise about z, 0 = box length along x."""
        c, s = np.cos(yaw), np.sin(yaw)
        return cls(np.asarray(center), np.asarray(size), np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))

    @property
    def yaw(self) -> float:
        """Angle of the box's length axis about z, radians in (-π, π]."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))

    def corners(self) -> NDArray[np.float64]:
        """(8, 3): bottom ring counter-clockwise, then top ring; see ``BOX_EDGES``."""
        return (_CORNER_SIGNS * self.size) @ self.rotation.T + self.center

    def contains(self, points: NDArray, margin: float = 0.0) -> NDArray[np.bool_]:
        """(N,) True for the (N, 3) points inside, faces included, grown by ``margin`` meters on every side."""
        local = (points - self.center) @ self.rotation
        inside: NDArray[np.bool_] = np.all(np.abs(local) <= self.size / 2 + margin, axis=1)
        return inside

    def transformed(self, T_a_b: NDArray[np.float64]) -> OrientedBox:
        """The same box, given in frame b, in frame a."""
        return OrientedBox(
            T_a_b[:3, :3] @ self.center + T_a_b[:3, 3], self.size, T_a_b[:3, :3] @ self.rotation
        )


def box_to_image(box: OrientedBox, camera: Camera, clip: bool = True) -> NDArray[np.float64] | None:
    """Smallest image rectangle (4,) x0 y0 x1 y1 around the visible part of a 3D box, pixels; None if out of view.

    Edges are cut at the image plane, so a box that reaches behind the camera is not mirrored. Straight
    edges are assumed: with strong distortion the hull is that of the corners.
    """
    T = camera.T_cam_points
    corners = box.corners() @ T[:3, :3].T + T[:3, 3]
    front = corners[:, 2] > NEAR
    kept = [corners[front]]
    for a, b in BOX_EDGES:
        if front[a] != front[b]:
            t = (NEAR * 2 - corners[a, 2]) / (corners[b, 2] - corners[a, 2])
            kept.append((corners[a] + t * (corners[b] - corners[a]))[None])
    visible = np.concatenate(kept)
    if len(visible) == 0:
        return None
    xy = visible[:, :2] / visible[:, 2:]
    radius = np.linalg.norm(xy, axis=1, keepdims=True)
    # Corners beyond what the lens model describes are drawn in to its rim, where the image ends.
    xy = camera.distortion.apply(
        xy * np.minimum(1, 0.999 * camera.distortion.reach / np.maximum(radius, 1e-12))
    )
    uv = xy @ camera.K[:2, :2].T + camera.K[:2, 2]
    x0, y0 = uv.min(axis=0)
    x1, y1 = uv.max(axis=0)
    if x1 < 0 or y1 < 0 or x0 > camera.width - 1 or y0 > camera.height - 1:
        return None
    if clip:
        x0, x1 = np.clip([x0, x1], 0, camera.width - 1)
        y0, y1 = np.clip([y0, y1], 0, camera.height - 1)
    return np.array([x0, y0, x1, y1])
