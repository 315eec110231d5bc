"""Region merging over surface borders: smooth and convex borders first, concave ones last."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from clip2.ops import segment_max, segment_mean, segment_sum
from clip2.recognition.proposals.groups import group_indices, owners

# A part lighter than this share of its partner is a fragment of it, not a second object.
_FRAGMENT = 0.2
# Weight of a convex edge relative to a concave one: the edges of a box are convex, the edge where it touches its table is not.
_CONVEX = 0.15
# Strength above that of any border, at which nothing is connected.
_APART = 3.0
# Small regions merge more easily, by their size to this power: they are more often parts.
_EASE = 0.2
# Weight of a step between parallel surfaces relative to a concave edge: noise makes small steps everywhere.
_STEP = 0.1
# A fragment on a level surface behind a border this strong is an object by itself: a cup on a table.
_RESTS = 0.2


def convex_regions(
    points: NDArray,
    normals: NDArray,
    spacing: float,
    is_object: Callable[[NDArray, NDArray], bool],
    min_points: int,
) -> list[NDArray[np.int64]]:
    """Group surface patches into regions that persist while ever stronger borders are crossed.

    Small patches are merged over their weakest common border first. A border is strong if it is concave or a step, weak
    if it is smooth or convex (after LCCP, Stein et al., CVPR 2014); its strength is averaged over its length. From the
    tree of merges, groups are chosen as in HDBSCAN: by number of points times lifetime.

    Args:
        points: (N, 3) meters, evenly spread.
        normals: (N, 3) unit, oriented.
        spacing: of the points, meters.
        is_object: whether a group could be one object, given its lowest and highest corner.
        min_points: of the smallest group.

    Returns:
        Ascending indices of each group; groups do not overlap.
    """
    if len(points) < 2:
        return []
    pairs = cKDTree(points).query_pairs(1.9 * spacing, output_type="ndarray")
    patch = _patches(points, normals, pairs, 3 * spacing)
    merging = _Merging(points, normals, patch, pairs, spacing)
    merging.run()
    clusters = merging.condensed(is_object, min_points)
    chosen = choose_clusters(clusters)
    owner = owners([merging.leaves(cluster.node) for cluster in chosen], merging.count)
    return group_indices(owner[patch], len(chosen))


def _patches(points: NDArray, normals: NDArray, pairs: NDArray[np.int64], side: float) -> NDArray[np.int64]:
    """(N,) number of the patch of each point: connected, within one grid cell, facing one of six ways."""
    cell = np.floor((points - points.min(axis=0)) / side).astype(np.int64)
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (normals[np.arange(len(normals)), axis] > 0)
    key = np.column_stack([cell, way])
    same = pairs[(key[pairs[:, 0]] == key[pairs[:, 1]]).all(axis=1)]
    graph = coo_matrix((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


class _Merge(NamedTuple):
    """A merge of two nodes, with the mean height (meters) and levelness (0 to 1) of their common border."""

    big: int
    small: int
    strength: float
    border_height: float
    border_level: float


@dataclass
class Cluster:
    """A region of the merge tree that is heavy enough to be an object or to hold some.

    Attributes:
        node: of the merge tree.
        size: number of points.
        born: border strength at which it was formed.
        children: the two parts it splits into.
        riders: small objects that rest on it, like a cup on a table.
        value: points times lifetime; 0 if it cannot be one object.
    """

    node: int
    size: int
    born: float
    children: list[Cluster] = field(default_factory=list)
    riders: list[Cluster] = field(default_factory=list)
    value: float = 0.0


def choose_clusters(roots: list[Cluster]) -> list[Cluster]:
    """Choose between each cluster and its parts by value, and add the riders of the chosen ones.

    Stacks replace recursion: where parts join one after another, the tree is as deep as the scan is long.
    """
    order = list(roots)
    for cluster in order:  # grows during the loop: parents come before their children
        order += cluster.children + cluster.riders
    best: dict[int, float] = {}
    for cluster in reversed(order):
        below = sum(best[id(child)] for child in cluster.children)
        best[id(cluster)] = max(cluster.value, below)
    chosen, stack = [], roots[::-1]
    while stack:
        cluster = stack.pop()
        if cluster.value >= sum(best[id(child)] for child in cluster.children):
            chosen += [cluster] if cluster.value > 0 else []
            stack += cluster.riders[::-1]
        else:
            # Riders come after the parts: of two clusters that share leaves, the later owns them.
            stack += cluster.riders[::-1] + cluster.children[::-1]
    return chosen


class _Merging:
    """Average-linkage merging of patches over their borders."""

    def __init__(
        self,
        points: NDArray,
        normals: NDArray,
        patch: NDArray[np.int64],
        pairs: NDArray[np.int64],
        spacing: float,
    ) -> None:
        self.count = int(patch.max()) + 1
        self.patch_size = np.bincount(patch).tolist()
        self.size = list(self.patch_size)
        coordinates, facing, segment = (
            torch.from_numpy(a) for a in (np.float64(points), np.float64(normals), patch)
        )
        center = segment_mean(coordinates, segment, self.count).numpy()
        normal = segment_sum(facing, segment, self.count).numpy()
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        self.low = -segment_max(-coordinates, segment, self.count).numpy()
        self.high = segment_max(coordinates, segment, self.count).numpy()
        self.unit = 0.02 / spacing**2  # points on 200 cm², the visible surface of a small object
        self.ease = [self._ease(count) for count in self.size]
        # Border number by neighbor, for each region. Plain integers: with tens of thousands of borders, making and
        # collecting small objects would cost more than all the work on them.
        self.borders: list[dict[int, int]] = [{} for _ in range(self.count)]
        ends = np.sort(patch[pairs], axis=1)
        across = ends[:, 0] != ends[:, 1]
        ends, pair, length = np.unique(ends[across], axis=0, return_inverse=True, return_counts=True)
        height = np.bincount(pair.reshape(-1), points[pairs[across], 2].mean(axis=1))
        level = np.abs(normal[ends, 2]).max(axis=1) * length
        strength = _border_strength(center, normal, ends) * length
        # Sums over the pairs of points along a border; divided by its length they are means.
        self.strength, self.length = strength.tolist(), length.astype(float).tolist()
        self.height, self.level = height.tolist(), level.tolist()
        for border, (a, b) in enumerate(ends.tolist()):
            self.borders[a][b] = self.borders[b][a] = border
        self.node = list(range(self.count))
        self.merges: list[_Merge] = []

    def run(self) -> None:
        heap = [
            (self._cost(a, b, border), a, b)
            for a, borders in enumerate(self.borders)
            for b, border in borders.items()
            if a < b
        ]
        heapq.heapify(heap)
        passed = 0.0
        while heap:
            cost, a, b = heapq.heappop(heap)
            border = self.borders[a].get(b)
            if border is None or cost != self._cost(a, b, border):
                continue
            passed = max(passed, cost)
            self._merge(a, b, passed, heap)

    def _merge(self, big: int, small: int, strength: float, heap: list[tuple[float, int, int]]) -> None:
        """Merge the smaller region into the bigger one, so that unchanged borders need no new entry."""
        if self.size[big] < self.size[small]:
            big, small = small, big
        before = self.size[big]
        self.size[big] += self.size[small]
        self.ease[big] = self._ease(self.size[big])
        mine, theirs = self.borders[big], self.borders[small]
        border = mine.pop(small)
        length = self.length[border]
        self.merges.append(
            _Merge(
                self.node[big],
                self.node[small],
                strength,
                self.height[border] / length,
                self.level[border] / length,
            )
        )
        self.node[big] = self.count + len(self.merges) - 1
        del theirs[big]
        for other, added in theirs.items():
            known = mine.get(other)
            if known is None:
                mine[other] = self.borders[other][big] = known = added
            else:
                self._lengthen(known, added)
            del self.borders[other][small]
            heapq.heappush(heap, (self._cost(big, other, known), big, other))
        for other, border in mine.items():
            if self.size[other] > before and other not in theirs:
                heapq.heappush(heap, (self._cost(big, other, border), big, other))
        self.borders[small] = {}

    def _lengthen(self, border: int, added: int) -> None:
        for sums in (self.strength, self.length, self.height, self.level):
            sums[border] += sums[added]

    def _cost(self, a: int, b: int, border: int) -> float:
        return self.strength[border] / self.length[border] * min(self.ease[a], self.ease[b])

    def _ease(self, size: int) -> float:
        return (min(size, 50 * self.unit) / self.unit) ** _EASE

    def condensed(self, is_object: Callable[[NDArray, NDArray], bool], min_points: int) -> list[Cluster]:
        """Roots of the tree of merges, after fragments are absorbed by their bigger neighbor."""
        low, high = list(self.low), list(self.high)
        size = list(self.patch_size)
        roots = {i: Cluster(i, count, 0.0) for i, count in enumerate(size)}

        def end(cluster: Cluster, node: int, height: float) -> None:
            cluster.node, cluster.size = node, size[node]
            possible = cluster.size >= min_points and is_object(low[node], high[node])
            cluster.value = cluster.size * (height - cluster.born) if possible else 0.0

        for node, merge in enumerate(self.merges, start=self.count):
            a, b, height = merge[:3]
            low.append(np.minimum(low[a], low[b]))
            high.append(np.maximum(high[a], high[b]))
            size.append(size[a] + size[b])
            big, small = (a, b) if size[a] >= size[b] else (b, a)
            first, second = roots.pop(big), roots.pop(small)
            if size[small] < min_points:
                roots[node] = first
                continue
            if size[small] < _FRAGMENT * size[big] and is_object(low[big], high[big]):
                roots[node] = first
                if height - second.born > _RESTS and _rests(merge, low[small], high[small]):
                    end(second, small, height)
                    first.riders.append(second)
                continue
            end(first, big, height)
            end(second, small, height)
            roots[node] = Cluster(node, size[node], height, [first, second])
        for node, cluster in roots.items():
            end(cluster, node, max(_APART, cluster.born))
        return list(roots.values())

    def leaves(self, node: int) -> NDArray[np.int64]:
        """Patches below a node."""
        found, stack = [], [node]
        while stack:
            node = stack.pop()
            if node < self.count:
                found.append(node)
            else:
                stack.extend(self.merges[node - self.count][:2])
        return np.array(found)


def _rests(merge: _Merge, low: NDArray, high: NDArray) -> bool:
    """Whether the border is level and at the foot of the region between the corners ``low`` and ``high``."""
    foot = low[2] + 0.4 * (high[2] - low[2])
    return merge.border_level > 0.85 and merge.border_height <= foot


def _border_strength(center: NDArray, normal: NDArray, ends: NDArray[np.int64]) -> NDArray:
    """(E,) evidence that each border separates two objects: from 0 (smooth) to about 1."""
    a, b = ends.T
    way = center[b] - center[a]
    way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    turn = 1 - np.einsum("ij,ij->i", normal[a], normal[b])
    opening = np.einsum("ij,ij->i", normal[b] - normal[a], way)
    mean = normal[a] + normal[b]
    mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    step = np.abs(np.einsum("ij,ij->i", mean, way))
    return np.where(opening < 0, turn, _CONVEX * turn) + _STEP * step**2
