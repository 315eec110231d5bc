"""Index inputs of ``encoder.onnx``: one farthest-point sample, and neighborhoods of its points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.point_queries import ball_query, farthest_point_sample, knn
from clip2.runtime.description import IndexPlan


def plan_indices(
    points: NDArray[np.float32], lengths: NDArray[np.int64], plan: IndexPlan
) -> list[NDArray[np.int64]]:
    """The inputs :attr:`IndexPlan.names`, in their order.

    Args:
        points: (B, N, 3) float32, centered and scaled.
        lengths: (B,) int64 real points of each cloud; the rest is padding.
        plan: from the description of the exported model.
    """
    if plan.samples == 0:
        return []
    sample = farthest_point_sample(points, plan.samples, lengths)
    chosen = np.take_along_axis(points, sample[..., None], axis=1)
    indices = [sample]
    for query in plan.queries:
        cloud, ends = points, lengths
        if query.searched is not None:
            cloud = chosen[:, : query.searched]
            ends = np.minimum(lengths, cloud.shape[1])
        centers = chosen[:, : query.centers]
        if query.radius is None:
            indices.append(knn(cloud, centers, query.k, ends))
        else:
            indices.append(ball_query(cloud, centers, query.radius, query.k, ends))
    return indices
