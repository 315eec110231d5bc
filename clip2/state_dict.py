"""State-dict check: names and shapes of stored tensors against those of a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import InputError


def require_same_shapes(
    given: Mapping[str, Any],
    expected: Mapping[str, Any],
    *,
    owner: str = "the network",
    source: str | Path | None = None,
    fix: str | None = None,
) -> None:
    """Reject tensors that are missing, unknown or of another shape.

    Args:
        given: name → tensor or array (anything with a ``shape``), as read from a file.
        expected: name → tensor, array or shape.
        owner: what ``expected`` belongs to, for the error.
        source: the file of ``given``.
        fix: advice for the error.

    Raises:
        InputError: naming the first tensor that differs, and how many do.

    >>> import numpy as np
    >>> require_same_shapes({"weight": np.zeros(3)}, {"weight": (2,)}, owner="the encoder")
    Traceback (most recent call last):
    data_prep.errors.InputError: weight: is (3,), the encoder has (2,)
    """
    found = {name: tuple(value.shape) for name, value in given.items()}
    wanted = {name: tuple(getattr(value, "shape", value)) for name, value in expected.items()}
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if not differing:
        return
    name = differing[0]
    more = f" ({len(differing)} tensors differ)" if len(differing) > 1 else ""
    raise InputError(
        f"is {found.get(name, 'missing')}, {owner} has {wanted.get(name, 'no such tensor')}{more}",
        source=source,
        field=name,
        fix=fix,
    )
