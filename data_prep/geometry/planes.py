"""Planes of an indoor cloud: floor, ceiling and walls, and the level surfaces that things stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

_THICKNESS = 0.05  # m on either side: sensor noise and skirting
_CELL = 0.12  # m, of the map in which a plane's patches are found
_WALL_SIZE = np.array([1.5, 1.5])  # m: a smaller upright patch may as well be a piece of furniture
# A front of furniture has the wall behind it, which faces the same way: within so many meters, so much of the patch's size.
_DEEPEST, _BEHIND = 1.0, 0.2
_FLOOR_AREA = 1.0  # m²
_MOST_TILT, _ALIKE = 38.0, float(np.cos(np.deg2rad(8.0)))
_SUPPORT_AREA, _SUPPORT_WIDTH = 0.03, 0.12  # m², m: a small shelf
_SUPPORT_CELL = 0.03  # m, of the map of a support's outline
_ARM = 1.2  # m: a thing looked at closely
_THINNEST = 0.008  # m: what rises less over a support counts to it


@dataclass(frozen=True)
class RoomPlanes:
    """Which points belong to the room itself.

    Attributes:
        floor, ceiling, walls: (N,) bool each.
        floor_height: z of the floor, meters, or None: none is seen.
    """

    floor: NDArray[np.bool_]
    ceiling: NDArray[np.bool_]
    walls: NDArray[np.bool_]
    floor_height: float | None

    @property
    def any(self) -> NDArray[np.bool_]:
        """(N,) True for points of floor, ceiling or walls."""
        return self.floor | self.ceiling | self.walls


def estimate_normals(points: NDArray, neighbors: int = 16) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normals by plane fits to the nearest neighbors.

    Args:
        points: (N, 3) meters, evenly spread (a voxel grid's).
        neighbors: how many, the point itself included.

    Returns:
        normals (N, 3), unit, sign arbitrary; variation (N,): smallest eigenvalue over their sum, 0 flat to 1/3 round.
    """
    count = min(neighbors, len(points))
    _, index = cKDTree(points).query(points, k=np.arange(1, count + 1))
    return fit_normals(points, index)


