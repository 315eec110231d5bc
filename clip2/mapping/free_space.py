"""Free space of one frame: which points of the map a sensor sees, sees through, or cannot see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from data_prep.geometry.transforms import invert, transform_points
from data_prep.scans import Frame

THROUGH, UNKNOWN, HIDDEN, HIT = -2, 0, 1, 2
_AZIMUTH, _ELEVATION = np.deg2rad(0.5), np.deg2rad(0.8)  # cells of a sweep's range image
_DEPTH_NOISE, _SWEEP_NOISE = (0.03, 0.012), (0.25, 0.01)  # m, and share of the distance
_FAR = np.float32(np.inf)


class FreeSpace:
    """Range image of a frame, to be asked about points of the world.

    A point is *hit* if something was measured where it is, *hidden* if something nearer was, and seen *through* if
    everything measured in its direction lies behind it. Where nothing was measured nothing is known.

    Args:
        frame: with depth, or one sweep.
        world: (P, 3) its points in the world.
        viewpoint: (3,) position of the sensor in the world; None: unknown, so that nothing can be told.
    """

    def __init__(
        self, frame: Frame, world: NDArray[np.float64], viewpoint: NDArray[np.float64] | None
    ) -> None:
        self._depth = None
        self._range: NDArray[np.float32] | None = None
        if frame.depth is not None:
            self._camera, self._T = frame.views[0].camera, invert(frame.T_world_points)
            depth = np.asarray(frame.depth, np.float32)
            measured = depth > 0
            # The nearest and the farthest of the neighborhood: an edge is neither free nor occupied.
            near = minimum_filter(np.where(measured, depth, _FAR), 3)
            far = maximum_filter(np.where(measured, depth, 0), 3)
            self._depth = np.stack([near, far])
        elif viewpoint is not None:
            self._eye = np.asarray(viewpoint, np.float64)
            cell, distance = self._cells(world)
            self._shape = (int(2 * np.pi / _AZIMUTH) + 1, int(np.pi / _ELEVATION) + 1)
            nearest = np.full(self._shape[0] * self._shape[1], _FAR, np.float32)
            farthest = np.zeros_like(nearest)
            np.minimum.at(nearest, cell, distance)
            np.maximum.at(farthest, cell, distance)
            self._range = np.stack([nearest, farthest])

    def look(self, points: NDArray[np.float64]) -> NDArray[np.int8]:
        """(M,) ``THROUGH``, ``UNKNOWN``, ``HIDDEN`` or ``HIT`` of (M, 3) points of the world."""
        if self._depth is not None:
            local = transform_points(self._T, points, np.float64)
            uv, z = self._camera.project(local)
            inside = self._camera.in_image(uv)
            pixel = np.round(np.where(inside[:, None], uv, 0)).astype(np.int64)
            near, far = self._depth[:, pixel[:, 1], pixel[:, 0]]
            near, far = np.where(inside, near, _FAR), np.where(inside, far, 0)
            noise = _DEPTH_NOISE
        elif self._range is not None:
            cell, z = self._cells(points)
            near, far = self._range[:, cell]
            noise = _SWEEP_NOISE
        else:
            return np.zeros(len(points), np.int8)
        margin = noise[0] + noise[1] * z
        known = far > 0
        through, hidden = near > z + margin, far < z - margin
        hit = (near > z - margin) & (far < z + margin)
        # Both before and behind: hidden in part, which tells nothing.
        found = np.select([through, hidden, hit], [THROUGH, HIDDEN, HIT], UNKNOWN)
        return np.where(known, found, UNKNOWN).astype(np.int8)

    def _cells(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        x, y, z = (points[:, axis] - self._eye[axis] for axis in range(3))
        flat = np.sqrt(x * x + y * y)  # a tenth of the time of np.hypot
        column = ((np.arctan2(y, x) + np.pi) / _AZIMUTH).astype(np.int64)
        row = ((np.arctan2(z, flat) + np.pi / 2) / _ELEVATION).astype(np.int64)
        return column * (int(np.pi / _ELEVATION) + 1) + row, np.sqrt(flat * flat + z * z).astype(np.float32)
