"""Index groups from an owner per point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def group_indices(owner: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Ascending indices of each group.

    Args:
        owner: (N,) group of each point; negative: none.
        count: groups are numbered 0 to ``count - 1``.

    >>> [index.tolist() for index in group_indices(np.array([1, -1, 0, 1]), 2)]
    [[2], [0, 3]]
    """
    if count < np.iinfo(np.int16).max:
        owner = owner.astype(np.int16)  # numpy sorts these by radix, in a fifth of the time
    order = np.argsort(owner, kind="stable")
    return np.split(order, np.searchsorted(owner[order], np.arange(count)))[1:]


def owners(groups: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """(count,) group of each point, -1 for none; of groups that overlap the last."""
    owner = np.full(count, -1)
    for number, group in enumerate(groups):
        owner[group] = number
    return owner
