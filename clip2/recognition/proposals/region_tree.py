"""Surfaces grown together along smooth and convex borders first: objects part where they meet in a hollow edge."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

# A part lighter than this share of its partner is a crumb of it, not a second object.
_CRUMB = 0.2
# A convex edge speaks this much less for a border than a hollow one: boxes are convex, what stands on them is not.
_CONVEX = 0.15
# Where nothing touches any more: higher than any border that is passed.
_APART = 3.0
# What is small is merged more easily, by its size to this power: it is more often a part.
_EASE = 0.2
# A step between parallel surfaces is worth this much of a hollow edge: noise makes small ones everywhere.
_STEP = 0.1
# A crumb that stands on a level place behind a border this strong is a thing of its own: a cup on a table.
_STANDS = 0.2


def convex_regions(
    points: NDArray,
    normals: NDArray,
    spacing: float,
    is_object: Callable[[NDArray, NDArray], bool],
    min_points: int,
) -> list[NDArray[np.int64]]:
    """Groups of surface patches that hold together longest while ever stronger borders are passed.

    Small patches are merged over their weakest common border first; a border is strong where it is hollow (concave) or a
    step, weak where it is smooth or convex (after LCCP, Stein et al., CVPR 2014), and is averaged over its
    whole length. From the tree of merges, groups are chosen as HDBSCAN chooses clusters: by points times lifetime.

    Args:
        points: (N, 3) meters, evenly spread.
        normals: (N, 3) unit, oriented.
        spacing: of the points, meters.
        is_object: given the lowest and highest corner of a group, whether it could be one object.
        min_points: smallest group.

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
    chosen = _choose(clusters)
    owner = np.full(merging.count, -1)
    for number, cluster in enumerate(chosen):
        owner[merging.leaves(cluster.node)] = number
    of_point = owner[patch]
    order = np.argsort(of_point, kind="stable")
    cuts = np.searchsorted(of_point[order], np.arange(len(chosen)))
    return [np.sort(part) for part in np.split(order, cuts)[1:]]


def _patches(points: NDArray, normals: NDArray, pairs: NDArray[np.int64], side: float) -> NDArray[np.int64]:
    """(N,) number of a small connected patch: one grid cell, one of six ways to face."""
    cell = np.floor((points - points.min(axis=0)) / side).astype(np.int64)
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (normals[np.arange(len(normals)), axis] > 0)
    key = np.column_stack([cell, way])
    same = pairs[(key[pairs[:, 0]] == key[pairs[:, 1]]).all(axis=1)]
    graph = coo_matrix((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


class _Merge(NamedTuple):
    """Two nodes made one. Of the border they had in common: its mean height, meters, and how level it was, 0 to 1."""

    big: int
    small: int
    strength: float
    border_height: float
    border_level: float


@dataclass
class _Cluster:
    node: int
    size: int
    born: float
    children: list[_Cluster] = field(default_factory=list)
    riders: list[_Cluster] = field(default_factory=list)
    value: float = 0.0


def _choose(roots: list[_Cluster]) -> list[_Cluster]:
    """Of each cluster and its parts those of the higher value; those that stand on them as well.

    Stacks instead of recursion: the tree is as deep as a scan is long, where parts join one after the other.
    """
    order = list(roots)
    for cluster in order:  # grows while it is walked: parents come before what is below them
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
            # What stands on a whole comes after its parts: of two that share leaves, the later owns them.
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
        size = np.array(self.size, dtype=float)
        center = np.stack([np.bincount(patch, points[:, i]) for i in range(3)], axis=1) / size[:, None]
        normal = np.stack([np.bincount(patch, normals[:, i]) for i in range(3)], axis=1)
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        self.low = np.full((self.count, 3), np.inf)
        self.high = np.full((self.count, 3), -np.inf)
        np.minimum.at(self.low, patch, points)
        np.maximum.at(self.high, patch, points)
        self.unit = 0.02 / spacing**2  # points on 200 cm²: what a small object shows
        self.ease = [self._ease(count) for count in self.size]
        # Of a region the number of the border to each neighbor. Plain numbers: a scan has tens of thousands of borders,
        # and as many small objects would cost more to make, and to collect, than all that is done with them.
        self.borders: list[dict[int, int]] = [{} for _ in range(self.count)]
        ends = np.sort(patch[pairs], axis=1)
        across = ends[:, 0] != ends[:, 1]
        ends, pair, length = np.unique(ends[across], axis=0, return_inverse=True, return_counts=True)
        height = np.bincount(pair.reshape(-1), points[pairs[across], 2].mean(axis=1))
        level = np.abs(normal[ends, 2]).max(axis=1) * length
        strength = _border_strength(center, normal, ends) * length
        # Sums over the pairs of points that meet along a border; divided by its length they are means.
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
        """The smaller region goes into the bigger one's place: borders that do not change need no new entry."""
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

    def condensed(self, is_object: Callable[[NDArray, NDArray], bool], min_points: int) -> list[_Cluster]:
        """The tree of merges with crumbs taken up by their big neighbor; its roots."""
        low, high = list(self.low), list(self.high)
        size = list(self.patch_size)
        roots = {i: _Cluster(i, count, 0.0) for i, count in enumerate(size)}

        def end(cluster: _Cluster, node: int, height: float) -> None:
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
            if size[small] < _CRUMB * size[big] and is_object(low[big], high[big]):
                roots[node] = first
                if height - second.born > _STANDS and _stands(merge, low[small], high[small]):
                    end(second, small, height)
                    first.riders.append(second)
                continue
            end(first, big, height)
            end(second, small, height)
            roots[node] = _Cluster(node, size[node], height, [first, second])
        for node, cluster in roots.items():
            end(cluster, node, max(_APART, cluster.born))
        return list(roots.values())

    def leaves(self, node: int) -> list[int]:
        """Patches under a node."""
        found, stack = [], [node]
        while stack:
            node = stack.pop()
            if node < self.count:
                found.append(node)
            else:
                stack.extend(self.merges[node - self.count][:2])
        return found


def _stands(merge: _Merge, low: NDArray, high: NDArray) -> bool:
    """Whether the border is a level one at the foot of what lies between the corners ``low`` and ``high``."""
    foot = low[2] + 0.4 * (high[2] - low[2])
    return merge.border_level > 0.85 and merge.border_height <= foot


def _border_strength(center: NDArray, normal: NDArray, ends: NDArray[np.int64]) -> NDArray:
    """(E,) how much each border between two patches looks like one between two objects, 0 smooth to about 1."""
    a, b = ends.T
    way = center[b] - center[a]
    way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    turn = 1 - np.einsum("ij,ij->i", normal[a], normal[b])
    opening = np.einsum("ij,ij->i", normal[b] - normal[a], way)
    mean = normal[a] + normal[b]
    mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    step = np.abs(np.einsum("ij,ij->i", mean, way))
    return np.where(opening < 0, turn, _CONVEX * turn) + _STEP * step**2
