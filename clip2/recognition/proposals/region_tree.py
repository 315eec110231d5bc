"""Tree of merged surface regions; a trained network decides which neighbors belong to one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clip2.recognition.proposals.surface import Surface
from data_prep.geometry.planes import least_axis

BORDER_FEATURES = (
    "log_area_small", "log_area_big", "log_ratio", "contact", "concavity", "convexity", "turn", "step", "gap",
    "border_shade", "border_tint", "shade", "tint", "colored", "shade_spread_small", "shade_spread_big",
    "border_level", "border_at_foot", "border_on_big", "flat_small", "flat_big", "flat_union", "off_plane",
    "off_plane_small", "facing", "level_small", "level_big", "support_small", "support_big", "height_small",
    "height_big", "reach_union", "width_union", "bottom_small", "bottom_big", "log_size", "rise_over_big",
)  # fmt: skip
NODE_FEATURES = (
    "log_area", "log_points", "reach", "middle", "thin", "height", "bottom", "top", "level", "one_way", "flat", "line",
    "inner", "outer", "mean_outside", "least_outside", "open", "support", "shade_spread", "fill", "log_size",
    "parent_ratio", "child_ratio", "children", "wall_near",
)  # fmt: skip
# Columns of a region's sums.
_AREA, _P, _PP, _N, _C, _CC, _SUPPORT, _COUNT, _WALL = (
    0,
    slice(1, 4),
    slice(4, 10),
    slice(10, 13),
    slice(13, 16),
    slice(16, 19),
    19,
    20,
    21,
)
_SUMS = 22
# Columns of a border's sums, each weighted by the length of a pair.
_LENGTH, _CONCAVE, _CONVEX, _TURN, _STEP, _GAP, _SHADE, _TINT, _LEVEL, _HEIGHT = range(10)
_UPPER = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_STEPS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 1.01)  # fmt: skip
_MANY = 0.01  # merges per border in a round, below which the demand falls

Judge = Callable[[NDArray, NDArray[np.int64], NDArray[np.int64]], NDArray]


@dataclass(frozen=True)
class RegionTree:
    """Regions and the merges that led to them; the first ``leaves`` nodes are the regions at the start.

    Attributes:
        leaf: (M,) leaf of each surface element.
        children: (nodes, 2), -1 for leaves.
        parent: (nodes,), -1 at the top.
        features: (nodes, len(NODE_FEATURES)).
        area: (nodes,) m².
    """

    leaf: NDArray[np.int64]
    children: NDArray[np.int64]
    parent: NDArray[np.int64]
    features: NDArray[np.float64]
    area: NDArray[np.float64]

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return int((self.children[:, 0] < 0).sum())

    def under(self, node: int) -> NDArray[np.int64]:
        """The leaves below a node."""
        order, start, stop = self._order
        return order[start[node] : stop[node]]

    def leaf_owners(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        """(leaves,) place in ``nodes`` of the node above each leaf, -1 for none; the nodes do not overlap."""
        owner = np.full(self.leaves, -1)
        for place, node in enumerate(nodes):
            owner[self.under(node)] = place
        return owner

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], list[int], list[int]]:
        """Leaves in an order in which those of every node are a run, and where it starts and stops."""
        children, parent = self.children.tolist(), self.parent.tolist()
        leaves, count = self.leaves, [1] * len(children)
        for node in range(leaves, len(count)):  # children come before their parents
            first, second = children[node]
            count[node] = count[first] + count[second]
        start, free = [0] * len(count), 0
        for node in range(len(count) - 1, -1, -1):
            if parent[node] < 0:
                start[node], free = free, free + count[node]
            if node >= leaves:
                first, second = children[node]
                start[first], start[second] = start[node], start[node] + count[first]
        order = np.empty(leaves, np.int64)
        order[start[:leaves]] = np.arange(leaves)
        return order, start, [at + many for at, many in zip(start, count, strict=True)]


def first_regions(surface: Surface, fixed: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) regions to start from: connected, within one grid cell of three elements, facing one of six ways.

    Args:
        surface: M elements.
        fixed: (M,) number of a region that is already known, a support for example, or -1.
    """
    points, normals = surface.points, surface.normals
    cell = np.floor((points - points.min(axis=0)) / (3 * surface.size[:, None])).astype(np.int64)
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (normals[np.arange(len(normals)), axis] > 0)
    key = np.column_stack([cell, way, np.round(np.log(surface.size) * 100).astype(np.int64)])
    a, b = surface.pairs.T
    same = (fixed[a] == fixed[b]) & ((fixed[a] >= 0) | (key[a] == key[b]).all(axis=1))
    # A support stays one region where things part it.
    known = np.flatnonzero(fixed >= 0)
    heads = np.full(fixed.max(initial=-1) + 1, -1)
    heads[fixed[known[::-1]]] = known[::-1]
    rows, columns = np.concatenate([a[same], known]), np.concatenate([b[same], heads[fixed[known]]])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(points),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.int64)


