"""Depth image segmentation: connected pieces of large planes, and connected pieces of the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_SEEDS = 24  # across the image: planes smaller than a seed's cell are no background
_SAMPLES = 6000  # pixels on which candidate planes are compared
_SMALLEST = 0.01  # of the measured pixels
_SIGNIFICANT = 4.0  # standard deviations of the sensor's noise that a plane's points may be off
_JUMP = 0.03  # of its range: where neighboring pixels differ more in depth, something ends
_SPECK = 9  # pixels: a piece of the rest smaller than 3 x 3
_DEPTH_CLASSES = 8  # noise is measured per class of depth


def surface_pieces(depth: NDArray) -> NDArray[np.int64]:
    """Divide a depth image into connected pieces of planes and connected pieces of the rest.

    Args:
        depth: (H, W) meters along z, 0 = no measurement.

    Returns:
        (H, W) piece numbers from 1; 0 where nothing is measured.
    """
    valid = np.isfinite(depth) & (depth > 0)
    labels = plane_pieces(depth)
    rest = valid & (labels == 0)
    log_depth = np.log(np.where(valid, depth, 1))
    number = np.arange(depth.size).reshape(depth.shape)
    links = []
    for a, b in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        near = rest[a] & rest[b] & (np.abs(log_depth[a] - log_depth[b]) <= _JUMP)
        links.append(np.stack([number[a][near], number[b][near]]))
    rows, columns = np.concatenate(links, axis=1)
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(depth.size, depth.size))
    _, component = connected_components(graph, directed=False)
    _, component, size = np.unique(
        component.reshape(depth.shape)[rest], return_inverse=True, return_counts=True
    )
    planes = labels.copy()
    labels[rest] = labels.max() + 1 + component
    # Specks that noise leaves beside a plane belong to the plane.
    speck = np.zeros(depth.shape, dtype=bool)
    speck[rest] = size[component] < _SPECK
    distance, (row, column) = ndimage.distance_transform_edt(planes == 0, return_indices=True)
    speck &= distance < 2
    labels[speck] = planes[row, column][speck]
    return labels


def plane_pieces(depth: NDArray) -> NDArray[np.int64]:
    """Find the connected pieces of large planes.

    The inverse depth of a plane is an affine function of the pixel, and its noise is nearly the same near and far.
    Planes are fitted to every cell of a grid, the one that explains most of the image is taken with all it
    explains, and so on with the rest. No sampling at random: the same image gives the same pieces.

    Args:
        depth: (H, W) meters along z, 0 = no measurement.

    Returns:
        (H, W) piece numbers from 1; 0 on no plane, or not measured.
    """
    valid = np.isfinite(depth) & (depth > 0)
    labels = np.zeros(depth.shape, dtype=np.int64)
    total = int(valid.sum())
    if total < 3:
        return labels
    inverse = np.where(valid, 1 / np.where(valid, depth, 1), 0.0)
    tolerance = _tolerance(inverse, valid)
    planes = _seed_planes(inverse, valid)
    rows, columns = np.nonzero(valid)
    some = slice(None, None, max(1, total // _SAMPLES))
    pixels = np.column_stack([columns[some], rows[some], np.ones(len(rows[some]))])
    values, limits = inverse[rows[some], columns[some]], tolerance[rows[some], columns[some]]
    fits = (np.abs(pixels @ planes.T - values[:, None]) <= limits[:, None]).astype(np.float32)
    free = valid.copy()
    count = 0
    while planes.size:
        support = free[rows[some], columns[some]].astype(np.float32) @ fits
        best = int(support.argmax())
        if support[best] < _SMALLEST * len(fits):
            break
        plane = planes[best]
        for _ in range(2):
            mine = free & _on_plane(inverse, plane, tolerance)
            if np.count_nonzero(mine) < 3:
                break
            plane = _fit_plane(inverse, mine)
        mine = free & _on_plane(inverse, plane, tolerance)
        planes = np.delete(planes, best, axis=0)
        fits = np.delete(fits, best, axis=1)
        if np.count_nonzero(mine) < _SMALLEST * total:
            continue
        free &= ~mine
        pieces, found = ndimage.label(mine)
        labels[mine] = pieces[mine] + count
        count += found
    return labels


def _on_plane(
    inverse: NDArray[np.float64], plane: NDArray[np.float64], tolerance: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(H, W) True where the inverse depth is that of a u + b v + c, for plane = (a, b, c)."""
    height, width = inverse.shape
    off = inverse - (plane[1] * np.arange(height)[:, None] + plane[2])
    off -= plane[0] * np.arange(width)
    on: NDArray[np.bool_] = np.abs(off, out=off) <= tolerance
    return on


