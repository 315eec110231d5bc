"""State dicts in safetensors files, and a check of names and shapes against those of a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write torch tensors as a safetensors file; it appears whole or not at all.

    Args:
        path: the file.
        tensors: name → contiguous tensor of the CPU.
        metadata: one entry at most: several are written in random order.

    Raises:
        UnwritableError: no room, no right, or the folder is gone.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def write(scratch: Path) -> None:
        try:
            save_file(dict(tensors), scratch, metadata)
        except SafetensorError as error:  # the system's error is in its text only
            code = re.search(r"\(os error (\d+)\)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error

    write_atomically(path, write)


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
