"""Measured features of the clusters of a LiDAR sweep, the input of their scorer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import data_prep.native as native
from clip2.recognition.proposals.component_tree import ComponentTree

_SHAPE = ("length", "width", "height", "bottom", "linear", "planar", "upright", "rim", "middle", "spread")
FEATURES = (
    *_SHAPE,
    "points",
    "voxels",
    "density",
    "fill",
    "distance",
    "gap",
    "seen",
    "born",
    "lifetime",
    "parts",
    "largest_part",
    "part_points",
    "share_of_parent",
    *(f"parent_{name}" for name in _SHAPE[:4]),
    "siblings",
    "largest_length",
    "largest_height",
)


def node_features(
    tree: ComponentTree,
    samples: NDArray[np.float64],
    height: NDArray[np.float64],
    viewpoint: NDArray | None,
    gap: float,
) -> NDArray[np.float32]:
    """Features of every node, rows as named in ``FEATURES``.

    Lengths enter as logarithms. Without a viewpoint, what depends on it is 0.

    Args:
        tree: M nodes over the samples.
        samples: (N, 3) meters, one per voxel.
        height: (N,) meters over the ground.
        viewpoint: (3,) of the sensor, or None.
        gap: angle between neighboring beams, radians.
    """
    columns = np.ascontiguousarray(samples.T)  # numpy is slow along an axis of three
    middle = columns.mean(axis=1)
    x, y, z = (columns - middle[:, None]).take(tree.order, axis=1)
    over = height[tree.order]
    size = tree.stop - tree.start
    sums = np.stack([x, y, z, x * x, x * y, x * z, y * y, y * z, z * z, over, over * over])
    total = np.zeros((len(sums), len(x) + 1))
    np.cumsum(sums, axis=1, out=total[:, 1:])
    moments = (total[:, tree.stop] - total[:, tree.start]) / size
    mean = moments[:3]
    covariance = moments[3:9] - mean[[0, 0, 0, 1, 1, 2]] * mean[[0, 1, 2, 1, 2, 2]]
    turn = 0.5 * np.arctan2(2 * covariance[1], covariance[0] - covariance[3])
    low, high, rim = _extents(tree, x, y, over, mean, turn)
    length, width, tall = high - low
    length, width = np.maximum(length, width), np.minimum(length, width)
    values, vectors = np.linalg.eigh(covariance[[0, 1, 2, 1, 3, 4, 2, 4, 5]].T.reshape(-1, 3, 3))
    spread = np.sqrt(np.maximum(values, 1e-6))
    column = {
        "length": np.log(length + 0.05),
        "width": np.log(width + 0.05),
        "height": np.log(tall + 0.05),
        "bottom": np.log(np.maximum(low[2], 0) + 0.1),
        "linear": (spread[:, 2] - spread[:, 1]) / spread[:, 2],
        "planar": (spread[:, 1] - spread[:, 0]) / spread[:, 2],
        "upright": np.abs(vectors[:, 2, 0]),
        "rim": rim,
        "middle": (moments[9] - low[2]) / (tall + 0.05),
        "spread": np.sqrt(np.maximum(moments[10] - moments[9] ** 2, 0)) / (tall + 0.05),
        "points": np.log(tree.weight),
        "voxels": np.log(size),
        "density": np.log(size / (length + 0.1) / (width + tall + 0.1)),
    }
    zero = np.zeros(len(tree))
    column |= dict.fromkeys(("fill", "distance", "gap", "seen"), zero)
    if viewpoint is not None:
        distance = np.linalg.norm(mean.T + middle - viewpoint, axis=1)
        # Beams that a surface as wide and high would return, were it square to them and the shots as close as the beams.
        expected = (np.hypot(length, width) + 0.1) * (tall + 0.1) / np.square(distance * gap)
        column |= {
            "fill": np.log(tree.weight / expected),
            "distance": np.log(distance + 1),
            "gap": np.full(len(tree), np.log(gap)),
            "seen": zero + 1,
        }
    column |= _kinship(tree, column)
    return np.column_stack([column[name] for name in FEATURES]).astype(np.float32)


def _kinship(tree: ComponentTree, column: dict[str, NDArray]) -> dict[str, NDArray]:
    """Features of a node's place in the tree."""
    up = tree.parent
    has = up >= 0
    heavy, largest, most = np.zeros(len(tree)), np.zeros(len(tree)), np.zeros(len(tree))
    np.add.at(heavy, up[has], 1)
    np.maximum.at(most, up[has], tree.weight[has])
    largest = np.where(heavy > 0, most / tree.weight, 0)
    long, tall = np.copy(column["length"]), np.copy(column["height"])
    root = np.where(has, up, np.arange(len(tree)))
    while (root != root[root]).any():
        root = root[root]
    long, tall = long[root], tall[root]
    found = {
        "born": tree.born / tree.levels,
        "lifetime": (tree.died - tree.born) / tree.levels,
        "parts": np.log1p(tree.parts),
        "largest_part": largest,
        "part_points": np.log1p(heavy),
        "share_of_parent": np.where(has, tree.weight / tree.weight[up], 1),
        "siblings": np.where(has, np.log1p(heavy[up]), 0),
        "largest_length": long,
        "largest_height": tall,
    }
    for name in _SHAPE[:4]:
        found[f"parent_{name}"] = np.where(has, column[name][up], column[name])
    return found


def _extents(
    tree: ComponentTree, x: NDArray, y: NDArray, over: NDArray, mean: NDArray, turn: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Low and high ends (3, M) along each node's own two level axes and upward, and how near its points are to its sides."""
    if native.problem() is None:
        low, high, rim = np.empty((3, len(tree))), np.empty((3, len(tree))), np.empty(len(tree))
        axes = np.stack([mean[0], mean[1], np.cos(turn), np.sin(turn)])
        ranges = (tree.start, tree.stop, axes, len(tree), native.threads())
        native.call("extents", np.stack([x, y, over]), len(x), *ranges, low, high, rim)
        return low, high, rim
    size = tree.stop - tree.start
    begins = np.cumsum(size) - size
    member = np.arange(size.sum()) + np.repeat(tree.start - begins, size)
    cos, sin = np.repeat([np.cos(turn), np.sin(turn)], size, axis=1)
    dx, dy = x[member] - np.repeat(mean[0], size), y[member] - np.repeat(mean[1], size)
    local = (cos * dx + sin * dy, cos * dy - sin * dx, over[member])
    low = np.stack([np.minimum.reduceat(row, begins) for row in local])
    high = np.stack([np.maximum.reduceat(row, begins) for row in local])
    off = [
        np.abs(row - np.repeat(center, size)) * np.repeat(1 / half, size)
        for row, center, half in zip(
            local[:2], (high + low)[:2] / 2, np.maximum(high - low, 0.1)[:2] / 2, strict=True
        )
    ]
    return low, high, np.add.reduceat(np.maximum(off[0], off[1]), begins) / size
