"""Point cloud operations in batches: sampling, neighbors, grouping, components, segment reductions.

Each operation is one public function, served by the fastest backend available (`backends`). Clouds are (B, N, 3); clouds
of different sizes are padded and come with ``lengths``, and padding never influences a result.
"""

from clip2.ops import gpu as _gpu  # noqa: F401  registers its kernels
from clip2.ops import native as _native  # noqa: F401  registers its kernels
from clip2.ops.batches import group
from clip2.ops.components import radius_components
from clip2.ops.neighbors import ball_query, knn
from clip2.ops.registry import backends, use_backend
from clip2.ops.sampling import farthest_point_sample
from clip2.ops.segment import segment_max, segment_mean, segment_softmax, segment_sum

__all__ = [
    "backends",
    "ball_query",
    "farthest_point_sample",
    "group",
    "knn",
    "radius_components",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "use_backend",
]