def grow_tree(
    surface: Surface,
    leaf: NDArray[np.int64],
    support: NDArray[np.bool_],
    floor: float,
    wall: NDArray[np.bool_],
    judge: Judge,
) -> RegionTree:
    """Merge regions, the surest pairs first.

    In each round every pair of regions that prefer each other merges, if it is sure enough; when none is, the demand
    falls. Features of regions and borders are sums, so a round costs a few operations on whole arrays.

    Args:
        surface: M elements.
        leaf: (M,) region of each.
        support: (M,) True on level surfaces that things stand on.
        floor: height of the floor, meters.
        wall: (M,) True next to a wall.
        judge: (n, features), (n,) and (n,) nodes of both sides → (n,) probability that they are two objects.
    """
    builder = _Builder(surface, leaf, support, floor, wall)
    for limit in _STEPS:
        while builder.merge(judge, limit) > _MANY * builder.borders:
            pass
    return builder.tree(leaf)


class _Builder:
    def __init__(
        self,
        surface: Surface,
        leaf: NDArray[np.int64],
        support: NDArray[np.bool_],
        floor: float,
        wall: NDArray[np.bool_],
    ) -> None:
        self.count = count = int(leaf.max()) + 1
        self.used = count
        capacity = 2 * count
        p, n, area = surface.points, surface.normals, surface.area
        self.middle = p.mean(axis=0)
        p = p - self.middle
        self.floor = floor - self.middle[2]
        self.colored = surface.colors is not None
        colors = surface.colors if surface.colors is not None else np.zeros_like(p)
        rows = np.empty((len(p), _SUMS))
        rows[:, _AREA], rows[:, _P], rows[:, _N] = area, p * area[:, None], n * area[:, None]
        for column, (i, j) in enumerate(_UPPER):
            rows[:, _PP.start + column] = p[:, i] * p[:, j] * area
        rows[:, _C], rows[:, _CC] = colors * area[:, None], colors**2 * area[:, None]
        rows[:, _SUPPORT], rows[:, _COUNT], rows[:, _WALL] = support * area, 1, wall * area
        order = np.argsort(leaf, kind="stable")
        starts = np.searchsorted(leaf[order], np.arange(count))
        self.sums = np.zeros((capacity, _SUMS))
        self.sums[:count] = np.add.reduceat(rows[order], starts)
        self.low, self.high = np.zeros((capacity, 3)), np.zeros((capacity, 3))
        self.low[:count], self.high[:count] = (
            np.minimum.reduceat(p[order], starts),
            np.maximum.reduceat(p[order], starts),
        )
        self.children = np.full((capacity, 2), -1)
        self.parent = np.full(capacity, -1)
        self.inner, self.outer = np.zeros(capacity), np.ones(capacity)
        self.mean_outside, self.least_outside, self.open = (
            np.zeros(capacity),
            np.ones(capacity),
            np.zeros(capacity),
        )
        self.deviation, self.normal, self.flat = (
            np.zeros((capacity, 3)),
            np.zeros((capacity, 3)),
            np.zeros(capacity),
        )
        self._describe(np.arange(count))
        a, b = surface.pairs.T
        across = leaf[a] != leaf[b]
        a, b = a[across], b[across]
        self.a, self.b, self.border = _collect(leaf[a], leaf[b], self._pairs(surface, p, colors, a, b))
        self.apart = np.full(len(self.a), np.nan)

    def _pairs(self, surface: Surface, p: NDArray, colors: NDArray, a: NDArray, b: NDArray) -> NDArray:
        """(E, 10) sums of single pairs."""
        n, size = surface.normals, np.maximum(surface.size[a], surface.size[b])
        way = p[b] - p[a]
        distance = np.linalg.norm(way, axis=1)
        unit = way / np.maximum(distance, 1e-9)[:, None]
        turn = 1 - np.einsum("ij,ij->i", n[a], n[b])
        opening = np.einsum("ij,ij->i", n[b] - n[a], unit)
        mean = n[a] + n[b]
        mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        step = np.abs(np.einsum("ij,ij->i", mean, way)) / size
        shade = np.abs((colors[a] - colors[b]).mean(axis=1))
        tint = np.abs(_tint(colors[a]) - _tint(colors[b])).sum(axis=1)
        rows = np.column_stack(
            [
                np.ones(len(a)), np.maximum(-opening, 0), np.maximum(opening, 0), turn, step, distance / size,
                shade, tint, np.maximum(np.abs(n[a, 2]), np.abs(n[b, 2])), (p[a, 2] + p[b, 2]) / 2,
            ]
        )  # fmt: skip
        return rows * size[:, None]

    def features(self, which: NDArray[np.int64]) -> NDArray:
        """(n, len(BORDER_FEATURES)) of some of the current borders."""
        a, b, border = self.a[which], self.b[which], self.border[which]
        swap = self.sums[a, _AREA] > self.sums[b, _AREA]
        small, big = np.where(swap, b, a), np.where(swap, a, b)
        s, t = self.sums[small], self.sums[big]
        length = border[:, _LENGTH]
        low, high = np.minimum(self.low[small], self.low[big]), np.maximum(self.high[small], self.high[big])
        extent = np.sort(high - low, axis=1)
        rise, rise_big = self.high[small, 2] - self.low[small, 2], self.high[big, 2] - self.low[big, 2]
        height = border[:, _HEIGHT] / length
        flat_s, flat_t, flat_u = self.flat[small], self.flat[big], _thickness(s + t)
        normal_s, normal_t = self.normal[small], self.normal[big]
        center_s, center_t = s[:, _P] / s[:, :1], t[:, _P] / t[:, :1]
        way = center_s - center_t
        distance = np.maximum(np.linalg.norm(way, axis=1), 1e-6)
        facing = np.einsum("ij,ij->i", s[:, _N], t[:, _N]) / np.maximum(
            np.linalg.norm(s[:, _N], axis=1) * np.linalg.norm(t[:, _N], axis=1), 1e-12
        )
        color_s, color_t = s[:, _C] / s[:, :1], t[:, _C] / t[:, :1]
        size = np.sqrt(s[:, _AREA] / s[:, _COUNT])
        columns = [
            np.log(s[:, _AREA]), np.log(t[:, _AREA]), np.log(t[:, _AREA] / s[:, _AREA]),
            np.log(length / np.sqrt(s[:, _AREA]) + 0.01), border[:, _CONCAVE] / length, border[:, _CONVEX] / length,
            border[:, _TURN] / length, border[:, _STEP] / length, border[:, _GAP] / length,
            border[:, _SHADE] / length, border[:, _TINT] / length, np.abs((color_s - color_t).mean(axis=1)),
            np.abs(_tint(color_s) - _tint(color_t)).sum(axis=1), np.full(len(s), float(self.colored)),
            _spread(s), _spread(t), border[:, _LEVEL] / length,
            np.clip((height - self.low[small, 2]) / np.maximum(rise, 0.005), -1, 2),
            np.clip((height - self.low[big, 2]) / np.maximum(rise_big, 0.005), -1, 2),
            np.log(flat_s + 0.002), np.log(flat_t + 0.002), np.log(flat_u + 0.002),
            np.abs(np.einsum("ij,ij->i", way, normal_t)) / distance,
            np.abs(np.einsum("ij,ij->i", way, normal_s)) / distance, facing,
            np.abs(s[:, _N][:, 2]) / s[:, _AREA], np.abs(t[:, _N][:, 2]) / t[:, _AREA],
            s[:, _SUPPORT] / s[:, _AREA], t[:, _SUPPORT] / t[:, _AREA], rise, rise_big,
            extent[:, 2], extent[:, 1], np.clip(self.low[small, 2] - self.floor, -0.5, 2.5),
            np.clip(self.low[big, 2] - self.floor, -0.5, 2.5), np.log(size),
            np.clip(self.high[small, 2] - self.high[big, 2], -1, 1),
        ]  # fmt: skip
        return np.stack(columns, axis=1)

    @property
    def borders(self) -> int:
        """How many there are now."""
        return len(self.a)

    def merge(self, judge: Judge, limit: float) -> int:
        """One round; returns how many pairs were sure enough."""
        if len(self.a) == 0:
            return 0
        unknown = np.flatnonzero(np.isnan(self.apart))
        if len(unknown):
            self.apart[unknown] = judge(self.features(unknown), self.a[unknown], self.b[unknown])
            self._outside()
        apart = self.apart
        best = np.full(self.used, np.inf)
        np.minimum.at(best, self.a, apart)
        np.minimum.at(best, self.b, apart)
        mutual = np.flatnonzero((apart <= best[self.a]) & (apart <= best[self.b]) & (apart < limit))
        if len(mutual) == 0:
            return 0
        # Ties: a region takes part in one merge only.
        order = mutual[np.argsort(apart[mutual], kind="stable")]
        taken = np.zeros(self.used, dtype=bool)
        chosen = []
        for border in order.tolist():
            a, b = self.a[border], self.b[border]
            if not (taken[a] or taken[b]):
                taken[a] = taken[b] = True
                chosen.append(border)
        pick = np.array(chosen)
        a, b, p = self.a[pick], self.b[pick], apart[pick]
        new = np.arange(self.used, self.used + len(pick))
        self.sums[new] = self.sums[a] + self.sums[b]
        self.low[new], self.high[new] = (
            np.minimum(self.low[a], self.low[b]),
            np.maximum(self.high[a], self.high[b]),
        )
        self.children[new] = np.column_stack([a, b])
        self.parent[a] = self.parent[b] = new
        self.outer[a] = self.outer[b] = p
        self.inner[new] = np.maximum(p, np.maximum(self.inner[a], self.inner[b]))
        self._describe(new)
        self.used += len(pick)
        where = np.arange(self.used)
        where[a] = where[b] = new
        rest = np.ones(len(self.a), dtype=bool)
        rest[pick] = False
        # Borders of the new regions are unknown; all others keep their answer.
        rows = np.column_stack([self.border[rest], apart[rest]])
        self.a, self.b, rows = _collect(where[self.a[rest]], where[self.b[rest]], rows)
        self.border = rows[:, :-1]
        self.apart = np.where(np.maximum(self.a, self.b) >= new[0], np.nan, rows[:, -1])
        return len(pick)

    def _describe(self, nodes: NDArray[np.int64]) -> None:
        values, vectors = _moments(self.sums[nodes])
        self.deviation[nodes] = np.sqrt(np.maximum(values, 0))
        self.normal[nodes] = vectors[:, :, 0]
        self.flat[nodes] = self.deviation[nodes, 0]

    def _outside(self) -> None:
        """What each current region's borders say; the last word before it merges stays."""
        apart = self.apart
        length = self.border[:, _LENGTH]
        both, twice = np.concatenate([self.a, self.b]), np.concatenate([length, length])
        total = np.bincount(both, twice, self.used)
        mean = np.bincount(both, twice * np.concatenate([apart, apart]), self.used) / np.maximum(total, 1e-9)
        now = np.flatnonzero(total > 0)
        self.mean_outside[now] = mean[now]
        self.open[now] = total[now] / np.sqrt(self.sums[now, _AREA])
        least = np.ones(self.used)
        np.minimum.at(least, both, np.concatenate([apart, apart]))
        self.least_outside[now] = least[now]

    def tree(self, leaf: NDArray[np.int64]) -> RegionTree:
        used = slice(0, self.used)
        sums, children, parent = self.sums[used], self.children[used], self.parent[used]
        area, extent = sums[:, _AREA], np.sort(self.high[used] - self.low[used], axis=1)
        deviation = self.deviation[used]
        has = children[:, 0] >= 0
        larger = np.where(has, np.maximum(area[children[:, 0]], area[children[:, 1]]), area)
        faces = 2 * (extent[:, 0] * extent[:, 1] + extent[:, 1] * extent[:, 2] + extent[:, 0] * extent[:, 2])
        columns = [
            np.log(area), np.log(sums[:, _COUNT]), extent[:, 2], extent[:, 1], extent[:, 0],
            self.high[used][:, 2] - self.low[used][:, 2], np.clip(self.low[used][:, 2] - self.floor, -0.5, 2.5),
            np.clip(self.high[used][:, 2] - self.floor, -0.5, 3), np.abs(sums[:, _N][:, 2]) / area,
            np.linalg.norm(sums[:, _N], axis=1) / area, np.log(deviation[:, 0] + 0.002),
            deviation[:, 1] / np.maximum(deviation[:, 2], 1e-6), self.inner[used], self.outer[used],
            self.mean_outside[used], self.least_outside[used], np.log(self.open[used] + 0.05),
            sums[:, _SUPPORT] / area, _spread(sums), np.log(area / np.maximum(faces, 1e-6) + 0.01),
            np.log(np.sqrt(area / sums[:, _COUNT])),
            np.log(np.where(parent >= 0, area[np.maximum(parent, 0)], area) / area),
            np.log(area / larger), has.astype(float), sums[:, _WALL] / area,
        ]  # fmt: skip
        return RegionTree(leaf, children, parent, np.stack(columns, axis=1), area)


