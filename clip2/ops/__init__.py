"""Operations on batches of point clouds: sampling, neighbors, grouping, components, segment reductions.

One public function per operation, served by the best backend at hand (`backends`). Clouds are (B, N, 3); ragged
batches are padded and say so with ``lengths``, and padding never influences a result (`pad_ragged` makes one of
clouds that follow each other in a table with offsets).
"""

from clip2.ops import gpu as _gpu  # noqa: F401  registers its kernels
from clip2.ops import native as _native  # noqa: F401  registers its kernels
from clip2.ops.components import radius_components
from clip2.ops.grouping import group
from clip2.ops.neighbors import ball_query, knn, three_interpolate, three_nn
from clip2.ops.ragged import pad_ragged, unpad
from clip2.ops.registry import backends, use_backend
from clip2.ops.sampling import farthest_point_sample, grid_sample, random_sample
from clip2.ops.segment import segment_max, segment_mean, segment_softmax, segment_sum

__all__ = [
    "backends",
    "ball_query",
    "farthest_point_sample",
    "grid_sample",
    "group",
    "knn",
    "pad_ragged",
    "radius_components",
    "random_sample",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "three_interpolate",
    "three_nn",
    "unpad",
    "use_backend",
]
