"""Surface elements of an indoor cloud: voxels as fine as the sensor resolves, with normals and neighbors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import data_prep.native as native
from clip2.recognition.proposals.normals import orient_normals
from data_prep.geometry.planes import fit_normals
from data_prep.geometry.voxels import number_cells, voxel_cells

FINEST, COARSEST = 0.004, 0.045  # m: things of 3 cm still have a few elements; a mug at 4 m has about ten
_MOST = 60_000  # elements
_STEP = 1.3  # between two sizes of element
_POINTS_ACROSS = 3.0  # points along the side of an element of one depth image: nine average its noise
_POINTS_FUSED = 1.3  # the same where many views or a mesh were averaged before
_COARSE = 0.05  # m, to measure how dense the points are
_NEIGHBORS = 12
_SAMPLE = 40_000  # points that tell how dense a cloud is
_REACH = 2.0  # of a neighbor, in sides of the larger of both elements


@dataclass(frozen=True)
class Surface:
    """M surface elements.

    Attributes:
        points: (M, 3) float64 meters, mean of the points in each.
        normals: (M, 3) unit, toward the sensor where it is known.
        size: (M,) meters, side of the voxel.
        colors: (M, 3) float64 0..1 mean RGB, or None.
        element: (N,) which element each point of the cloud is in.
        pairs: (E, 2) neighbors.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    size: NDArray[np.float64]
    colors: NDArray[np.float64] | None
    element: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @property
    def area(self) -> NDArray[np.float64]:
        """(M,) square meters."""
        return self.size**2

    def turned(self, R: NDArray) -> Surface:
        """The same in axes that a rotation (3, 3) leads to."""
        return replace(self, points=self.points @ R.T, normals=self.normals @ R.T)

    def part(self, index: NDArray[np.int64]) -> Surface:
        """Some of the elements, ascending, with the pairs among them; ``element`` is -1 for points in none of these."""
        place = np.full(len(self.points), -1)
        place[index] = np.arange(len(index))
        pairs = place[self.pairs]
        return Surface(
            self.points[index],
            self.normals[index],
            self.size[index],
            None if self.colors is None else self.colors[index],
            place[self.element],
            pairs[(pairs >= 0).all(axis=1)],
        )


def build_surface(
    points: NDArray, viewpoint: NDArray | None, colors: NDArray[np.uint8] | None
) -> Surface | None:
    """Average the points in voxels whose side follows the distance between points.

    One depth image gets finer elements near the camera than far from it, as its noise and its spacing grow with range.
    Other clouds get elements of one size.

    Args:
        points: (N, 3) meters, z-up.
        viewpoint: (3,) the sensor's position, or None.
        colors: (N, 3), or None.

    Returns:
        The elements; None if fewer than four.
    """
    middle = points.mean(axis=0)
    columns = np.ascontiguousarray((points - middle).T, dtype=np.float64)
    level = _levels(columns, None if viewpoint is None else viewpoint - middle)
    element, count, size = _number(columns, level)
    while count > _MOST:
        # No cloud has fewer voxels than the cube of their side takes away: as many steps at once as are surely needed.
        level = level + max(1, int(np.log(count / _MOST) / (3 * np.log(_STEP))))
        element, count, size = _number(columns, level)
    if count < 4:
        return None
    weight = np.bincount(element, minlength=count)
    mean = np.stack([np.bincount(element, column, count) / weight for column in columns], axis=1)
    shade = None
    if colors is not None:
        shade = np.stack([np.bincount(element, c, count) / weight for c in colors.T / 255.0], axis=1)
    distance, index = cKDTree(mean).query(mean, k=min(_NEIGHBORS, count), workers=native.threads())
    normals, _ = fit_normals(mean, index)
    near = distance[:, 1:9] < _REACH * np.maximum(size[:, None], size[index[:, 1:9]])
    rows, column = np.nonzero(near)
    ends = np.sort(np.column_stack([rows, index[:, 1:9][rows, column]]), axis=1)
    key = ends[:, 0] * count + ends[:, 1]
    key.sort()
    pairs = key[np.diff(key, prepend=-1) > 0]
    pairs = np.column_stack([pairs // count, pairs % count])
    if viewpoint is not None:
        away = np.einsum("ij,ij->i", normals, mean - (viewpoint - middle)) > 0
        normals = np.where(away[:, None], -normals, normals)
    else:
        normals = orient_normals(mean, normals, pairs, np.ones(count, dtype=bool))
    return Surface(mean + middle, normals, size, shade, element, pairs)


def _levels(columns: NDArray[np.float64], viewpoint: NDArray | None) -> NDArray[np.int64]:
    """(N,) number of voxel size of each point: size is FINEST * _STEP ** level."""
    step = max(1, columns.shape[1] // _SAMPLE)
    sample = columns[:, ::step]
    cells, first, count = np.unique(
        number_cells(voxel_cells(sample, _COARSE)), return_index=True, return_counts=True
    )
    spacing = _COARSE / np.sqrt(count * step)
    if viewpoint is None or len(cells) < 10:
        side = np.full(1, _POINTS_FUSED * float(np.median(spacing)))
    else:
        reach = np.linalg.norm(sample[:, first].T - viewpoint, axis=1)
        # Cells cut by an edge hold few points: the denser ones tell the angle between two rays.
        angle = float(np.percentile(spacing / np.maximum(reach, 0.05), 30))
        side = _POINTS_ACROSS * angle * np.linalg.norm(columns - viewpoint[:, None], axis=0)
    exponent = np.round(np.log(np.clip(side, FINEST, COARSEST) / FINEST) / np.log(_STEP)).astype(np.int64)
    return np.broadcast_to(exponent, columns.shape[1])


def _number(
    columns: NDArray[np.float64], level: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int, NDArray[np.float64]]:
    """Element of each point, number of elements, and their sides."""
    element = np.empty(columns.shape[1], dtype=np.int64)
    count, sizes = 0, []
    for number in np.unique(level):
        mine = np.flatnonzero(level == number)
        side = FINEST * _STEP ** float(number)
        _, index = np.unique(number_cells(voxel_cells(columns[:, mine], side)), return_inverse=True)
        element[mine] = count + index.reshape(-1)
        added = int(index.max()) + 1
        sizes.append(np.full(added, side))
        count += added
    return element, count, np.concatenate(sizes)
