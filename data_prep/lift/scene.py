"""What the points of one view are like: how high over the ground, how far away, how densely scanned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.geometry.ground import GroundMap
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View

_NEIGHBORS = 24  # enough to reach the next ring of a sensor whose rings are ten times sparser than its shots
_SAMPLES = 256


class SeenScene:
    """Figures of the points that land in a view, in the order of its :class:`ProjectedPoints`.

    Attributes:
        seen: the points' pixels and depths.
        ground: the ground under the whole frame, z-up world.
        xy: (V, 2) meters in the world.
        height: (V,) meters over the ground.
        depth: (V,) meters along the camera's z.
        range: (V,) meters from the camera.
        focal: pixels per radian in the image's middle.
        position: (V, 3) pixels, pixels, focal * ln(range). Distances are angles between points and, in depth, shares
            of their range: a gap that is a given share of an object is the same at any range.
        above: (V, 3) the same seen from above, without the vertical.
    """

    def __init__(self, frame: Frame, view: View, seen: ProjectedPoints) -> None:
        self.camera, self.T_world_points, self.seen = view.camera, frame.T_world_points, seen
        world = frame.world_points()
        self.ground = GroundMap.fit(world)
        self.xy = world[seen.indices, :2]
        self.height = world[seen.indices, 2] - self.ground.height(self.xy)
        self.depth = seen.depth.astype(np.float64)
        self.range = np.linalg.norm(
            frame.points[seen.indices].astype(np.float64) - view.camera.T_points_cam[:3, 3], axis=1
        )
        self.uv = np.stack([seen.u, seen.v], axis=1).astype(np.float64)
        self.focal = float(np.sqrt(view.camera.K[0, 0] * view.camera.K[1, 1]))
        self.position = np.column_stack([self.uv, self.focal * np.log(self.range)])
        self.above = self.position * [1, 0, 1]
        self._tree = cKDTree(self.uv)

    def beam_spacing(self, where: NDArray[np.int64]) -> float:
        """Median pixels from these points to the next line of points: the coarser of the sensor's two spacings there."""
        if len(self.uv) < 2:
            return 0.0
        some = self.uv[where]
        some = some[np.lexsort(some.T)][
            :: max(1, len(some) // _SAMPLES)
        ]  # the same whatever the points' order
        distance, other = self._tree.query(some, k=min(_NEIGHBORS, len(self.uv)))
        du, dv = np.abs(self.uv[other[:, 1:]] - some[:, None]).transpose(2, 0, 1)
        furthest = distance[:, -1]
        across = np.where(du > dv, du, np.inf).min(axis=1)
        along = np.where(dv >= du, dv, np.inf).min(axis=1)
        return float(max(np.median(np.minimum(spacing, furthest)) for spacing in (across, along)))
