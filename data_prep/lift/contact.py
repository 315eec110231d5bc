"""Where a box meets the ground: what stands there is that far away, what is behind it is not the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.transforms import transform_points

_COLUMNS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # across a box's lower edge
_EDGE_ERROR = 0.02  # of a box's height: how well its lower edge is known, beyond a pixel
_GROUND_ERROR = 0.1  # meters: how well the ground's height is known
_RELATIVE_ERROR = 0.15  # what is left: the nearest point that is seen is not the nearest that stands
_REACH = np.geomspace(0.3, 300.0, 400)  # meters along the ray: 2 % steps


@dataclass(frozen=True)
class Contact:
    """Depth at which things in a box stand on the ground.

    Attributes:
        depth: meters along the camera's z; inf where the lower edge looks over the horizon.
        log_error: standard deviation of ln(depth).
        cut: the box ends at the image's lower border, so that the object may be nearer.
    """

    depth: float
    log_error: float
    cut: bool

    def likelihood(self, nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K,) how well things whose nearest points lie at these depths agree, in 0..1, never quite 0."""
        if not np.isfinite(self.depth):
            return np.ones(len(nearest))
        off = np.log(nearest / self.depth) / self.log_error
        if self.cut:
            off = np.maximum(off, 0)
        # The floor lets the box's middle decide where nothing agrees: signs hang, dogs jump.
        likelihood: NDArray[np.float64] = np.exp(-0.5 * off * off) + 1e-6
        return likelihood


def ground_contact(
    box: NDArray, camera: Camera, T_world_points: NDArray[np.float64], ground: GroundMap
) -> Contact:
    """Follow rays through the lower edge of a 2D box to the ground.

    Args:
        box: (4,) xyxy pixels, cut to the image.
        camera: the view's camera.
        T_world_points: (4, 4), to the z-up world.
        ground: the ground in that world.
    """
    eye = transform_points(T_world_points, camera.T_points_cam[None, :3, 3])
    eye_height = float(eye[0, 2] - ground.height(eye[:, :2])[0])
    u = box[0] + (box[2] - box[0]) * _COLUMNS
    pixels = np.column_stack([np.repeat(u, len(_REACH)), np.full(u.size * len(_REACH), box[3])])
    along = transform_points(T_world_points, camera.unproject_pixels(pixels, np.tile(_REACH, u.size)))
    under = (along[:, 2] <= ground.height(along[:, :2])).reshape(u.size, len(_REACH))
    met = np.where(under.any(axis=1), _REACH[under.argmax(axis=1)], np.inf)
    depth = float(np.median(met))
    cut = bool(box[3] >= camera.height - 2)
    if eye_height <= 0 or not np.isfinite(depth):
        return Contact(np.inf, np.inf, cut)
    edge = (1 + _EDGE_ERROR * (box[3] - box[1])) * depth / (camera.K[1, 1] * eye_height)
    log_error = float(np.sqrt(_RELATIVE_ERROR**2 + edge**2 + (_GROUND_ERROR / eye_height) ** 2))
    return Contact(depth, log_error, cut)
