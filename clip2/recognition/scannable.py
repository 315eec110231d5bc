"""Frames made of whatever can be recognized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import rigid
from data_prep.geometry.local_origin import local_origin
from data_prep.geometry.strays import far_strays, stray_note
from data_prep.scans import Frame, open_scan

Scannable = Frame | str | Path | NDArray | tuple[NDArray, NDArray | None]


def as_frame(scan: Scannable) -> Frame:
    """A frame as it is, the first one of a cloud file, or points (N, 3) in meters with or without colors.

    Raises:
        InputError: a broken file, or arrays that are no cloud.
    """
    if isinstance(scan, Frame):
        return scan
    if isinstance(scan, str | Path):
        return open_scan("cloud", scan)[0]
    points, colors = scan if isinstance(scan, tuple) and len(scan) == 2 else (scan, None)
    try:
        array = np.asarray(points)
    except ValueError:  # rows of different lengths
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise InputError(
            f"is a {type(points).__name__} of shape {array.shape}",
            field="points",
            fix="give an array (N, 3) in meters, a tuple (points, colors), a Frame, or the path of a file",
        )
    broken = ~np.isfinite(array).all(axis=1)
    if broken.any():  # dropped here, they would shift the indices of the result
        raise InputError(
            f"hold NaN or inf in {broken.sum():,} of {len(array):,} rows",
            field="points",
            fix="leave them out: points[np.isfinite(points).all(axis=1)]",
        )
    if colors is not None:
        try:
            given: NDArray = np.asarray(colors)
        except ValueError:  # rows of different lengths
            given = np.empty(0)
        if given.shape != array.shape or given.dtype != np.uint8:
            raise InputError(
                f"are {given.dtype} of shape {given.shape}, the points {array.shape}",
                field="colors",
                fix="give an array (N, 3) of uint8, 0 to 255",
            )
        colors = given
    offset = local_origin(array)
    strays = far_strays(array)
    return Frame(
        "scan",
        (array - offset).astype(np.float32),
        colors=colors,
        T_world_points=rigid(translation=offset),
        notes=(stray_note(array, strays),) if strays.any() else (),
    )