def _fit_plane(inverse: NDArray[np.float64], mine: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(a, b, c) of the least-squares plane through at least three pixels."""
    v, u = np.nonzero(mine)
    values = inverse[mine]
    middle = np.array([u.mean(), v.mean()])
    moments = _moments(u - middle[0], v - middle[1], values)
    a, b, c = _solve(moments[None])[0]
    return np.array([a, b, c - a * middle[0] - b * middle[1]])


def _moments(u: NDArray, v: NDArray, values: NDArray) -> NDArray[np.float64]:
    """(9,) sums over pixels that the normal equations of a plane are made of."""
    return np.array([u @ u, u @ v, v @ v, u.sum(), v.sum(), len(u), u @ values, v @ values, values.sum()])


def _solve(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3) planes from (K, 9) moments; of pixels on one line, the plane that is level across it."""
    uu, uv, vv, u, v, one, uz, vz, z = moments.T
    normal = np.stack([np.stack(row, axis=-1) for row in ((uu, uv, u), (uv, vv, v), (u, v, one))], axis=-2)
    solution: NDArray[np.float64] = (
        np.linalg.pinv(normal, hermitian=True) @ np.stack([uz, vz, z], axis=-1)[..., None]
    )
    return solution[..., 0]


def _seed_planes(inverse: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(K, 3) least-squares planes a u + b v + c of the inverse depth in the cells of a grid."""
    height, width = inverse.shape
    side = max(4, width // _SEEDS)
    down, across = height // side, width // side
    if not down or not across:
        return np.zeros((0, 3))

    def cells(image: NDArray) -> NDArray[np.float64]:
        """Pixels (down * across, side, side) of every cell."""
        cut = image[: down * side, : across * side].reshape(down, side, across, side)
        return cut.transpose(0, 2, 1, 3).reshape(-1, side, side).astype(np.float64)

    weight, value = cells(valid), cells(inverse)  # inverse is 0 where nothing is measured
    at = np.arange(side) - (side - 1) / 2
    by_row, by_column = weight.sum(axis=2), weight.sum(axis=1)
    moments = np.stack(
        [
            by_column @ at**2,
            (weight @ at) @ at,
            by_row @ at**2,
            by_column @ at,
            by_row @ at,
            by_row.sum(axis=1),
            value.sum(axis=1) @ at,
            value.sum(axis=2) @ at,
            value.sum(axis=(1, 2)),
        ],
        axis=1,
    )
    kept = np.flatnonzero(by_row.sum(axis=1) >= side * side // 2)
    a, b, c = _solve(moments[kept]).T
    top, left = np.divmod(kept, across)
    middle = (side - 1) / 2
    return np.stack([a, b, c - a * (left * side + middle) - b * (top * side + middle)], axis=1)


def _tolerance(inverse: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(H, W) how far the inverse depth of a plane's point may be off, from the sensor's own noise.

    Second differences vanish on planes, whatever their slope; most of any scene is flat.
    """
    bend = np.zeros(inverse.shape)
    bend[:, 1:-1] = inverse[:, :-2] - 2 * inverse[:, 1:-1] + inverse[:, 2:]
    known = np.zeros(inverse.shape, dtype=bool)
    known[:, 1:-1] = valid[:, :-2] & valid[:, 1:-1] & valid[:, 2:]
    noise = np.zeros(inverse.shape)
    if known.any():
        kind = np.searchsorted(
            np.quantile(inverse[known], np.linspace(0, 1, _DEPTH_CLASSES + 1)[1:-1]), inverse
        )
        for k in range(_DEPTH_CLASSES):
            mine = known & (kind == k)
            if mine.any():
                # The second difference of three values with noise s has noise s * sqrt(6).
                noise[kind == k] = 1.4826 * float(np.median(np.abs(bend[mine]))) / np.sqrt(6)
    # Depth is stored in millimeters and lenses are never quite straightened: half a percent is no object.
    limit: NDArray[np.float64] = np.maximum(_SIGNIFICANT * noise, 0.005 * inverse)
    return limit
