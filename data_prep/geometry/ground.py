"""Ground surface: a smooth, sloped height map fitted under a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import data_prep.native as native
from data_prep.errors import InputError
from data_prep.geometry.strays import far_strays

_MAX_CELLS = 1 << 18  # of the height map; beyond, cells grow
_SPREADS = (8.0, 4.0, 2.0)  # cells: how far around itself each fit looks, coarse to fine
_REWEIGHTINGS = 3
_CONTENT = 0.7  # share of the cells that a plain fit explains in most scenes; streets have 0.66 to 0.98
_HOUSE = 9  # cells: what is narrower stands on the ground
_TRUNCATE = 2.5  # spreads: where the Gaussian ends
# Far from the sensor many cells hold an object and no ground. Such a cell is tall, or it holds a single return.
_TALL = 0.2  # m between the lowest and the highest return of a cell
_DOUBTFUL = 0.1  # weight of a tall or single cell


def height_above_ground(points: NDArray, *, cell: float = 1.0) -> NDArray[np.float64]:
    """Signed height of every point over the ground around it.

    Args:
        points: (N, 3) z-up, meters.
        cell: side of the height map's cells, meters: about the width of the things that stand on the ground.

    Returns:
        (N,) meters, on slopes and over curbs; negative below the ground.

    Raises:
        InputError: points are not finite (N, 3).
    """
    points = np.asarray(points)
    if len(points) == 0:
        return np.zeros(0)
    ground = GroundMap.fit(points, cell=cell)
    above: NDArray[np.float64] = points[:, 2] - ground.height(points[:, :2])
    return above


def floor_heights(points: NDArray, xy: NDArray, indoors: bool) -> NDArray[np.float64]:
    """Height of what stands under places: of the ground outdoors, of the lowest points of a room.

    Args:
        points: (N, 3) z-up, meters.
        xy: (K, 2) places.
        indoors: one level floor, as in the view of a depth camera.

    Returns:
        (K,) meters.

    Raises:
        InputError: points are not finite (N, 3), or there are none.
    """
    if len(xy) == 0:
        return np.zeros(0)
    if indoors:
        return np.full(len(xy), np.percentile(points[:, 2], 1))
    return GroundMap.fit(points).height(xy)


@dataclass(frozen=True)
class GroundMap:
    """Height of the ground over a regular grid, z-up.

    Attributes:
        surface: (A, B) float64 heights at the cells' centers, meters.
        origin: (2,) float64 x y of the grid's corner.
        cell: side of a cell, meters.
    """

    surface: NDArray[np.float64]
    origin: NDArray[np.float64]
    cell: float

    @classmethod
    def fit(cls, points: NDArray, *, cell: float = 1.0, tolerance: float = 0.2) -> GroundMap:
        """Fit the ground under a scene.

        The lowest returns of map cells are fitted by a plane around every cell, first over the whole scene,
        then within 8, 4 and 2 cells. Each fit corrects the coarser one only as far as its support goes, so that
        unseen ground continues its surroundings; cells that stand above the fit lose their say in the next, and tall
        cells count little. Where that explains few of the returns, a second fit begins from the lowest returns
        themselves. It is kept if it leaves less than half as much unexplained.

        Args:
            points: (N, 3) z-up, meters, N > 0.
            cell: side of the map's cells, meters; larger where the scene would need too many.
            tolerance: how far above the fit a cell's lowest return may lie at the finest scale to count as ground.

        Strays far outside the scene are left out, so that one of them does not make all cells too large.

        Raises:
            InputError: points are not finite (N, 3), or there are none.
        """
        points = np.asarray(points)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all() or len(points) == 0:
            raise InputError(f"must be finite with shape (N, 3), N > 0, got {points.shape}", field="points")
        strays = far_strays(points)
        if strays.any():
            points = points[~strays]
        x, y, z = np.ascontiguousarray(
            points.T, np.float64
        )  # each in one stretch: what follows goes along them
        origin = np.array([x.min(), y.min()])
        wide, deep = float(np.ptp(x)), float(np.ptp(y))
        # The sides count too: a line of points has no area.
        cell = max(cell, float(np.sqrt(wide * deep / _MAX_CELLS)), max(wide, deep) / _MAX_CELLS)
        column, row = ((x - origin[0]) / cell).astype(np.int64), ((y - origin[1]) / cell).astype(np.int64)
        shape = (int(column.max()) + 1, int(row.max()) + 1)
        flat = column * shape[1] + row
        low = _lowest_of_cells(z, flat, shape[0] * shape[1])
        samples, cells = np.stack([x[low], y[low], z[low]], axis=1), flat[low]
        evidence = _evidence(z, flat, low)

        plane = _fit_plane(samples, tolerance)
        centers = (np.indices(shape).reshape(2, -1).T + 0.5) * cell + origin
        start = cls((centers @ plane[:2] + plane[2]).reshape(shape), origin, cell)
        ground = start._fitted(samples, cells, evidence, tolerance, _SPREADS, above=0.5)
        explained = ground._explained(samples, evidence, tolerance)
        if explained < _CONTENT:
            # Hills that no plane lies under: begin from the lowest returns, without what is narrower than a house.
            start = cls(_opened(samples[:, 2], cells, shape), origin, cell)
            # On a steep slope every cell is tall.
            hills = start._fitted(samples, cells, np.ones_like(evidence), tolerance, _SPREADS[1:], above=1.0)
            if 1 - hills._explained(samples, evidence, tolerance) < (1 - explained) / 2:
                return hills
        return ground

    def _fitted(
        self,
        samples: NDArray[np.float64],
        cells: NDArray[np.int64],
        evidence: NDArray[np.float64],
        tolerance: float,
        spreads: tuple[float, ...],
        above: float,
    ) -> GroundMap:
        """This surface corrected scale by scale; samples may lie ``above`` times the tolerance higher."""
        ground, shape = self, (self.surface.shape[0], self.surface.shape[1])
        places = self._places(samples[:, :2])
        higher = samples[:, 2] - ground._at(places)
        # In cells, from the middle of the map.
        x, y = np.ascontiguousarray((samples[:, :2] - self.origin).T) / self.cell - np.array([shape]).T / 2
        terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
        for spread in spreads:
            for _ in range(_REWEIGHTINGS):
                weight = evidence * _trust(higher, tolerance * spread / _SPREADS[-1], above)
                correction = _fit_locally(terms, higher, weight, cells, shape, spread)
                ground = GroundMap(ground.surface + correction, self.origin, self.cell)
                higher = samples[:, 2] - ground._at(places)
        return ground

    def _explained(
        self, samples: NDArray[np.float64], evidence: NDArray[np.float64], tolerance: float
    ) -> float:
        """Share of the cells, weighted by their evidence, whose lowest return lies on the surface."""
        on = np.abs(samples[:, 2] - self.height(samples[:, :2])) < tolerance
        return float(evidence[on].sum() / evidence.sum())

    def height(self, xy: NDArray) -> NDArray[np.float64]:
        """(N, 2) meters → (N,) z of the ground there; beyond the map, that of its border."""
        return self._at(self._places(xy))

    def _places(self, xy: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """For each place the cell before it, in the flat surface with a row and a column more, and how far on it is."""
        cells, shares = [], []
        for axis, count in enumerate(self.surface.shape):
            position = (np.asarray(xy[:, axis], dtype=np.float64) - self.origin[axis]) / self.cell - 0.5
            np.clip(position, 0, count - 1, out=position)
            cells.append(position.astype(np.int64))
            shares.append(position - cells[-1])
        return cells[0] * (self.surface.shape[1] + 1) + cells[1], shares[0], shares[1]

    def _at(
        self, places: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Bilinear heights; the same places serve all maps of one grid."""
        cell, along, across = places
        rows, columns = (np.append(np.arange(count), count - 1) for count in self.surface.shape)
        surface = self.surface[rows[:, None], columns]
        row, flat = surface.shape[1], surface.reshape(-1)
        near, far = flat[cell], flat[cell + row]
        near += across * (flat[cell + 1] - near)
        far += across * (flat[cell + row + 1] - far)
        heights: NDArray[np.float64] = near + along * (far - near)
        return heights


