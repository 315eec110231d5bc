"""Saying which way is up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import rigid, rotation_between

AXES = {
    f"{sign}{axis}": side * np.eye(3)[i]
    for i, axis in enumerate("xyz")
    for sign, side in (("", 1), ("-", -1))
}


def T_zup_from(up: str | list[float]) -> NDArray[np.float64]:
    """(4, 4) smallest rotation that takes direction ``up``, an axis name or three numbers, to z.

    Raises:
        InputError: not an axis name.
    """
    if isinstance(up, str) and up not in AXES:
        raise InputError(f"is {up!r}", field="up", fix=f"use one of {', '.join(AXES)}")
    return rigid(rotation_between(AXES[up] if isinstance(up, str) else up, [0, 0, 1]))
