"""Ego motion of a sensor without poses, by registration of successive sweeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.geometry.voxels import voxel_index
from data_prep.scans import Frame

_VOXEL, _RANGE = 0.4, 60.0  # m
_REACHES = (3.0, 1.0, 0.5)  # m: correspondences, from coarse to fine
_FITS = 0.3  # least share of points with a correspondence


class Odometry:
    """Gives frames the pose that registration finds, in the world of the first frame.

    Point-to-plane ICP (Chen and Medioni, 1992; Open3D's) of each sweep against the one before, started from the last
    motion. It is for sequences that have no poses at all; its drift grows with the way. Things that move are a small
    part of a sweep and do not turn it.

    >>> rng = np.random.default_rng(0)
    >>> walls = rng.uniform(-8, 8, (6000, 3)) * [1, 1, 0.3]
    >>> walls[:3000, 0], walls[3000:5000, 1], walls[5000:, 2] = 8, 8, -2
    >>> odometry = Odometry()
    >>> places = [odometry.place(Frame.build(str(k), walls - [0.3 * k, 0, 0])).T_world_points for k in range(3)]
    >>> bool(np.allclose(places[2][:3, 3], [0.6, 0, 0], atol=0.05))
    True
    """

    def __init__(self) -> None:
        self._last: Any = None
        self._T_world_last: NDArray[np.float64] = np.eye(4)
        self._motion: NDArray[np.float64] = np.eye(4)

    def place(self, frame: Frame) -> Frame:
        """The frame with its pose.

        Raises:
            BadFrameError: its points do not fit the last frame's.
        """
        from open3d.pipelines import registration

        cloud = _thinned(frame)
        if self._last is None:
            self._T_world_last = frame.T_world_points
        else:
            T, found = self._motion, None
            for reach in _REACHES:
                found = registration.registration_icp(
                    cloud, self._last, reach, T, registration.TransformationEstimationPointToPlane()
                )
                T = found.transformation
            if found is None or found.fitness < _FITS:
                raise BadFrameError(
                    "does not fit the frame before it, so its pose stays unknown",
                    source=f"frame {frame.id}",
                    field="T_world_points",
                    fix="give frames that follow each other closely, or poses",
                )
            self._motion = np.asarray(T, np.float64)
            self._T_world_last = _orthonormal(self._T_world_last @ self._motion)
        self._last = cloud
        return replace(frame, T_world_points=self._T_world_last)


def _thinned(frame: Frame) -> Any:
    import open3d as o3d

    points = frame.points[np.linalg.norm(frame.points, axis=1) < _RANGE]
    first, _ = voxel_index(points, _VOXEL)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points[first].astype(np.float64)))
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamHybrid(radius=1.2, max_nn=20))
    return cloud


def _orthonormal(T: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rigid transform: products of many lose their orthogonality."""
    u, _, v = np.linalg.svd(T[:3, :3])
    T = T.copy()
    T[:3, :3] = u @ v
    return T
