"""A pose given as quaternion and translation, checked before it is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError
from data_prep.geometry import quaternion_to_rotation, rigid


def quaternion_pose(
    wxyz: ArrayLike, translation: ArrayLike, *, source: str | Path, field: str
) -> NDArray[np.float64]:
    """(4, 4) rigid transform from a unit quaternion w x y z and a translation in meters.

    Raises:
        InputError: not 4 and 3 finite numbers, or a quaternion whose length is not 1: normalizing it would hide
            a scaled, swapped or empty rotation.
    """
    try:
        rotation, shift = np.asarray(wxyz, np.float64), np.asarray(translation, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"is not numbers ({error})", source=source, field=field) from error
    if rotation.shape != (4,) or shift.shape != (3,):
        raise InputError(
            f"has {rotation.size} and {shift.size} numbers",
            source=source,
            field=field,
            fix="give 4 for the rotation and 3 for the translation",
        )
    if not (np.isfinite(rotation).all() and np.isfinite(shift).all()):
        raise InputError("holds values that are not finite", source=source, field=field, fix="drop this pose")
    length = float(np.linalg.norm(rotation))
    if abs(length - 1) > 1e-2:
        raise InputError(
            f"is not a rotation (quaternion {rotation.tolist()} has length {length:.3g})",
            source=source,
            field=field,
            fix="give a unit quaternion",
        )
    return rigid(quaternion_to_rotation(rotation), shift)
