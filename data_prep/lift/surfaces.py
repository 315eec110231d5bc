"""Surfaces in a depth image: planes such as walls, floors and table tops, and what else hangs together."""

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
_JUMP = 0.03  # of its range: where neighbouring pixels differ more in depth, something ends
_SPECK = 9  # pixels: a piece of the rest smaller than 3 x 3
_DEPTH_CLASSES = 8  # noise is measured per class of depth


def surface_pieces(depth: NDArray) -> NDArray[np.int64]:
    """Divide a depth image into connected pieces of planes and connected pieces of the rest.

    Args:
        depth: (H, W) metres along z, 0 = no measurement.

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
    # Noise leaves specks beside their plane: they are no things on it.
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
        depth: (H, W) metres along z, 0 = no measurement.

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
    rows, columns = np.nonzero(valid)
    pixels = np.column_stack([columns, rows, np.ones(total)]).astype(np.float64)
    values, limits = inverse[valid], tolerance[valid]
    planes = _seed_planes(inverse, valid)
    some = slice(None, None, max(1, total // _SAMPLES))
    fits = np.abs(pixels[some] @ planes.T - values[some, None]) <= limits[some, None]
    free = np.ones(total, dtype=bool)
    count = 0
    while planes.size:
        support = free[some].astype(np.float64) @ fits
        best = int(support.argmax())
        if support[best] < _SMALLEST * fits.shape[0]:
            break
        plane = planes[best]
        for _ in range(2):
            mine = free & (np.abs(pixels @ plane - values) <= limits)
            if mine.sum() < 3:
                break
            plane = np.linalg.lstsq(pixels[mine], values[mine], rcond=None)[0]
        mine = free & (np.abs(pixels @ plane - values) <= limits)
        planes = np.delete(planes, best, axis=0)
        fits = np.delete(fits, best, axis=1)
        if mine.sum() < _SMALLEST * total:
            continue
        free &= ~mine
        image = np.zeros(depth.shape, dtype=bool)
        image[rows[mine], columns[mine]] = True
        pieces, found = ndimage.label(image)
        labels[image] = pieces[image] + count
        count += found
    return labels


def _seed_planes(inverse: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(K, 3) least-squares planes a u + b v + c of the inverse depth in the cells of a grid."""
    height, width = inverse.shape
    side = max(4, width // _SEEDS)
    found = []
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            cell = (slice(top, top + side), slice(left, left + side))
            v, u = np.nonzero(valid[cell])
            if len(v) < side * side // 2:
                continue
            design = np.column_stack([u + left, v + top, np.ones(len(u))])
            found.append(np.linalg.lstsq(design, inverse[cell][v, u], rcond=None)[0])
    return np.array(found).reshape(-1, 3)


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
    # Depth is stored in millimetres and lenses are never quite straightened: half a percent is no thing of its own.
    limit: NDArray[np.float64] = np.maximum(_SIGNIFICANT * noise, 0.005 * inverse)
    return limit
