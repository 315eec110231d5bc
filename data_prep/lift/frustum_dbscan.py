"""The recipe of CLIP² (Zeng et al., CVPR 2023, arXiv 2303.12417): the thing to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.lift.filters import NO_CLUSTER, require
from data_prep.lift.lifter import Choice, Lifter, Region, register_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View


@dataclass(frozen=True)
class FrustumDbscanConfig:
    """Attributes:
    radius: DBSCAN's neighborhood, meters; one for all objects, near and far.
    neighbors: DBSCAN's ``min_points``, the point itself included.
    """

    radius: float = 0.6
    neighbors: int = 1

    def __post_init__(self) -> None:
        require(self.radius > 0, "radius", self.radius, "meters above 0")
        require(self.neighbors >= 1, "neighbors", self.neighbors, "1 or more")


@register_lifter
class FrustumDbscanLifter(Lifter):
    """All points inside the 2D box, DBSCAN with one fixed radius, the largest cluster."""

    name: ClassVar[str] = "frustum-dbscan"
    Config: ClassVar[type] = FrustumDbscanConfig
    config: FrustumDbscanConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        return [self._largest_cluster(frame, seen, region.where) for region in regions]

    def _largest_cluster(self, frame: Frame, seen: ProjectedPoints, where: NDArray[np.int64]) -> Choice:
        import open3d as o3d  # heavy, and only this lifter needs it

        cloud = o3d.geometry.PointCloud(
            o3d.utility.Vector3dVector(frame.points[seen.indices[where]].astype(np.float64))
        )
        labels = np.asarray(cloud.cluster_dbscan(self.config.radius, self.config.neighbors))
        if labels.max() < 0:
            return Choice(where[:0], reason=NO_CLUSTER)
        chosen = where[labels == np.bincount(labels[labels >= 0]).argmax()]
        return Choice(chosen, depth=float(np.median(seen.depth[chosen])))
