"""Consistent signs of surface normals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree


def orient_normals(
    points: NDArray, normals: NDArray, pairs: NDArray[np.int64], upward: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Flip normals to consistent signs: outward on objects, inward on walls.

    Signs spread along a spanning tree of the most certain steps (Hoppe et al., SIGGRAPH 1992), across edges too: a normal
    is compared with the mirror image of its neighbor's (Xie et al., 2003). Level surfaces decide the sign of a connected
    piece: more of them are seen from above than from below.

    Args:
        points: (N, 3) meters, z-up.
        normals: (N, 3) unit, of either sign.
        pairs: (E, 2) indices of neighbors.
        upward: (N,) True for points that vote; those of a ceiling should not.

    Returns:
        (N, 3) unit.
    """
    count = len(points)
    agreement, climb = _agreement(points, normals, *pairs.T)
    doubt = 1.001 - np.abs(agreement) + climb
    graph = coo_matrix((doubt, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    _, piece = connected_components(tree, directed=False)
    # One root above all pieces, so that a single traversal reaches everything.
    heads = np.unique(piece, return_index=True)[1]
    rows = np.concatenate([tree.row, np.full(len(heads), count)])
    columns = np.concatenate([tree.col, heads])
    whole = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    _, parent = breadth_first_order(whole, count, directed=False)
    parent[count] = count
    # The heads and the root keep their sign.
    inner = np.flatnonzero(parent[:count] != count)
    sign = np.ones(count + 1)
    sign[inner] = np.where(_agreement(points, normals, inner, parent[inner])[0] < 0, -1.0, 1.0)
    jump = parent.astype(np.int64)
    while (jump != count).any():  # pointer jumping: the product of signs along the way to the root
        sign = sign * sign[jump]
        jump = jump[jump]
    oriented = normals * sign[:count, None]
    level = upward & (np.abs(oriented[:, 2]) > 0.7)
    votes = np.bincount(piece[level], weights=oriented[level, 2], minlength=piece.max() + 1)
    return oriented * np.where(votes[piece] < 0, -1.0, 1.0)[:, None]


def _agreement(
    points: NDArray, normals: NDArray, a: NDArray[np.int64], b: NDArray[np.int64]
) -> tuple[NDArray, NDArray]:
    """Agreement of the normals at a and b on a surface that bends evenly between them.

    Returns:
        (E,) cosine between the normals at b and the mirror images of those at a, -1 to 1; and (E,) how far the
        step leaves the surface, 0 to 1: two points stacked by noise tell nothing about signs.
    """
    way = points[b] - points[a]
    way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    along = np.einsum("ij,ij->i", normals[a], way) * np.einsum("ij,ij->i", normals[b], way)
    return np.einsum("ij,ij->i", normals[a], normals[b]) - 2 * along, np.abs(along)
