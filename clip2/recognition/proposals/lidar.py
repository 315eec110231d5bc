"""Object proposals in a LiDAR sweep: clusters at several radii over the ground, chosen by a trained objectness."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clip2.point_queries import radius_components
from clip2.recognition.proposals.component_tree import ComponentTree
from clip2.recognition.proposals.cuts import cut_at_valleys
from clip2.recognition.proposals.groups import group_indices, owners
from clip2.recognition.proposals.lidar_features import FEATURES, node_features
from clip2.recognition.proposals.proposals import Proposals
from clip2.recognition.proposals.scorer import Scorer, shipped_scorer
from clip2.recognition.proposals.sweep import beam_gap
from data_prep.geometry.ground import GroundMap
from data_prep.geometry.voxels import voxel_index

# Outputs of the scorer: the chance of one whole object, the expected IoU with the nearest one, and kinds of background.
OUTPUTS = ("object", "overlap", "building", "wall", "fence", "vegetation")
_BACKGROUND = 2  # the first of the kinds
_VOXEL = 0.08  # m: objects outdoors are further apart than this
_GROUND = 0.2  # m above the ground: lower points do not join objects
_FOOT = 0.08  # m: points from here to _GROUND under an object are given back to it
_FINEST_RADIUS = (0.15, 0.6)  # m, near and far
_EVEN_RADIUS = 0.2  # m: the finest radius if the sensor is unknown; the cloud is assumed evenly dense
_REACH = 0.55  # finest radius as a share of the gap between beams; upward it reaches twice as far
_FLATTER = 0.5  # heights are scaled by this: beams are further apart upward than shots are sideways
_STEPS, _GROWTH = 7, 1.35  # number of radii, and from each to the next
_MIN_POINTS = 5
_COST = 0.2  # expected IoU below which a cluster is no proposal
_GAIN = 0.7  # a node is worth its points to this power: with 0, halves of an object would win over the whole
_SURE = 0.5  # probability above which a cluster is labeled as background


@dataclass(frozen=True)
class Candidates:
    """Clusters of a sweep with their features.

    Attributes:
        tree: M nodes over voxels.
        features: (M, F) as in ``FEATURES``.
        above: (A,) ascending indices of the points over the ground.
        voxel: (A,) voxel of each of them.
        low: indices of the points between ground and ``above``.
        ground: under the sweep.
    """

    tree: ComponentTree
    features: NDArray[np.float32]
    above: NDArray[np.int64]
    voxel: NDArray[np.int64]
    low: NDArray[np.int64]
    ground: GroundMap


def propose_lidar(points: NDArray, viewpoint: NDArray | None, scorer: Scorer | None = None) -> Proposals:
    """Proposals in a sweep; arguments as in :func:`propose_objects`; ``scorer`` in place of the shipped one."""
    found = find_candidates(points, viewpoint)
    if found is None:
        return Proposals.join([], [])
    scores = (scorer or shipped_scorer("lidar", FEATURES))(found.features)
    chosen, rest = found.tree.choose((scores[:, 1] - _COST) * found.tree.weight**_GAIN)
    kinds = scores[rest, _BACKGROUND:]
    rest, kinds = rest[kinds.max(axis=1) > _SURE], kinds[kinds.max(axis=1) > _SURE]
    nodes = np.concatenate([chosen, rest])
    members = [found.tree.order[found.tree.start[node] : found.tree.stop[node]] for node in nodes]
    owner = owners(members, len(found.tree.order))
    parts = [found.above[group] for group in group_indices(owner[found.voxel], len(nodes))]
    groups = members_with_feet(points, parts[: len(chosen)], found.low) + parts[len(chosen) :]
    background: list[str | None] = [None] * len(chosen)
    background += [OUTPUTS[_BACKGROUND + i] for i in kinds.argmax(axis=1)]
    found_in = Proposals.join(groups, np.append(scores[chosen, 0], np.zeros(len(rest))), background)
    return replace(found_in, ground=found.ground)


def find_candidates(points: NDArray, viewpoint: NDArray | None) -> Candidates | None:
    """The clusters to choose from; None if nothing stands on the ground."""
    ground = GroundMap.fit(points)
    height = points[:, 2] - ground.height(points[:, :2])
    above = np.flatnonzero(height > _GROUND)
    if len(above) == 0:
        return None
    first, voxel = voxel_index(points.take(above, axis=0), _VOXEL)
    sample = points.take(above[first], axis=0).astype(np.float64)
    finest, gap = np.full(len(sample), _EVEN_RADIUS), 0.0
    if viewpoint is not None:
        gap = beam_gap(points, viewpoint)
        finest = np.clip(_REACH * gap * np.linalg.norm(sample - viewpoint, axis=1), *_FINEST_RADIUS)
    radii = np.stack([finest * _GROWTH**step for step in range(_STEPS)])
    levels = radius_components(sample * [1, 1, _FLATTER], radii)
    over = height[above[first]]
    cut = cut_at_valleys(sample[:, :2], over, levels[0])
    weight = np.bincount(voxel, minlength=len(first))
    tree = ComponentTree.build(np.concatenate([cut[None], levels]), weight, _MIN_POINTS)
    low = np.flatnonzero((height > _FOOT) & (height <= _GROUND))
    return Candidates(tree, node_features(tree, sample, over, viewpoint, gap), above, voxel, low, ground)


def members_with_feet(
    points: NDArray, parts: list[NDArray[np.int64]], low: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Give each part the low points inside its footprint rectangle; of overlapping rectangles the smaller gets them.

    Args:
        points: (N, 3) meters.
        parts: ascending indices into ``points``, none empty, without overlap.
        low: indices of the low points, which belong to no part yet.

    Returns:
        The parts with their new points, ascending.
    """
    if not parts:
        return []
    owned = points.take(np.concatenate(parts), axis=0)[:, :2]
    starts = np.cumsum([0, *map(len, parts[:-1])])
    least, most = np.minimum.reduceat(owned, starts), np.maximum.reduceat(owned, starts)
    # Sorted by x, each rectangle checks only the points within its own range.
    low = low[np.argsort(points[low, 0])]
    x, y = np.ascontiguousarray(points[low, :2].T)
    begins, ends = np.searchsorted(x, least[:, 0]), np.searchsorted(x, most[:, 0], side="right")
    owner = owners(parts, len(points))
    for number in np.argsort(-(most - least).prod(axis=1), kind="stable"):
        stretch = slice(begins[number], ends[number])
        inside = (y[stretch] >= least[number, 1]) & (y[stretch] <= most[number, 1])
        owner[low[stretch][inside]] = number
    return group_indices(owner, len(parts))
