"""Tree of the clusters at several radii, and the best choice of nodes that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CRUMBS = 1.04  # a cluster that grows by less is the same thing


@dataclass(frozen=True)
class ComponentTree:
    """Clusters at every radius as M nodes; a cluster that hardly grows from one radius to the next is one node.

    Children come before their parents. Each node's points are contiguous in ``order``.

    Attributes:
        order: (N,) the points, sorted.
        start, stop: (M,) slice of ``order`` that each node holds.
        parent: (M,) the smallest node that holds more, -1 for none.
        born, died: (M,) first level at which the node exists, and first level at which it has grown; ``levels`` if never.
        weight: (M,) sum of its points' weights.
        parts: (M,) number of clusters of the level before that it unites, 1 at the finest.
        levels: number of radii.
    """

    order: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    parent: NDArray[np.int64]
    born: NDArray[np.int64]
    died: NDArray[np.int64]
    weight: NDArray[np.int64]
    parts: NDArray[np.int64]
    levels: int

    @classmethod
    def build(
        cls, labels: NDArray[np.int64], weights: NDArray[np.int64], min_weight: int = 1
    ) -> ComponentTree:
        """Tree of nested partitions.

        Args:
            labels: (L, N) cluster of each point at each level, from fine to coarse; clusters of a level unite whole
                clusters of the level before.
            weights: (N,) of the points.
            min_weight: lighter nodes are left out.

        >>> tree = ComponentTree.build(np.array([[0, 1, 2, 0], [0, 1, 0, 0]]), np.ones(4, np.int64))
        >>> [tree.order[a:b].tolist() for a, b in zip(tree.start, tree.stop, strict=True)], tree.parent.tolist()
        ([[0, 3], [2], [1], [0, 3, 2]], [3, 3, -1, -1])
        """
        levels, count = labels.shape
        _, first = np.unique(labels[0], return_index=True)
        place = np.empty(
            len(first), dtype=np.int64
        )  # of the finest clusters, sorted from the coarsest level down
        place[np.lexsort(labels[:, first])] = np.arange(len(first))
        order = np.argsort(place[labels[0]], kind="stable")
        total = np.concatenate([[0], np.cumsum(weights[order])])
        starts, ids = np.zeros(0, np.int64), np.zeros(0, np.int64)
        nodes: list[
            tuple[NDArray[np.int64], ...]
        ] = []  # start, stop, born, parts of the new nodes of each level
        links: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        made = 0
        for level, label in enumerate(labels):
            at = order if level == 0 else order[starts]
            new = np.flatnonzero(np.diff(label[at], prepend=-1))
            parts = np.diff(new, append=len(at))
            starts = new if level == 0 else starts[new]
            stops = np.append(starts[1:], count)
            grown = np.flatnonzero(parts > 1) if level else np.arange(len(starts))
            now = np.empty(len(starts), np.int64) if level == 0 else ids[new]
            now[grown] = made + np.arange(len(grown))
            if level:
                above = np.repeat(now, parts)
                moved = above != ids
                links.append((ids[moved], above[moved]))
            made_of = parts[grown] if level else np.ones(len(grown), np.int64)
            nodes.append((starts[grown], stops[grown], np.full(len(grown), level), made_of))
            made, ids = made + len(grown), now
        start, stop, born, parts = (np.concatenate(column) for column in zip(*nodes, strict=True))
        parent = np.full(made, -1)
        for below, above in links:
            parent[below] = above
        weight = total[stop] - total[start]
        above = parent.tolist()
        keep = _kept(above, weight.tolist(), min_weight)
        stands = [-1] * (made + 1)  # new number of each node; the last entry is that of "no parent"
        for number, node in enumerate(keep.tolist()):
            stands[node] = number
        for node in range(made - 1, -1, -1):  # those left out stand for the node above them
            if stands[node] < 0:
                stands[node] = stands[above[node]]
        parent, born = np.array(stands)[parent[keep]], born[keep]
        died = np.where(parent >= 0, born[parent], levels)
        return cls(order, start[keep], stop[keep], parent, born, died, weight[keep], parts[keep], levels)

    def __len__(self) -> int:
        return len(self.start)

    def points(self, node: int) -> NDArray[np.int64]:
        """Ascending indices of a node's points."""
        return np.sort(self.order[self.start[node] : self.stop[node]])

    def choose(self, value: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Nodes that do not overlap and have the largest sum of values, by dynamic programming from the leaves up.

        Args:
            value: (M,); a node below 0 is never chosen.

        Returns:
            The chosen nodes, ascending; and the largest nodes that share no point with any of them.
        """
        own, parent = value.tolist(), self.parent.tolist()
        below = [0.0] * len(own)  # best sum of the nodes under each
        wins = [False] * len(own)
        for node, up in enumerate(parent):
            wins[node] = own[node] > below[node]
            best = own[node] if wins[node] else below[node]
            if up >= 0:
                below[up] += best
        chosen, rest = [], []
        open_ = [False] * len(own)  # whether the choice is made further down
        for node in range(len(own) - 1, -1, -1):
            up = parent[node]
            if up >= 0 and not open_[up]:
                continue
            if wins[node]:
                chosen.append(node)
            elif below[node] > 0:
                open_[node] = True
            else:
                rest.append(node)
        return np.array(chosen[::-1], np.int64), np.array(rest[::-1], np.int64)


def _kept(parent: list[int], weight: list[int], min_weight: int) -> NDArray[np.int64]:
    """Nodes that are heavy enough, and more than one of their parts with crumbs."""
    core = [0] * len(parent)  # weight of the heaviest node kept within each
    kept = []
    for node, own in enumerate(weight):
        if own < min_weight:  # most nodes are a few points; nothing within them was kept
            continue
        heaviest = core[node]
        if own >= _CRUMBS * heaviest:
            kept.append(node)
            heaviest = own
        up = parent[node]
        if up >= 0 and heaviest > core[up]:
            core[up] = heaviest
    return np.array(kept, np.int64)
