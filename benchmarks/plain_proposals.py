"""Plain baseline for proposals: large planes taken away, then DBSCAN, as anybody would write it in twenty lines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from data_prep.geometry.voxels import voxel_index


@dataclass(frozen=True)
class Plain:
    """Settings of the baseline for one kind of place, lengths in meters.

    Attributes:
        voxel: size of the voxels that are clustered.
        thickness: distance from a plane up to which a point belongs to it.
        area: the largest plane is always removed, further ones while they cover this many m².
        radius, least: of DBSCAN.
    """

    voxel: float
    thickness: float
    area: float
    radius: float
    least: int = 10


# The first is the baseline of issue reports on table tops; the others scale it to the place. None was tuned.
TABLETOP = Plain(voxel=0.004, thickness=0.01, area=np.inf, radius=0.01)
ROOM = Plain(voxel=0.02, thickness=0.025, area=1.0, radius=0.05)
STREET = Plain(voxel=0.1, thickness=0.2, area=np.inf, radius=0.5, least=5)


def plain_proposals(points: NDArray, plain: Plain) -> tuple[NDArray[np.int64], ...]:
    """Groups of (N, 3) points, largest first."""
    first, voxel = voxel_index(points, plain.voxel)
    cloud = points[first].astype(np.float64)
    rest = np.arange(len(cloud))
    o3d.utility.random.seed(0)
    while len(rest) >= 3:
        geometry = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud[rest]))
        _, on_plane = geometry.segment_plane(plain.thickness, 3, 500)
        if len(rest) < len(cloud) and len(on_plane) * plain.voxel**2 < plain.area:
            break
        rest = np.delete(rest, on_plane)
    geometry = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud[rest]))
    group = np.full(len(cloud), -1)
    group[rest] = np.asarray(geometry.cluster_dbscan(plain.radius, plain.least))
    order = np.argsort(group[voxel], kind="stable")
    starts = np.searchsorted(group[voxel][order], np.arange(group.max() + 2))
    groups = [np.sort(order[a:b]) for a, b in pairwise(starts)]
    return tuple(sorted(groups, key=len, reverse=True))
