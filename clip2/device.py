"""Device names: one parser for ``auto``, ``cpu``, ``cuda``, ``cuda:1`` and ``mps``."""

from __future__ import annotations

import torch

from data_prep.errors import InputError


def parse_device(name: str | torch.device, field: str = "device") -> torch.device:
    """The device of a name, after checking that this machine has it.

    Args:
        name: ``auto`` (CUDA if available, else the CPU), ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or a torch device.
        field: the option or argument that the name came from, for the error.

    Raises:
        InputError: an unknown name, or a device that this machine does not have.

    >>> parse_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = str(name).partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise InputError(f"{str(name)!r} is unknown", field=field, fix="use cpu, cuda, cuda:1, mps or auto")
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if int(number or 0) >= count:
        raise InputError(f"{name} is not available on this machine", field=field, fix="use cpu or auto")
    return torch.device(name)
