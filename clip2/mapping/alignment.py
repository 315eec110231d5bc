"""Transform between two maps, from objects that look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.map_object import MapObject
from data_prep.errors import InputError
from data_prep.geometry import rigid

_ALIKE, _SIZE = 0.7, 0.6  # least cosine, least ratio of sizes
_TRIES, _LEAST_APART = 4000, 1.0  # pairs of correspondences, and meters between their objects
_FITS = 0.5  # of the diagonal, and at least 0.3 m: distance of an object from its counterpart
_FEWEST = 3  # objects that must agree


def align(mine: Sequence[MapObject], other: Sequence[MapObject]) -> NDArray[np.float64]:
    """(4, 4) from the world of ``other`` to that of ``mine``: a turn about z and a translation, both worlds being z-up.

    Two pairs of objects that look alike propose a transform; the one under which most objects meet their counterparts
    wins (RANSAC, Fischler and Bolles 1981) and is fitted to all of them.

    Raises:
        InputError: fewer than three objects agree.
    """
    a, b = (
        [one for one in objects if one.state == "confirmed" and not one.moving and one.embedding is not None]
        for objects in (mine, other)
    )
    if len(a) < _FEWEST or len(b) < _FEWEST:
        raise _cannot(min(len(a), len(b)))
    centers, others = (np.array([one.box[:3] for one in objects]) for objects in (a, b))
    sizes, other_sizes = (np.array([one.diagonal for one in objects]) for objects in (a, b))
    cosine = np.array([one.mean_embedding for one in a]) @ np.array([one.mean_embedding for one in b]).T
    ratio = np.minimum(sizes[:, None], other_sizes) / np.maximum(sizes[:, None], other_sizes)
    alike = (cosine >= _ALIKE) & (ratio >= _SIZE)
    rows, columns = np.nonzero(alike)
    if len(rows) < _FEWEST:
        raise _cannot(0)
    rng = np.random.default_rng(0)
    first, second = rng.integers(len(rows), size=(2, 20 * _TRIES))
    apart = np.linalg.norm(centers[rows[first]] - centers[rows[second]], axis=1)
    apart_other = np.linalg.norm(others[columns[first]] - others[columns[second]], axis=1)
    good = np.flatnonzero((apart > _LEAST_APART) & (np.abs(apart - apart_other) < 0.1 * apart))[:_TRIES]
    tolerance = np.maximum(0.3, _FITS * sizes)
    best: tuple[int, NDArray[np.float64]] = (0, np.eye(4))
    for k in good:
        pair = [first[k], second[k]]
        T = _fit(centers[rows[pair]], others[columns[pair]])
        count = len(_agreeing(T, centers, others, alike, tolerance)[0])
        if count > best[0]:
            best = count, T
    if best[0] < _FEWEST:
        raise _cannot(best[0])
    T = best[1]
    for _ in range(3):
        i, j = _agreeing(T, centers, others, alike, tolerance)
        T = _fit(centers[i], others[j])
    return T


def _agreeing(
    T: NDArray, centers: NDArray, others: NDArray, alike: NDArray[np.bool_], tolerance: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Objects and the nearest counterparts that look alike, as far as they are near enough."""
    moved = others @ T[:3, :3].T + T[:3, 3]
    gap = np.linalg.norm(centers[:, None] - moved[None], axis=2)
    gap[~alike] = np.inf
    j = gap.argmin(axis=1)
    i = np.flatnonzero(gap[np.arange(len(j)), j] < tolerance)
    _, kept = np.unique(j[i], return_index=True)  # one counterpart each
    return i[kept], j[i[kept]]


def _fit(target: NDArray, source: NDArray) -> NDArray[np.float64]:
    """(4, 4) turn about z and translation that brings ``source`` (n, 3) closest to ``target``."""
    middle, other = target.mean(axis=0), source.mean(axis=0)
    p, q = source - other, target - middle
    yaw = np.arctan2((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum(), (p[:, :2] * q[:, :2]).sum())
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return rigid(rotation, middle - rotation @ other)


def _cannot(count: int) -> InputError:
    return InputError(
        f"cannot be placed: {count} objects of the two maps agree, {_FEWEST} must",
        field="T_self_other",
        fix="give the transform (clip2 map: --merge-transform FILE)",
    )
