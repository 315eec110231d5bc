"""The ground an object covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError


@dataclass(frozen=True)
class Footprint:
    """Smallest rectangle, of any direction, around points seen from above.

    Attributes:
        rotation: (2, 2), takes x y to the rectangle's axes.
        low, high: (2,) its bounds along them, meters.
    """

    rotation: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def around(cls, xy: NDArray[np.float64]) -> Footprint:
        """Fit to (N, 2) points, N > 0. One side of the smallest rectangle lies along a side of the convex hull."""
        try:
            corners = xy[ConvexHull(xy).vertices]
        except (QhullError, ValueError):  # fewer than three points, or all on a line
            spread = np.linalg.svd(xy - xy.mean(axis=0), full_matrices=True)[2]
            return cls(spread, (xy @ spread.T).min(axis=0), (xy @ spread.T).max(axis=0))
        sides = np.roll(corners, -1, axis=0) - corners
        sides /= np.linalg.norm(sides, axis=1, keepdims=True)
        rotations = np.stack([sides, sides[:, ::-1] * [-1, 1]], axis=1)
        along = np.einsum("sij,nj->sni", rotations, corners)
        low, high = along.min(axis=1), along.max(axis=1)
        best = int((high - low).prod(axis=1).argmin())
        return cls(rotations[best], low[best], high[best])

    def contains(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) True for (N, 2) points on it, borders included."""
        along = xy @ self.rotation.T
        inside: NDArray[np.bool_] = ((along >= self.low) & (along <= self.high)).all(axis=1)
        return inside
