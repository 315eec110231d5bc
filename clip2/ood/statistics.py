"""Means, directions and spreads of feature vectors, kept from dividing by nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

# Directions beyond these hold noise, and every one of them costs room on disk and in memory.
_DIRECTIONS, _VARIANCE = 96, 0.999
SMALLEST_GROUP = 5
# Share of the covariance within groups that is replaced by its own diagonal, and the floor under its variances as a share
# of the mean one: no direction may be so thin that float noise along it makes an object strange.
_SHRINKAGE, _FLOOR = 0.1, 1e-3


def table(values: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or len(table) < 2 * SMALLEST_GROUP or table.shape[1] == 0:
        raise InputError(
            f"is {table.shape}", field=name, fix=f"give at least {2 * SMALLEST_GROUP} rows of features"
        )
    if not np.isfinite(table).all():
        raise InputError("holds values that are not finite", field=name)
    return table


def directions(known: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Mean, the directions of most variance (W, R), and the variance along each."""
    center = known.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(known.T).reshape(known.shape[1], known.shape[1]))
    variances, axes = variances[::-1].clip(0), axes[:, ::-1]
    if variances[0] <= 0:
        raise InputError("are all the same", field="features", fix="give different objects")
    enough = int(np.searchsorted(np.cumsum(variances) / variances.sum(), _VARIANCE)) + 1
    kept = min(enough, _DIRECTIONS, len(variances))
    return center, axes[:, :kept], variances[:kept].clip(variances[0] * 1e-9)


def within(z: NDArray, member: NDArray[np.int64], spread: NDArray) -> tuple[NDArray, NDArray]:
    """Mean of each group that is large enough, and what whitens the differences from them."""
    names, counts = np.unique(member[member >= 0], return_counts=True)
    names = names[counts >= SMALLEST_GROUP]
    if len(names) == 0:
        raise InputError(f"no group has {SMALLEST_GROUP} members", field="groups", fix="give more objects")
    means = np.stack([z[member == name].mean(axis=0) for name in names])
    in_group = np.flatnonzero(np.isin(member, names))
    rest = z[in_group] - means[np.searchsorted(names, member[in_group])]
    covariance = rest.T @ rest / max(1, len(rest) - len(names))
    shrunk = (1 - _SHRINKAGE) * covariance + np.diag(_SHRINKAGE * np.diag(covariance) + floor(spread))
    values, axes = np.linalg.eigh(shrunk)
    return means, axes / np.sqrt(values)


def floor(spread: NDArray) -> float:
    return float(_FLOOR * spread.mean())


def unit(rows: NDArray) -> NDArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
