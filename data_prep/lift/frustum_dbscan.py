"""Frustum + DBSCAN lifter: the recipe of CLIP² (Zeng et al., CVPR 2023, arXiv 2303.12417), our baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.lift.config import FrustumDbscanConfig
from data_prep.lift.lifter import LIFTERS, NO_CLUSTER, Choice, Lifter, Region
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View


@LIFTERS.register("frustum-dbscan")
class FrustumDbscanLifter(Lifter[FrustumDbscanConfig]):
    """Takes all points inside the 2D box, clusters them by DBSCAN with one fixed radius, keeps the largest cluster."""

    name: ClassVar[str] = "frustum-dbscan"
    Config: ClassVar = FrustumDbscanConfig

    def choose(
        self, frame: Frame, view: View, seen: ProjectedPoints, regions: Sequence[Region]
    ) -> list[Choice]:
        """See :meth:`Lifter.choose`."""
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
