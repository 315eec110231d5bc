"""Rigid transforms as (4, 4) float64 matrices, quaternions and up axes. ``T_a_b`` takes coordinates in b to coordinates in a."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_prep.errors import InputError

AXES = {
    f"{sign}{axis}": side * np.eye(3)[i]
    for i, axis in enumerate("xyz")
    for sign, side in (("", 1), ("-", -1))
}


def rigid(rotation: ArrayLike | None = None, translation: ArrayLike | None = None) -> NDArray[np.float64]:
    """Build a (4, 4) rigid transform from a (3, 3) rotation and a (3,) translation in meters.

    >>> rigid(translation=[1, 2, 3])[:3, 3]
    array([1., 2., 3.])
    """
    T = np.eye(4)
    if rotation is not None:
        T[:3, :3] = np.asarray(rotation, dtype=np.float64)
    if translation is not None:
        T[:3, 3] = np.asarray(translation, dtype=np.float64).reshape(3)
    return T


def invert(T_a_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a rigid transform exactly: ``T_b_a`` from ``T_a_b``, both (4, 4)."""
    rotation = T_a_b[:3, :3].T
    return rigid(rotation, -rotation @ T_a_b[:3, 3])


def transform_points(
    T_a_b: NDArray[np.float64], points_b: NDArray, dtype: DTypeLike | None = None
) -> NDArray:
    """Take (N, 3) points from frame b to frame a: a new array, in the points' own floating dtype or the one given.

    The matrix is applied in float64 only when that is float64: at sensor ranges (< 1 km)
    float32 keeps better than 0.1 mm, and it is twice as fast.
    """
    if dtype is None:
        dtype = points_b.dtype if points_b.dtype.kind == "f" else np.float64
    rotation, translation = T_a_b[:3, :3].astype(dtype), T_a_b[:3, 3].astype(dtype)
    if (rotation == np.eye(3)).all():  # a LiDAR's own axes are often the world's already
        points_a = points_b.astype(dtype)
    else:
        points_a = points_b.astype(dtype, copy=False) @ rotation.T
    if translation.any():
        points_a += translation
    return points_a


def validate_rigid(
    T: ArrayLike, *, source: str | Path | None = None, field: str = "transform", tolerance: float = 1e-2
) -> NDArray[np.float64]:
    """Return ``T`` as a (4, 4) float64 rigid transform, or raise.

    Args:
        T: (3, 4) or (4, 4).
        source: file named in the error.
        field: key named in the error.
        tolerance: largest accepted deviation of R Rᵀ from the identity; text files round.

    Raises:
        InputError: wrong shape, not finite, a rotation that is not one, or a mirrored frame.
    """
    try:
        matrix = np.asarray(T, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"is not numbers ({error})", source=source, field=field) from error
    if matrix.shape not in ((3, 4), (4, 4)):
        raise InputError(
            f"has shape {matrix.shape}", source=source, field=field, fix="give a 3x4 or 4x4 matrix"
        )
    if not np.isfinite(matrix).all():
        raise InputError("holds values that are not finite", source=source, field=field, fix="drop this pose")
    full = np.eye(4)
    full[:3] = matrix[:3]
    rotation = full[:3, :3]
    deviation = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    determinant = float(np.linalg.det(rotation))
    if deviation > tolerance or determinant < 0:
        raise InputError(
            f"is not a rotation (|R Rt - I| = {deviation:.3g}, det = {determinant:.3g})",
            source=source,
            field=field,
            fix="check row order, units and handedness",
        )
    return full


def rotation_between(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Smallest (3, 3) rotation that takes direction ``a`` to direction ``b``.

    >>> np.round(rotation_between([1, 0, 0], [0, 0, 1]) @ [1, 0, 0], 6) + 0.0
    array([0., 0., 1.])
    """
    u = np.asarray(a, dtype=np.float64) / np.linalg.norm(a)
    v = np.asarray(b, dtype=np.float64) / np.linalg.norm(b)
    cosine = float(u @ v)
    if cosine < -1 + 1e-12:  # opposite: half a turn about any axis normal to u
        axis = np.cross(u, np.eye(3)[np.argmin(np.abs(u))])
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    x, y, z = np.cross(u, v)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def T_zup_from(up: str | ArrayLike) -> NDArray[np.float64]:
    """(4, 4) smallest rotation that takes direction ``up``, one of ``AXES`` or three numbers, to z.

    Raises:
        InputError: not an axis name.
    """
    if isinstance(up, str) and up not in AXES:
        raise InputError(f"is {up!r}", field="up", fix=f"use one of {', '.join(AXES)}")
    return rigid(rotation_between(AXES[up] if isinstance(up, str) else up, [0, 0, 1]))


def quaternion_to_rotation(wxyz: ArrayLike) -> NDArray[np.float64]:
    """(3, 3) rotation from a quaternion in order w, x, y, z (nuScenes order); it is normalized first.

    Written out, not ``scipy``'s: triplet shards hold poses to the last bit, and scipy rounds differently.
    """
    w, x, y, z = np.asarray(wxyz, dtype=np.float64) / np.linalg.norm(wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


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
