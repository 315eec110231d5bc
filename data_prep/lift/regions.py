"""Projected points of a view, searched by box or mask."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import Camera


class ProjectedPoints:
    """The points of a frame that land in one image, in order of their image row.

    Args:
        points: (N, 3) float, in the frame of ``Frame.points``.
        camera: the view's camera.

    Attributes:
        indices: (V,) int64 rows of ``points`` that are in the image.
        u, v: (V,) pixels.
        depth: (V,) meters along the camera's z.
        row: (V,) the image row of the pixel each lies on, ascending.
    """

    def __init__(self, points: NDArray, camera: Camera) -> None:
        self.camera = camera
        uv, depth = camera.project(points)
        uv = np.asfortranarray(uv)  # u and v each in one stretch of memory, for all that follows
        inside = camera.in_image(uv)
        if inside.all():  # a depth image seen by its own camera
            indices = np.arange(len(points))
            u, v = uv[:, 0], uv[:, 1]
        else:
            indices = np.flatnonzero(inside)
            u, v, depth = uv[indices, 0], uv[indices, 1], depth[indices]
        row = _pixel(v, camera.height)
        if (row[1:] < row[:-1]).any():  # depth images come in order already
            order = np.argsort(row, kind="stable")  # a radix sort for 16 bits
            indices, u, v, depth, row = indices[order], u[order], v[order], depth[order], row[order]
        self.indices, self.u, self.v, self.depth, self.row = indices, u, v, depth, row
        self._row_start = np.searchsorted(row, np.arange(camera.height + 1, dtype=row.dtype))

    def __len__(self) -> int:
        return len(self.indices)

    def in_box(self, box: NDArray) -> NDArray[np.int64]:
        """Positions in this object's arrays of the points inside an xyxy pixel box, borders included."""
        x0, y0, x1, y1 = (float(value) for value in box)
        rows = self._rows(y0, y1)
        u, v = self.u[rows], self.v[rows]
        inside = u >= x0
        inside &= u <= x1
        # Only the outermost rows can hold points above or below the box: two, for rounding moves points by one.
        for edge in (self._rows(y0, y0), self._rows(y1, y1)):
            ends = slice(max(edge.start - rows.start, 0), max(edge.stop - rows.start, 0))
            inside[ends] &= (v[ends] >= y0) & (v[ends] <= y1)
        found = np.flatnonzero(inside)
        found += rows.start
        return found

    def in_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Positions in this object's arrays of the points on a pixel of an (H, W) mask.

        Raises:
            InputError: the mask is not of the image's size.
        """
        if mask.shape != (self.camera.height, self.camera.width):
            raise InputError(
                f"is {mask.shape[1]}x{mask.shape[0]}, the image {self.camera.width}x{self.camera.height}",
                field="detections.masks",
                fix="give masks at the image's own size",
            )
        lit = np.flatnonzero(mask.any(axis=1))
        if len(lit) == 0:
            return np.zeros(0, dtype=np.int64)
        rows = self._rows(float(lit[0]), float(lit[-1]))
        inside = np.flatnonzero(mask[self.row[rows], self.column(rows)])
        return inside + rows.start

    def column(self, rows: slice = slice(None)) -> NDArray[np.integer]:
        """(V,) the image column of the pixel each point lies on."""
        return _pixel(self.u[rows], self.camera.width)

    def _rows(self, y0: float, y1: float) -> slice:
        """Positions of the points on the image rows from y0 to y1, and on one more."""
        height = self.camera.height
        first = floor(min(max(y0 + 0.5, 0), height))
        last = floor(min(max(y1 + 2.5, first), height))
        return slice(int(self._row_start[first]), int(self._row_start[last]))


def _pixel(position: NDArray, size: int) -> NDArray[np.integer]:
    """Nearest pixel; at float32's precision the last half pixel may round up to one that is not there."""
    kind = np.int16 if size < 1 << 15 else np.int32
    return np.minimum(np.floor(position + position.dtype.type(0.5)), size - 1).astype(kind)
