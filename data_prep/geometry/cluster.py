"""Connected components of a point cloud: exact components of its radius graph, without building the graph."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as graph_components
from scipy.spatial import cKDTree

from data_prep.errors import InputError

_CHUNK = 1 << 20  # point pairs compared at a time: what bounds the memory
# Points that share a point's cell, itself included, on average: with so few, cells gather nothing, and there are few pairs.
_LONELY = 2.0
_TABLE = 1 << 23  # cells a dense grid may have
# Cells of side r / sqrt(3) that can hold points closer than r: half of the offsets up to 2, without the far corners.
_OFFSETS = np.array([o for o in product(range(-2, 3), repeat=3) if o > (0, 0, 0)])
_OFFSETS = _OFFSETS[(np.maximum(np.abs(_OFFSETS) - 1, 0) ** 2).sum(axis=1) <= 3]
_TOUCHING = _OFFSETS[np.abs(_OFFSETS).max(axis=1) == 1]


def connected_components(
    points: NDArray, radius: ArrayLike, joined: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Label the connected components of the graph that joins points no further apart than a radius.

    Two points are joined when balls of half their radius, drawn around them, touch: ``|a - b| <= (r_a + r_b) / 2``.
    So with one radius for all this is DBSCAN with ``min_points=1``. The answer is exact. Points are gathered
    in cells so small that each is connected in itself; points are only compared between neighboring cells that
    nothing else has joined, and memory does not grow with the number of neighbors of a point. If hardly any two
    points share a cell, a k-d tree finds the few pairs.

    Args:
        points: (N, 3) meters.
        radius: meters, one for all or (N,) one per point, positive.
        joined: (N,) labels of components at smaller radii; those are not found anew.

    Returns:
        (N,) int64 labels 0..K-1, numbered by the first point of each component in the order given.

    Raises:
        InputError: shapes do not agree, a value is not finite, or a radius is not positive.

    >>> connected_components(np.array([[0, 0, 0], [9, 0, 0], [0.5, 0, 0]]), 1.0)
    array([0, 1, 0])
    """
    points = np.asarray(points, dtype=np.float64)
    radii = np.asarray(radius, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"must be finite with shape (N, 3), got {points.shape}", field="points")
    if radii.shape not in ((), (len(points),)) or not np.isfinite(radii).all() or (radii <= 0).any():
        raise InputError("must be positive, one or one per point", field="radius", fix="give meters")
    if joined is not None and joined.shape != (len(points),):
        raise InputError(f"has shape {joined.shape} for {len(points)} points", field="joined")
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    if radii.ndim == 1 and (radii == radii[0]).all():
        radii = radii[0]

    cells = _Cells(points, radii)
    if joined is None and cells.uniform and (cells.counts**2).sum() <= _LONELY * len(points):
        pairs = cKDTree(points, balanced_tree=False, compact_nodes=False).query_pairs(
            float(radii), output_type="ndarray"
        )
        return _number_by_first_point(_join(np.arange(len(points)), pairs))
    neighbors = cells.grid_neighbors() if cells.uniform else cells.tree_neighbors()
    labels = np.arange(len(cells))
    if joined is not None:
        labels = _join(labels, cells.pairs_that_share(joined))
        neighbors = neighbors[labels[neighbors[:, 0]] != labels[neighbors[:, 1]]]
    labels = _join(labels, cells.pairs_whose_middles_meet(neighbors))
    if labels.max() > 0:
        candidates = cells.undecided_on_grid(labels) if cells.uniform else neighbors
        labels = cells.compare_points(labels, candidates)
    return _number_by_first_point(labels[cells.of_point])


