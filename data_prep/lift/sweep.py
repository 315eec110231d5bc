"""LiDAR view geometry: height over ground, beam spacing, ground-contact depth, footprints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from data_prep.geometry import Camera
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.transforms import transform_points
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View

_NEIGHBORS = 24  # enough to reach the next ring of a sensor whose rings are ten times sparser than its shots
_SAMPLES = 256
_CELL = 0.25  # pixels: points that are nearer to each other lie on one ray
_COLUMNS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # across a box's lower edge
_EDGE_ERROR = 0.02  # of a box's height: error of its lower edge, beyond a pixel
_GROUND_ERROR = 0.1  # meters: error of the ground's height
_RELATIVE_ERROR = 0.15  # the rest: the nearest point that is seen is not the nearest that touches the ground
_REACH = np.geomspace(0.3, 300.0, 400)  # meters along the ray: 2 % steps


class SeenScene:
    """Geometry of the points in a view, in the order of its :class:`ProjectedPoints`.

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
        self.xy, self.z = world[seen.indices, :2], world[seen.indices, 2]
        self.height = self.z - self.ground.height(self.xy)
        self.depth = seen.depth.astype(np.float64)
        self.range = np.linalg.norm(
            frame.points[seen.indices].astype(np.float64) - view.camera.T_points_cam[:3, 3], axis=1
        )
        self.uv = np.stack([seen.u, seen.v], axis=1).astype(np.float64)
        self.focal = float(np.sqrt(view.camera.K[0, 0] * view.camera.K[1, 1]))
        self.position = np.column_stack([self.uv, self.focal * np.log(self.range)])
        self.above = self.position * [1, 0, 1]
        # Several sweeps in one cloud meet the same pixels again; that is no spacing of beams.
        cells = np.rint(self.uv / _CELL).astype(np.int64)
        keys = np.unique(cells[:, 0] * (1 << 32) + cells[:, 1])
        self._rays = np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1) * _CELL
        self._tree = cKDTree(self._rays)

    def level(self, row: float, distance: float) -> float:
        """Height z in the world of the image row's middle at a distance from the camera, meters."""
        pixel = np.array([[self.camera.width / 2, row]])
        ray = self.camera.unproject_pixels(pixel, np.ones(1)) - self.camera.T_points_cam[:3, 3]
        on_ray = self.camera.T_points_cam[:3, 3] + ray * distance / np.linalg.norm(ray)
        return float(transform_points(self.T_world_points, on_ray)[0, 2])

    def beam_spacing(self, where: NDArray[np.int64]) -> float:
        """Median pixels from these points to the next line of points: the coarser of the sensor's two spacings there."""
        if len(self._rays) < 2:
            return 0.0
        some = self.uv[where]
        some = some[np.lexsort(some.T)][
            :: max(1, len(some) // _SAMPLES)
        ]  # the same whatever the points' order
        distance, other = self._tree.query(some, k=min(_NEIGHBORS, len(self._rays)))
        du, dv = np.abs(self._rays[other[:, 1:]] - some[:, None]).transpose(2, 0, 1)
        furthest = distance[:, -1]
        across = np.where(du > dv, du, np.inf).min(axis=1)
        along = np.where(dv >= du, dv, np.inf).min(axis=1)
        return float(max(np.median(np.minimum(spacing, furthest)) for spacing in (across, along)))


@dataclass(frozen=True)
class Contact:
    """Depth at which objects in a box touch the ground.

    Attributes:
        depth: meters along the camera's z; inf if the lower edge is above the horizon.
        log_error: standard deviation of ln(depth).
        cut: the box ends at the image's lower border, so that the object may be nearer.
    """

    depth: float
    log_error: float
    cut: bool

    def likelihood(
        self, nearest: NDArray[np.float64], hidden: NDArray[np.bool_] | bool = False
    ) -> NDArray[np.float64]:
        """(K,) likelihood of objects whose nearest points lie at these depths, above 0, at most 1.

        Args:
            nearest: (K,) meters along the camera's z.
            hidden: (K,) something nearer hides the object's base, so that the object may be nearer than the contact.
        """
        if not np.isfinite(self.depth):
            return np.ones(len(nearest))
        off = np.log(nearest / self.depth) / self.log_error
        off = np.where(self.cut | np.asarray(hidden), np.maximum(off, 0), off)
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


@dataclass(frozen=True)
class Footprint:
    """Smallest rectangle, of any direction, around points seen from above.

    Attributes:
        rotation: (2, 2), takes x y to the rectangle's axes.
        low, high: (2,) its bounds along them, meters.
    """

    rotation: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def around(cls, xy: NDArray[np.float64]) -> Footprint:
        """Fit to (N, 2) points, N > 0. One side of the smallest rectangle lies along a side of the convex hull."""
        try:
            corners = xy[ConvexHull(xy).vertices]
        except (QhullError, ValueError):  # fewer than three points, or all on a line
            spread = np.linalg.svd(xy - xy.mean(axis=0), full_matrices=True)[2]
            return cls(spread, (xy @ spread.T).min(axis=0), (xy @ spread.T).max(axis=0))
        sides = np.roll(corners, -1, axis=0) - corners
        sides /= np.linalg.norm(sides, axis=1, keepdims=True)
        rotations = np.stack([sides, sides[:, ::-1] * [-1, 1]], axis=1)
        along = np.einsum("sij,nj->sni", rotations, corners)
        low, high = along.min(axis=1), along.max(axis=1)
        best = int((high - low).prod(axis=1).argmin())
        return cls(rotations[best], low[best], high[best])

    def contains(self, xy: NDArray[np.float64], margin: float = 0.0) -> NDArray[np.bool_]:
        """(N,) True for (N, 2) points on it or within a margin in meters of its sides, borders included."""
        along = xy @ self.rotation.T
        inside: NDArray[np.bool_] = ((along >= self.low - margin) & (along <= self.high + margin)).all(axis=1)
        return inside
