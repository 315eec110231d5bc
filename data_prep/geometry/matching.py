"""One-to-one matching of two lists by their overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def match_by_score(overlap: ArrayLike, scores: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Match predictions to labeled objects, the best score first, as PASCAL VOC and ScanNet's detection benchmark do.

    A prediction belongs to the object that it overlaps most. If a better prediction has that object already, it is a
    duplicate, and matches nothing.

    Args:
        overlap: (P, L) of P predictions with L objects, 0..1.
        scores: (P,), larger is better; of equal scores the earlier prediction comes first.
        threshold: least overlap of a match.

    Returns:
        (P,) int64: the object of each prediction, -1 for none.

    >>> match_by_score([[0.6], [0.9]], [0.8, 0.3], 0.5).tolist()  # the better box, but not the better score
    [0, -1]
    """
    table = np.asarray(overlap, np.float64)
    match = np.full(len(table), -1)
    if table.size == 0:
        return match
    best, taken = table.argmax(axis=1), set()
    for row in np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist():
        column = int(best[row])
        if table[row, column] >= threshold and column not in taken:
            match[row] = column
            taken.add(column)
    return match


def match_by_overlap(overlap: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Match two lists one to one, the largest overlap first.

    Args:
        overlap: (M, N), 0..1.
        threshold: least overlap of a match.

    Returns:
        (M,) int64: the column of each row, -1 for none.

    >>> match_by_overlap([[0.6, 0.0], [0.9, 0.7]], 0.5).tolist()
    [-1, 0]
    """
    table = np.array(overlap, np.float64)
    match = np.full(len(table), -1)
    while table.size and table.max() >= threshold:
        row, column = np.unravel_index(table.argmax(), table.shape)
        match[row] = column
        table[row], table[:, column] = -1, -1
    return match