class _Cells:
    """Occupied cells of a grid, each connected in itself.

    A cell's side is its smallest radius / sqrt(3), so that its diagonal is no longer than any radius in it.
    Where radii differ they are gathered in octaves, and every octave has its own grid.
    """

    def __init__(self, points: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
        self.uniform = radii.ndim == 0
        smallest = float(radii.min())
        octave = None if self.uniform else np.floor(np.log2(radii / smallest) + 1e-9).astype(np.int64)
        # A hair under r / sqrt(3): rounding must not make a diagonal longer than the radius.
        side = smallest * (0.999999 / np.sqrt(3)) * (1.0 if octave is None else np.exp2(octave)[:, None])
        scaled = (points - points.min(axis=0)) / side
        where = np.stack([_close_gaps(scaled[:, axis]) for axis in range(3)], axis=1)
        self.dims = where.max(axis=0) + 5  # room for an offset of 2 on either side
        key = ((where[:, 0] + 2) * self.dims[1] + where[:, 1] + 2) * self.dims[2] + where[:, 2] + 2
        if octave is not None:
            key += octave * int(np.prod(self.dims))
        order = np.argsort(key)
        key = key[order]
        new = np.concatenate([[True], key[1:] != key[:-1]])
        self.starts = np.flatnonzero(new)
        self.counts = np.diff(np.append(self.starts, len(points)))
        self.of_point = np.empty(len(points), dtype=np.int64)
        self.of_point[order] = np.cumsum(new) - 1
        self.keys, self.where = key[self.starts], where[order[self.starts]]
        self.octave = np.zeros(len(self), np.int64) if octave is None else octave[order[self.starts]]
        self.points = points[order]
        self.radii = np.broadcast_to(radii, len(points))[order]
        self.middles = self.starts + self.counts // 2  # a real point; any would do

    def __len__(self) -> int:
        return len(self.starts)

    def grid_neighbors(self) -> NDArray[np.int64]:
        """(P, 2) pairs of occupied cells that touch, each pair once."""
        return self._look_up(np.arange(len(self)), _TOUCHING)

    def tree_neighbors(self) -> NDArray[np.int64]:
        """(P, 2) pairs of cells, of any octaves, that may hold points that meet."""
        low, high, largest = self._bounds()
        centers = (low + high) / 2
        half_diagonal = np.linalg.norm(high - low, axis=1) / 2
        members = [np.flatnonzero(self.octave == octave) for octave in np.unique(self.octave)]
        trees = [cKDTree(centers[cells]) for cells in members]
        found = []
        for i, (cells_a, tree_a) in enumerate(zip(members, trees, strict=True)):
            for cells_b, tree_b in zip(members[i:], trees[i:], strict=True):
                reach = sum(
                    float(largest[cells].max() / 2 + half_diagonal[cells].max())
                    for cells in (cells_a, cells_b)
                )
                near = tree_a.sparse_distance_matrix(tree_b, reach, output_type="ndarray")
                found.append(np.column_stack([cells_a[near["i"]], cells_b[near["j"]]]))
        pairs = np.concatenate(found)
        return pairs[pairs[:, 0] != pairs[:, 1]]

    def pairs_that_share(self, joined: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P, 2) pairs of cells that hold points of one of these (N,) labels; enough of them to join all that do."""
        _, first, inverse = np.unique(joined, return_index=True, return_inverse=True)
        pairs = np.column_stack([self.of_point, self.of_point[first[inverse]]])
        return pairs[pairs[:, 0] != pairs[:, 1]]

    def pairs_whose_middles_meet(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The (P, 2) pairs that one comparison of two points already joins."""
        a, b = self.middles[pairs[:, 0]], self.middles[pairs[:, 1]]
        return pairs[self._meet(a, b)]

    def undecided_on_grid(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P, 2) pairs of cells, near enough to hold points that meet, that ``labels`` keeps apart.

        On a grid twice as coarse, points that meet lie in touching cells, so components are only compared within a
        piece of that grid. Pairs are looked up from every component of a piece except the largest. That is enough,
        because each pair has at least one member in another component, and it saves the longest look-up.
        """
        coarse = np.zeros(self.dims // 2 + 1, dtype=bool) if np.prod(self.dims) <= _TABLE else None
        if coarse is None:
            seekers = np.flatnonzero(labels != np.bincount(labels).argmax())
        else:
            at = tuple((self.where // 2).T)
            coarse[at] = True
            piece = ndimage.label(coarse, np.ones((3, 3, 3)))[0][at]
            size = np.bincount(labels)[labels]
            order = np.lexsort((labels, size, piece))
            last = np.append(piece[order][1:] != piece[order][:-1], True)
            principal = np.zeros(labels.max() + 1, dtype=bool)
            principal[labels[order[last]]] = True
            seekers = np.flatnonzero(~principal[labels])
        pairs = self._look_up(seekers, np.concatenate([_OFFSETS, -_OFFSETS]))
        return pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]

    def compare_points(self, labels: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Join the components whose cells hold points that meet, comparing all points of the (P, 2) pairs."""
        low, high, largest = self._bounds()
        a, b = pairs.T
        gap = np.maximum(np.maximum(low[a] - high[b], low[b] - high[a]), 0)
        pairs = pairs[(gap**2).sum(axis=1) <= (largest[a] / 2 + largest[b] / 2) ** 2]
        work = self.counts[pairs].prod(axis=1)
        order = np.argsort(work, kind="stable")
        pairs, work = pairs[order], work[order]
        while len(pairs):
            apart = labels[pairs[:, 0]] != labels[pairs[:, 1]]
            pairs, work = pairs[apart], work[apart]
            batch = max(1, int(np.searchsorted(np.cumsum(work), _CHUNK, side="right")))
            now, pairs, work = pairs[:batch], pairs[batch:], work[batch:]
            if len(now):
                labels = _join(labels, now[self._any_meet(now)])
        return labels

    def _any_meet(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(P,) True where some point of the first cell meets some point of the second."""
        if len(pairs) == 1:  # possibly two crowded cells: one row of the comparison at a time
            a, b = (slice(self.starts[cell], self.starts[cell] + self.counts[cell]) for cell in pairs[0])
            rows = np.arange(a.start, a.stop)
            columns = np.arange(b.start, b.stop)
            step = max(1, _CHUNK // len(columns))
            return np.array(
                [
                    any(
                        self._meet(np.repeat(block, len(columns)), np.tile(columns, len(block))).any()
                        for block in np.split(rows, range(step, len(rows), step))
                    )
                ]
            )
        width = self.counts[pairs[:, 1]]
        work = self.counts[pairs[:, 0]] * width
        first = np.cumsum(work) - work
        within = np.arange(work.sum()) - np.repeat(first, work)
        i, j = np.divmod(within, np.repeat(width, work))
        meet = self._meet(
            np.repeat(self.starts[pairs[:, 0]], work) + i, np.repeat(self.starts[pairs[:, 1]], work) + j
        )
        return np.logical_or.reduceat(meet, first)

    def _meet(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        difference = self.points[a] - self.points[b]
        reach = (self.radii[a] + self.radii[b]) / 2
        return np.einsum("ij,ij->i", difference, difference) <= reach * reach

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return (
            np.minimum.reduceat(self.points, self.starts),
            np.maximum.reduceat(self.points, self.starts),
            np.maximum.reduceat(self.radii, self.starts),
        )

    def _look_up(self, cells: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P, 2) pairs of a given cell and the occupied cell at one of the (K, 3) offsets from it."""
        steps = (offsets[:, 0] * self.dims[1] + offsets[:, 1]) * self.dims[2] + offsets[:, 2]
        total = int(np.prod(self.dims))
        if total <= _TABLE:
            table = np.full(total, -1, dtype=np.int32)
            table[self.keys] = np.arange(len(self))
            other = table[self.keys[cells] + steps[:, None]]
        else:
            wanted = self.keys[cells] + steps[:, None]
            other = np.searchsorted(self.keys, wanted).clip(max=len(self) - 1)
            other = np.where(self.keys[other] == wanted, other, -1)
        _, column = np.nonzero(other >= 0)
        return np.column_stack([cells[column], other[other >= 0]])


def _close_gaps(coordinate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number the cells of a grid axis, empty stretches shortened to 3 cells: nothing gets near, and keys cannot overflow."""
    if coordinate.max() <= 4 * len(coordinate):
        return coordinate.astype(np.int64)
    occupied, inverse = np.unique(np.floor(coordinate), return_inverse=True)
    steps = np.minimum(np.diff(occupied, prepend=occupied[0]), 4)
    return np.cumsum(steps).astype(np.int64)[inverse]


def _join(labels: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Merge the labels of (P, 2) pairs of cells; (M,) labels in, (M,) labels 0..K-1 out."""
    count = int(labels.max()) + 1
    a, b = labels[pairs].T
    graph = coo_matrix((np.ones(len(pairs), dtype=np.int8), (a, b)), shape=(count, count))
    return graph_components(graph, directed=False)[1].astype(np.int64)[labels]


def _number_by_first_point(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
