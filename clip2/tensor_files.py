"""Tensor files: safetensors and those of torch.save; whatever is wrong with one is a line that names it."""

from __future__ import annotations

import argparse
import os
import pickle  # an exception  # nosec B403
import pickletools  # names opcodes, executes nothing  # nosec B403
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import require_file

if TYPE_CHECKING:
    from torch import Tensor

# safetensors fails in its own way for what it checks, and in numpy's or torch's for types they lack.
_NOT_SAFETENSORS = (
    SafetensorError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    RuntimeError,
    OverflowError,
)
# The unpickler of torch trusts that a stack, a memo and an archive are as torch.save leaves them.
_NOT_TORCH = (
    OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, EOFError, MemoryError,
    OverflowError, struct.error, zipfile.BadZipFile, RecursionError,
)  # fmt: skip

_LONGEST_NAME = 500


@contextmanager
def open_tensors(
    path: str | Path, framework: Literal["pt", "numpy"] = "numpy", fix: str | None = None
) -> Iterator[Any]:
    """A safetensors file, read tensor by tensor: the object of ``safetensors.safe_open``.

    Args:
        path: the file.
        framework: of the tensors.
        fix: what the reader of the error should do.

    Raises:
        InputError: on opening, or on reading inside the block: missing, cut short, of another kind, or of types that the
            framework lacks.
    """
    require_file(path, fix)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except InputError:
        raise
    except _NOT_SAFETENSORS as error:
        raise InputError(
            f"is not a safetensors file that fits ({_first_line(error)})", source=path, fix=fix
        ) from error


def load_arrays(path: str | Path, fix: str | None = None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays of a safetensors file by name, and its metadata.

    Raises:
        InputError: as :func:`open_tensors`, or an array holds NaN or inf.
    """
    with open_tensors(path, "numpy", fix) as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        metadata = dict(file.metadata() or {})
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError("holds values that are not finite", source=path, field=name, fix=fix)
    return arrays, metadata


def load_tensors(path: str | Path, fix: str | None = None) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, for torch.

    Raises:
        InputError: as :func:`open_tensors`, or a tensor holds NaN or inf: a network with one answers with NaN.
    """
    with open_tensors(path, "pt", fix) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    require_finite(tensors, path, fix)
    return tensors


def read_record(path: str | Path, key: str, fix: str | None = None) -> dict[str, Any]:
    """The JSON object under ``key`` of a safetensors file's metadata; no tensor is read.

    Raises:
        InputError: as :func:`open_tensors`, or there is no such object.
    """
    with open_tensors(path, "numpy", fix) as file:
        return as_record(file.metadata(), key, path, fix)


def as_record(
    metadata: dict[str, str] | None, key: str, path: str | Path, fix: str | None = None
) -> dict[str, Any]:
    """The JSON object under ``key`` of metadata that was read.

    Raises:
        InputError: there is none.
    """
    text = (metadata or {}).get(key)
    if text is None:
        raise InputError("is missing", source=path, field=f"metadata {key}", fix=fix)
    try:
        record = parse_json(text)
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", source=path, field=f"metadata {key}", fix=fix) from error
    if not isinstance(record, dict):
        raise InputError(f"is a {type(record).__name__}", source=path, field=f"metadata {key}", fix=fix)
    return record


def load_torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote into a file, of tensors and plain values alone; tensors are mapped, not read.

    Raises:
        InputError: missing, damaged, of torch before 1.6, or with objects, which loading would execute.
    """
    import torch

    require_file(path, None)
    if not zipfile.is_zipfile(path):  # torch.load of other bytes is undefined
        raise InputError(
            "cannot be read (cut short, or not written by torch.save of release 1.6 or later)", source=path
        )
    try:
        _require_short_names(path)
        # ULIP's files also hold the command line, a plain record of values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise InputError(
            "holds Python objects, which loading would execute",
            source=path,
            fix="if you trust it, save its state_dict alone as safetensors",
        ) from None
    except _NOT_TORCH as error:
        raise InputError(f"cannot be read ({_first_line(error)})", source=path) from error


def _require_short_names(path: Path) -> None:
    """Torch searches the name of an object that it refuses in quadratic time."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith("data.pkl"):
                with archive.open(member) as file:
                    for code, argument, _ in pickletools.genops(file):
                        if code.name == "GLOBAL" and len(str(argument)) > _LONGEST_NAME:
                            raise ValueError("names an object in too many letters")


def require_finite(tensors: dict[str, Tensor], path: str | Path, fix: str | None = None) -> None:
    """Refuse tensors that hold NaN or inf.

    Raises:
        InputError: naming the first.
    """
    for name, tensor in tensors.items():
        # A sum is NaN or inf if a value is, and reads the tensor once.
        if (
            tensor.is_floating_point()
            and not tensor.double().sum().isfinite()
            and not tensor.isfinite().all()
        ):
            raise InputError("holds values that are not finite", source=path, field=name, fix=fix)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write torch tensors as a safetensors file; it appears whole or not at all.

    Args:
        path: the file.
        tensors: name → contiguous tensor of the CPU.
        metadata: one entry at most: several are written in random order.

    Raises:
        UnwritableError: no room, no right, or the folder is gone.
    """
    from safetensors.torch import save_file  # torch, which readers of arrays need not import

    def write(scratch: Path) -> None:
        try:
            save_file(dict(tensors), scratch, metadata)
        except SafetensorError as error:  # the system's error is in its text only
            code = re.search(r"(?:os error|Os \{ code:) (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error

    write_atomically(path, write)