def _collect(
    a: NDArray[np.int64], b: NDArray[np.int64], rows: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray]:
    """Sum the rows of borders between the same two regions; borders within one region go."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    keep = low != high
    key = (low[keep] << 32) | high[keep]
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if len(starts) == 0:
        return key, key, rows[:0]
    first = key[order][starts]
    return first >> 32, first & 0xFFFFFFFF, np.add.reduceat(rows[keep][order], starts)


def _moments(sums: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending variances (n, 3) of the points of regions and their directions (n, 3, 3)."""
    area = sums[:, _AREA]
    mean = sums[:, _P] / area[:, None]
    matrix = np.empty((len(sums), 3, 3))
    for column, (i, j) in enumerate(_UPPER):
        value = sums[:, _PP.start + column] / area - mean[:, i] * mean[:, j]
        matrix[:, i, j] = matrix[:, j, i] = value
    return np.linalg.eigh(matrix)


def _thickness(sums: NDArray) -> NDArray:
    """(n,) standard deviation in meters across the best plane."""
    area = sums[:, _AREA]
    mean = (sums[:, _P] / area[:, None]).T
    covariance = (
        sums[:, _PP.start + column] / area - mean[i] * mean[j] for column, (i, j) in enumerate(_UPPER)
    )
    thickness: NDArray = np.sqrt(least_axis(*covariance)[0])
    return thickness


def _spread(sums: NDArray) -> NDArray:
    mean = sums[:, _C] / sums[:, :1]
    spread: NDArray = np.sqrt(np.maximum(sums[:, _CC] / sums[:, :1] - mean**2, 0)).mean(axis=1)
    return spread


def _tint(colors: NDArray) -> NDArray:
    """(n, 2) color without brightness."""
    total = colors.sum(axis=1, keepdims=True) + 0.15
    return np.asarray(colors[:, :2] / total)
