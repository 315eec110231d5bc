"""Clusters at several radii at once, and the choice among them: neither torn apart nor glued together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.cluster import connected_components

# A part lighter than this share of an object is a crumb of it, not a second object.
_CRUMB = 0.1


@dataclass
class _Node:
    members: NDArray[np.int64]
    weight: int
    possible: bool
    lifetime: int = 1
    children: list[_Node] = field(default_factory=list)

    def choose(self) -> tuple[int, list[_Node]]:
        """The best value of this branch and the nodes that give it."""
        below = [child.choose() for child in self.children]
        value = sum(part for part, _ in below)
        own = self.weight * self.lifetime if self.possible else 0
        if own >= value:
            return own, [self] if self.possible else []
        return value, [node for _, nodes in below for node in nodes]


def stable_clusters(
    points: NDArray,
    radii: Sequence[NDArray | float],
    is_object: Callable[[NDArray], bool],
    weights: NDArray[np.int64] | None = None,
    min_weight: int = 10,
) -> list[NDArray[np.int64]]:
    """Clusters that last longest as the radius grows.

    Components at a larger radius contain those at a smaller one: a tree. Going down it, a cluster dies where
    it falls into two or more parts worth the name. Of a cluster and its parts the ones with the longer life
    (in steps of the geometric radius, weighted by points) are kept, as HDBSCAN does with density (Campello et al.,
    "Hierarchical density estimates", TKDD 2015). Clusters that cannot be an object never win over their parts.

    Args:
        points: (N, 3) metres.
        radii: ascending, each one number or (N,) numbers, metres.
        is_object: given (n, 3) points of a cluster, whether it could be one object by its size.
        weights: (N,) measured points that each given point stands for; default 1.
        min_weight: lightest cluster.

    Returns:
        Ascending indices into ``points`` of each cluster; clusters do not overlap.
    """
    weights = np.ones(len(points), dtype=np.int64) if weights is None else weights
    levels: list[NDArray[np.int64]] = []
    for radius in radii:  # what is joined at one radius stays so at the next
        levels.append(connected_components(points, radius, levels[-1] if levels else None))

    def split(members: NDArray[np.int64], level: int, least: float) -> list[_Node]:
        order = members[np.argsort(levels[level][members], kind="stable")]
        parts = np.split(order, np.flatnonzero(np.diff(levels[level][order])) + 1)
        heavy = [part for part in parts if weights[part].sum() >= least]
        return [_Node(part, int(weights[part].sum()), is_object(points[part])) for part in heavy]

    def grow(node: _Node, level: int) -> None:
        """Follow a node down. Crumbs that fall off leave it the same object; a real split ends it."""
        core = node.members
        least = max(min_weight, _CRUMB * node.weight) if node.possible else min_weight
        while level >= 0:
            parts = split(core, level, least)
            level -= 1
            if len(parts) > 1 or (parts and not node.possible and parts[0].possible):
                node.children = parts
                for part in parts:
                    grow(part, level)
                return
            if not parts:
                return
            core = parts[0].members
            node.lifetime += 1

    roots = split(np.arange(len(points)), len(levels) - 1, min_weight) if len(points) else []
    for root in roots:
        grow(root, len(levels) - 2)
    return [np.sort(node.members) for root in roots for node in root.choose()[1]]