def _lowest_of_cells(z: NDArray[np.float64], flat: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """Index of the lowest point of every occupied cell, the first of equals."""
    lowest = np.full(cells, np.inf)
    np.minimum.at(lowest, flat, z)
    candidates = np.flatnonzero(z == lowest[flat])
    return candidates[np.unique(flat[candidates], return_index=True)[1]]


def _opened(z: NDArray[np.float64], cells: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Heights of the map's cells without bumps narrower than a house; empty cells take the nearest one's. Slopes stay."""
    flat = np.full(shape[0] * shape[1], np.nan)
    flat[cells] = z
    image = flat.reshape(shape)
    row, column = ndimage.distance_transform_edt(np.isnan(image), return_distances=False, return_indices=True)
    opened: NDArray[np.float64] = ndimage.grey_opening(image[row, column], size=_HOUSE, mode="nearest")
    return opened


def _evidence(z: NDArray[np.float64], flat: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each occupied cell, given by its lowest return, says about the ground."""
    highest = np.full(flat.max() + 1, -np.inf)
    np.maximum.at(highest, flat, z)
    cells = flat[low]
    doubtful = (highest[cells] - z[low] > _TALL) | (np.bincount(flat)[cells] == 1)
    return np.where(doubtful, _DOUBTFUL, 1.0)


def _trust(higher: NDArray[np.float64], tolerance: float, above: float = 1.0) -> NDArray[np.float64]:
    """Weights of returns by their height over the fit: none for what stands on the ground or mirrors below it."""
    scaled = np.where(higher > 0, higher / (above * tolerance), higher / (3 * tolerance))
    return np.exp(-0.5 * scaled**2)


def _fit_plane(samples: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """(a, b, c) of z = a x + b y + c under most of the (M, 3) samples, by reweighting from the top down."""
    design = np.column_stack([samples[:, :2], np.ones(len(samples))])
    z = samples[:, 2]
    plane = np.array([0.0, 0.0, np.quantile(z, 0.25)])
    scale = max(float(np.quantile(z, 0.75) - np.quantile(z, 0.05)), tolerance)
    while True:
        for _ in range(_REWEIGHTINGS):
            weight = _trust(z - design @ plane, scale)
            weighted = design * weight[:, None]
            # The least ridge keeps the plane where no return is near it.
            ridge = max(1e-9 * np.trace(weighted.T @ design), 1e-12) * np.eye(3)
            plane = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ z + ridge @ plane)
        if scale <= tolerance * _SPREADS[0] / _SPREADS[-1]:
            return plane
        scale /= 2


def _fit_locally(
    terms: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    cells: NDArray[np.int64],
    shape: tuple[int, int],
    spread: float,
) -> NDArray[np.float64]:
    """Weighted least-squares plane through z around every cell, evaluated at its center; 0 where nothing is near.

    Args:
        terms: (6, M) 1, x, y, x², xy, y² of the samples, in cells from the middle of the map.
        z, weight, cells: (M,) of the samples.
        shape, spread: in cells.
    """
    images = np.zeros((9, shape[0] * shape[1]))
    for image, values in zip(images, [*(weight * terms), *(weight * z * terms[:3])], strict=True):
        image[cells] = values
    s, sx, sy, sxx, sxy, syy, sz, sxz, syz = _blurred(images.reshape(9, *shape), spread)
    # Moments about each cell's own center.
    cx, cy = (np.arange(count) + 0.5 - count / 2 for count in shape)
    cx = cx[:, None]
    mx, my = sx - cx * s, sy - cy * s
    mxx, mxy, myy = sxx - cx * (sx + mx), sxy - cx * sy - cy * mx, syy - cy * (sy + my)
    mxz, myz = sxz - cx * sz, syz - cy * sz
    # A prior of one cell's weight in a hundred pulls the correction and its slope to nothing.
    prior = 0.01
    # The first unknown of the three normal equations per cell, by elimination; a general solver takes ten times as long.
    s, mxx, myy = s + prior, mxx + prior * spread**2, myy + prior * spread**2
    cross, zx, zy = mxy - mx * my / s, mxz - mx * sz / s, myz - my * sz / s
    mxx, myy = mxx - mx * mx / s, myy - my * my / s
    along_y = (zy - cross * zx / mxx) / (myy - cross * cross / mxx)
    along_x = (zx - cross * along_y) / mxx
    correction: NDArray[np.float64] = (sz - mx * along_x - my * along_y) / s
    return correction


def _blurred(images: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Each of (C, A, B) images under a Gaussian filter, zeros outside; the native filter has the same bits as scipy's."""
    if native.problem() is not None:
        blurred: NDArray[np.float64] = ndimage.gaussian_filter(
            images, spread, truncate=_TRUNCATE, mode="constant", axes=(1, 2)
        )
        return blurred
    reach = int(_TRUNCATE * spread + 0.5)
    taps = np.exp(-0.5 / (spread * spread) * np.arange(-reach, reach + 1) ** 2)
    half = np.ascontiguousarray((taps / taps.sum())[reach:])
    blurred = np.empty_like(images)
    native.call("blur", images, *images.shape, half, reach, native.threads(), blurred)
    return blurred
