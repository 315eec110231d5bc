"""Clustering at several radii, with the most persistent clusters kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.ops import radius_components

# A part lighter than this share of an object is a fragment of it, not a second object.
_FRAGMENT = 0.1

IsObject = Callable[[NDArray, Sequence[float]], bool]


def stable_clusters(
    points: NDArray,
    radii: Sequence[NDArray | float],
    is_object: IsObject,
    weights: NDArray[np.int64] | None = None,
    min_weight: int = 10,
) -> list[NDArray[np.int64]]:
    """Find the clusters that persist longest as the radius grows.

    Components at a larger radius contain those at a smaller one, so they form a tree. Going down the tree, a cluster ends
    where it splits into two or more parts that are heavy enough. Of a cluster and its parts, the choice with the longer
    lifetime (in steps of the radius, weighted by points) is kept, as in HDBSCAN (Campello et al., "Hierarchical density
    estimates", TKDD 2015). Clusters that cannot be an object never win over their parts.

    Args:
        points: (N, 3) meters.
        radii: ascending, meters; each a number or (N,).
        is_object: whether a cluster could be one object, given its points (n, 3) and its lengths along x, y and z.
        weights: (N,) number of measured points that each point represents; default 1.
        min_weight: of the lightest cluster.

    Returns:
        Ascending indices into ``points`` of each cluster; clusters do not overlap.
    """
    if len(points) == 0:
        return []
    weights = np.ones(len(points), dtype=np.int64) if weights is None else weights
    levels = radius_components(
        torch.from_numpy(points), torch.from_numpy(np.array([np.broadcast_to(r, len(points)) for r in radii]))
    )
    tree = _Tree(points, levels.numpy(), is_object, weights)
    roots = tree.parts(0, len(points), len(levels) - 1, min_weight)
    for root in roots:
        tree.grow(root, len(levels) - 2, min_weight)
    return [np.sort(tree.order[node.start : node.stop]) for root in roots for node in root.choose()[1]]


@dataclass
class _Node:
    """A component at one level: a slice of the tree's order."""

    tree: _Tree
    start: int
    stop: int
    weight: int
    lengths: list[float]
    lifetime: int = 1
    children: list[_Node] = field(default_factory=list)

    @cached_property
    def possible(self) -> bool:
        return self.tree.is_object(self.tree.points[self.start : self.stop], self.lengths)

    def choose(self) -> tuple[int, list[_Node]]:
        """The best value of this branch and the nodes that reach it."""
        below = [child.choose() for child in self.children]
        value = sum(part for part, _ in below)
        own = self.weight * self.lifetime if self.possible else 0
        if own >= value:
            return own, [self] if self.possible else []
        return value, [node for _, nodes in below for node in nodes]


class _Tree:
    """Points sorted so that the components of every level are contiguous: each level only merges those before it."""

    def __init__(
        self, points: NDArray, levels: NDArray[np.int64], is_object: IsObject, weights: NDArray[np.int64]
    ) -> None:
        _, first = np.unique(levels[0], return_index=True)
        place = np.empty(
            len(first), dtype=np.int64
        )  # of each finest component, sorted from the coarsest level down
        place[np.lexsort(levels[:, first])] = np.arange(len(first))
        self.order = np.argsort(place[levels[0]], kind="stable")
        self.points, self.is_object = points[self.order], is_object
        self._levels = []
        # Start, weight and extent of each level's components, from those of the finer level. Plain lists: a walk down
        # the tree reads few entries at a time.
        starts, weight = np.arange(len(points)), weights[self.order]
        low = high = self.points
        for labels in levels:
            new = np.flatnonzero(np.diff(labels[self.order[starts]], prepend=-1))
            starts, weight = starts[new], np.add.reduceat(weight, new)
            low, high = np.minimum.reduceat(low, new), np.maximum.reduceat(high, new)
            self._levels.append(([*starts.tolist(), len(points)], weight.tolist(), (high - low).tolist()))

    def parts(self, start: int, stop: int, level: int, least: float) -> list[_Node]:
        """Components of a level within a slice that weigh at least ``least``."""
        starts, weights, lengths = self._levels[level]
        return [
            _Node(self, starts[i], starts[i + 1], weights[i], lengths[i])
            for i in range(bisect_left(starts, start), bisect_left(starts, stop))
            if weights[i] >= least
        ]

    def grow(self, node: _Node, level: int, min_weight: int) -> None:
        """Follow a node down the tree. Losing fragments leaves it the same object; a real split ends it."""
        core = node
        least = max(min_weight, _FRAGMENT * node.weight) if node.possible else min_weight
        while level >= 0:
            parts = self.parts(core.start, core.stop, level, least)
            level -= 1
            if len(parts) > 1 or (parts and not node.possible and parts[0].possible):
                node.children = parts
                for part in parts:
                    self.grow(part, level, min_weight)
                return
            if not parts:
                return
            core = parts[0]
            node.lifetime += 1