def fit_normals(points: NDArray, index: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normals by plane fits to given neighbors (M, k) of each of M points; returns as :func:`estimate_normals`."""
    x, y, z = (column[index] for column in np.ascontiguousarray(points.T))
    x, y, z = (column - column.mean(axis=1, keepdims=True) for column in (x, y, z))
    products = ((x, x), (y, y), (z, z), (x, y), (x, z), (y, z))
    covariance = [np.einsum("nk,nk->n", a, b) for a, b in products]
    least, normals = least_axis(*covariance)
    return normals, least / np.maximum(sum(covariance[:3]), 1e-12)


def least_axis(
    xx: NDArray, yy: NDArray, zz: NDArray, xy: NDArray, xz: NDArray, yz: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest eigenvalue (n,) and its unit eigenvector (n, 3) of symmetric 3 x 3 matrices, in closed form.

    Args:
        xx, yy, zz, xy, xz, yz: (n,) entries; positive semidefinite matrices.

    >>> least_axis(*np.array([[3.0], [2], [1], [0], [0], [0]]))[1].round(6).tolist()
    [[0.0, 0.0, 1.0]]
    """
    third = (xx + yy + zz) / 3
    a, b, c = xx - third, yy - third, zz - third
    scale = np.sqrt((a**2 + b**2 + c**2 + 2 * (xy**2 + xz**2 + yz**2)) / 6) + 1e-30
    determinant = a * (b * c - yz**2) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = np.arccos(np.clip(determinant / (2 * scale**3), -1, 1)) / 3
    shift = 2 * scale * np.cos(angle + 2 * np.pi / 3)
    a, b, c = a - shift, b - shift, c - shift
    # The rows of the shifted matrix are at right angles to the eigenvector: of their cross products the longest is it.
    crosses = np.stack(
        [
            np.stack([xy * yz - xz * b, xz * xy - a * yz, a * b - xy**2], axis=1),
            np.stack([xy * c - xz * yz, xz**2 - a * c, a * yz - xy * xz], axis=1),
            np.stack([b * c - yz**2, yz * xz - xy * c, xy * yz - b * xz], axis=1),
        ],
        axis=1,
    )
    length = np.einsum("nij,nij->ni", crosses, crosses)
    best = length.argmax(axis=1)
    rows = np.arange(len(best))
    norm = np.sqrt(length[rows, best])
    axis = crosses[rows, best] / np.maximum(norm, 1e-300)[:, None]
    axis[norm < 1e-200] = (0.0, 0.0, 1.0)  # a ball: any direction
    return np.maximum(third + shift, 0), axis


def main_direction(normals: NDArray) -> float:
    """Yaw in 0..π/2 that most upright surfaces of a room face, modulo quarter turns; 0 where nothing is upright.

    Args:
        normals: (N, 3) unit, sign arbitrary.
    """
    upright = normals[np.abs(normals[:, 2]) < 0.3]
    if len(upright) == 0:
        return 0.0
    # The mode, not the mean: furniture may stand at any angle.
    degrees = np.rad2deg(np.arctan2(upright[:, 1], upright[:, 0])) % 90
    histogram = np.bincount(degrees.astype(np.int64) % 90, minlength=90).astype(float)
    mode = int(ndimage.convolve1d(histogram, [1, 2, 3, 2, 1], mode="wrap").argmax()) + 0.5
    away = (degrees - mode + 45) % 90 - 45
    return float(np.deg2rad((mode + np.median(away[np.abs(away) < 4])) % 90))


def level_direction(normals: NDArray, area: NDArray) -> tuple[NDArray[np.float64], float]:
    """Direction near z that most surface faces: where things stand on a table, the table's normal.

    A tilted camera without a gravity sensor gives a cloud whose z is off by up to 35 degrees. Walls are never taken
    for the ground: a larger tilt needs a stated up direction.

    Args:
        normals: (N, 3) unit, sign arbitrary.
        area: (N,) of the surface that each stands for.

    Returns:
        (3,) unit; z itself unless another direction within 35 degrees has twice the area of z and at least 15 % of all.
        And the share of all area that faces it within 8 degrees: how sure it is.
    """
    up = np.array([0.0, 0.0, 1.0])
    total = max(float(area.sum()), 1e-12)
    facing = normals * np.where(normals[:, 2:] < 0, -1.0, 1.0)
    near = facing[:, 2] > np.cos(np.deg2rad(_MOST_TILT))
    facing, weight = facing[near], area[near]
    if len(facing) == 0:
        return up, 0.0

    def share(way: NDArray) -> float:
        return float(weight[facing @ way > _ALIKE].sum()) / total

    cells = np.floor((facing[:, :2] + 1) / 0.05).astype(np.int64)
    histogram = np.bincount(cells[:, 0] * 64 + cells[:, 1], weight)
    peak = np.array(divmod(int(histogram.argmax()), 64)) * 0.05 + 0.025 - 1
    best = np.array([*peak, np.sqrt(1 - peak @ peak)])
    for _ in range(5):
        alike = facing @ best > _ALIKE
        if not alike.any():
            break
        best = weight[alike] @ facing[alike]
        best /= np.linalg.norm(best)
    found, given = share(best), share(up)
    if found >= 0.15 and found >= 2 * given and np.rad2deg(np.arccos(best[2])) < _MOST_TILT - 3:
        return best, found
    return up, given


def close_plane(points: NDArray, viewpoint: NDArray) -> NDArray[np.float64] | None:
    """Normal of the one plane that fills a close view: of a table seen from above by a camera of unknown tilt.

    Noise bends the normals of a close view's finest elements, so the plane is fitted to points (RANSAC).

    Args:
        points: (N, 3) meters.
        viewpoint: (3,) of the sensor.

    Returns:
        (3,) unit, towards the sensor; None unless half of the points are within 1.2 m of the sensor and a third of
        them lie within 8 mm of one plane.
    """
    sample = points[:: max(1, len(points) // 4000)] - viewpoint
    if len(sample) < 100 or np.median(np.linalg.norm(sample, axis=1)) > _ARM:
        return None
    a, b, c = sample[np.random.default_rng(0).integers(len(sample), size=(3, 300))]
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    flat = length > 1e-6
    normals = normals[flat] / length[flat, None]
    away = np.abs(sample @ normals.T - np.einsum("ij,ij->i", normals, a[flat]))
    held = (away < _THINNEST).sum(axis=0)
    if len(held) == 0 or held.max() < len(sample) / 3:
        return None
    mine = sample[away[:, held.argmax()] < _THINNEST]
    middle = mine.mean(axis=0)
    normal: NDArray[np.float64] = np.linalg.svd(mine - middle, full_matrices=False)[2][2]
    return -normal if normal @ middle > 0 else normal


def room_planes(points: NDArray, normals: NDArray, area: NDArray) -> RoomPlanes:
    """Find floor, ceiling and walls of a z-up room; walls may stand at any angles.

    The floor is the lowest large level, the ceiling the highest with a clear room's height between. A wall is an
    upright patch at least 1.5 m wide and tall, unless a parallel surface behind shows that it is the front of furniture. What
    lies within 5 cm of a patch counts to it.

    Args:
        points: (N, 3) meters, z-up.
        normals: (N, 3) unit, toward the sensor where it is known.
        area: (N,) of the surface that each point stands for, m².
    """
    none = np.zeros(len(points), dtype=bool)
    level = np.abs(normals[:, 2]) > 0.9
    z = points[:, 2]
    heights = _peaks(z[level], area[level], _FLOOR_AREA)
    floor, ceiling, floor_height = none, none, None
    if heights and np.mean(z < heights[0] - 2 * _THICKNESS) < 0.05:
        floor_height = heights[0]
        floor = z < floor_height + _THICKNESS
    if (
        len(heights) > 1
        and heights[-1] - heights[0] > 1.8
        and np.mean(z > heights[-1] + 2 * _THICKNESS) < 0.05
    ):
        ceiling = z > heights[-1] - _THICKNESS
    walls = none.copy()
    upright = np.flatnonzero((np.abs(normals[:, 2]) < 0.3) & ~floor & ~ceiling)
    for yaw in _directions(normals[upright]):
        across = np.array([np.cos(yaw), np.sin(yaw)])
        facing = upright[np.abs(normals[upright, :2] @ across) > 0.94]
        for offset in _peaks(points[facing, :2] @ across, area[facing], 0.5 * float(_WALL_SIZE.prod())):
            walls |= _patches(points, normals, facing, across, offset)
    return RoomPlanes(floor, ceiling, walls, floor_height)


def support_planes(
    points: NDArray, normals: NDArray, size: NDArray, pairs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find level surfaces of any height: table tops, shelves, counters, seats.

    Args:
        points: (N, 3) meters, z-up.
        normals: (N, 3) unit, sign arbitrary.
        size: (N,) meters, distance of each point to the next ones on its surface.
        pairs: (E, 2) indices of neighbors.

    Returns:
        (N,) number of the support that each point belongs to, -1 for none; larger supports have lower numbers. What
        rises less than 8 mm over a support, or twice its roughness, counts to it.
    """
    support = np.full(len(points), -1)
    level = np.abs(normals[:, 2]) > 0.85
    a, b = pairs[level[pairs].all(axis=1)].T
    step = np.abs(points[a, 2] - points[b, 2])
    joined = step < 0.003 + 0.3 * np.minimum(size[a], size[b])
    graph = coo_matrix((np.ones(joined.sum()), (a[joined], b[joined])), shape=(len(points),) * 2)
    _, piece = connected_components(graph, directed=False)
    area = np.bincount(piece, size**2 * level)
    found: list[tuple[NDArray, float]] = []  # plane z = a x + b y + c, and its roughness
    for number in np.argsort(-area, kind="stable")[: np.count_nonzero(area >= _SUPPORT_AREA)]:
        mine = np.flatnonzero((piece == number) & level)
        plane, rough = _fit_level(points[mine])
        if rough > 0.015 or _width(points[mine, :2]) < _SUPPORT_WIDTH:
            continue
        # Things in the middle of a table part its surface.
        same = [
            n
            for n, (other, _) in enumerate(found)
            if np.abs(np.median(_over(points[mine], other))) < 0.01
            and _overlap(points[support == n, :2], points[mine, :2])
        ]
        if same:
            support[mine] = same[0]
        else:
            support[mine] = len(found)
            found.append((plane, rough))
    for number, (plane, rough) in enumerate(found):
        owned = support == number
        thickness = max(_THINNEST, 2 * rough)
        near = np.flatnonzero((support < 0) & (np.abs(_over(points, plane)) < thickness))
        support[near[_inside(points[owned, :2], points[near, :2])]] = number
    return support


def _fit_level(points: NDArray) -> tuple[NDArray, float]:
    """Plane z = a x + b y + c through most of the points, and the median distance of the points to it."""
    matrix = np.column_stack([points[:, :2], np.ones(len(points))])
    keep = np.ones(len(points), dtype=bool)
    for _ in range(3):
        plane = np.linalg.lstsq(matrix[keep], points[keep, 2], rcond=None)[0]
        away = np.abs(points[:, 2] - matrix @ plane)
        keep = away <= 3 * np.median(away) + 1e-6
    return plane, float(np.median(away))


def _over(points: NDArray, plane: NDArray) -> NDArray:
    over: NDArray = points[:, 2] - points[:, :2] @ plane[:2] - plane[2]
    return over


def _width(xy: NDArray) -> float:
    """Shorter side of the rectangle along the main axes of (N, 2)."""
    _, axes = np.linalg.eigh(np.cov(xy.T))
    return float(np.ptp(xy @ axes, axis=0).min())


def _overlap(a: NDArray, b: NDArray) -> bool:
    margin = 0.1
    return bool(
        (a.min(axis=0) - margin <= b.max(axis=0)).all() and (b.min(axis=0) - margin <= a.max(axis=0)).all()
    )


def _inside(outline: NDArray, xy: NDArray) -> NDArray[np.bool_]:
    """(N,) whether points lie over a support, given by other points (M, 2) of it; its gaps are closed."""
    low = outline.min(axis=0) - 3 * _SUPPORT_CELL
    cells = ((outline - low) / _SUPPORT_CELL).astype(np.int64)
    grid = np.zeros(cells.max(axis=0) + 4, dtype=bool)
    grid[tuple(cells.T)] = True
    grid = ndimage.binary_closing(grid, np.ones((3, 3)), iterations=2) | grid
    where = np.floor((xy - low) / _SUPPORT_CELL).astype(np.int64)
    valid = ((where >= 0) & (where < grid.shape)).all(axis=1)
    inside = np.zeros(len(xy), dtype=bool)
    inside[valid] = grid[tuple(where[valid].T)]
    return inside


def _peaks(values: NDArray, weights: NDArray, least: float) -> list[float]:
    """Where values pile up, ascending: medians of the local maxima of their density that weigh at least ``least``."""
    if len(values) == 0:
        return []
    width = _THICKNESS / 2
    low = values.min() - width
    histogram = np.bincount(((values - low) / width).astype(np.int64), weights, minlength=5)
    mass = np.convolve(histogram, np.ones(5), mode="same")
    # The middle counts most, so that equal values have one peak and not a plateau of them.
    pointed = np.convolve(histogram, [1, 2, 3, 2, 1], mode="same")
    peak = (mass >= least) & (pointed == ndimage.maximum_filter1d(pointed, 9))
    centers = low + (np.flatnonzero(peak) + 0.5) * width
    return [float(np.median(values[np.abs(values - center) < 2.5 * width])) for center in centers]


def _directions(normals: NDArray) -> list[float]:
    """Yaws, modulo half a turn, that many upright normals share."""
    if len(normals) == 0:
        return []
    degrees = np.rad2deg(np.arctan2(normals[:, 1], normals[:, 0])) % 180
    histogram = np.bincount((degrees / 3).astype(np.int64) % 60, minlength=60).astype(float)
    mass = ndimage.convolve1d(histogram, np.ones(3), mode="wrap")
    peak = (mass > 0.04 * len(normals)) & (mass == ndimage.maximum_filter1d(mass, 5, mode="wrap"))
    found = []
    for bin in np.flatnonzero(peak):
        away = (degrees - (bin * 3 + 1.5) + 90) % 180 - 90
        found.append(float(np.deg2rad(bin * 3 + 1.5 + np.median(away[np.abs(away) < 6]))))
    return found


def _patches(
    points: NDArray, normals: NDArray, facing: NDArray[np.int64], across: NDArray, offset: float
) -> NDArray[np.bool_]:
    """(N,) True on the large connected patches of one upright plane, but not on the fronts of large furniture."""
    result = np.zeros(len(points), dtype=bool)
    over, turned = points[:, :2] @ across - offset, normals[:, :2] @ across
    along = points[:, :2] @ np.array([-across[1], across[0]])
    slab = np.flatnonzero(np.abs(over) < _THICKNESS)
    flat = np.stack([along[slab], points[slab, 2]], axis=1)
    origin = flat.min(axis=0)
    where = ((flat - origin) / _CELL).astype(np.int64)
    seen = np.zeros(where.max(axis=0) + 1, dtype=bool)
    in_plane = np.zeros(len(points), dtype=bool)
    in_plane[facing] = True
    in_plane = in_plane[slab]
    seen[tuple(where[in_plane].T)] = True
    # Pictures, sockets and narrow gaps do not part a wall.
    closed = ndimage.binary_closing(np.pad(seen, 2), np.ones((3, 3)), iterations=2)[2:-2, 2:-2] | seen
    patch, _ = ndimage.label(closed)
    for number, box in enumerate(ndimage.find_objects(patch), start=1):
        size = np.array([s.stop - s.start for s in box]) * _CELL
        filled = (patch[box] == number).sum() * _CELL**2
        if (size >= _WALL_SIZE).all() and filled > 0.4 * size.prod():
            inside = patch[tuple(where.T)] == number
            mine = slab[inside]
            way = np.sign(np.median(turned[slab[inside & in_plane]]))
            low, high = np.percentile(along[mine], [2, 98])
            depth = -way * over
            behind = (depth > 2 * _THICKNESS) & (depth < _DEEPEST) & (way * turned > 0.8)
            if (behind & (along > low) & (along < high)).sum() <= _BEHIND * len(mine):
                result[mine] = True
    return result
