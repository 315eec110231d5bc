"""Tensors of a public checkpoint file, whatever container it was saved in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from clip2.model import LARGEST_LOGIT_SCALE
from clip2.tensor_files import load_torch_file, open_tensors
from data_prep.errors import InputError

# Keys under which training code keeps the network: OpenShape and ULIP, others, DeepSpeed (Uni3D).
_CONTAINERS = ("state_dict", "model", "module")
_TEMPERATURES = ("logit_scale", "tau")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of the network by name, without the ``module.`` of data-parallel training.

    Only the bytes of tensors that are used are read (``mmap``), so optimizer state costs nothing. Nothing in the file
    is executed. A learned temperature outside the network is added under its own name.

    Raises:
        InputError: the file is missing, cut short, of another kind, or holds objects.
    """
    found: object
    # A wide network of others may hold what is not finite in parts that are not used; what is used is checked later.
    if path.suffix == ".safetensors":
        with open_tensors(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    else:
        found = load_torch_file(path)
    return network_tensors(found, path)


def network_tensors(found: object, source: Path) -> dict[str, Tensor]:
    """Tensors of the network in what ``torch.load`` returned, as :func:`read_tensors` gives them.

    Raises:
        InputError: it holds no tensors.
    """
    outside: dict[str, Tensor] = {}
    for key in _CONTAINERS:
        inner = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping) and isinstance(inner, Mapping):
            outside |= _temperatures(found)
            found = inner
    if not isinstance(found, Mapping):
        raise InputError(f"holds a {type(found).__name__}", source=source, fix="give a state dict")
    tensors = {
        str(key).removeprefix("module."): value for key, value in found.items() if isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError("holds no tensors", source=source, fix="give a state dict")
    return {**outside, **tensors}


def logit_scale(tensors: Mapping[str, Tensor]) -> float | None:
    """The learned factor of the cosines before the softmax, at most 100; None if the file has none.

    Files store its logarithm, the factor itself or its inverse, the temperature. The three cannot be confused: CLIP
    limits the factor to 100, so a logarithm lies between 0.7 and 4.7, a temperature below and a factor above.

    >>> round(logit_scale({"tau": torch.tensor(0.02)})), round(logit_scale({"logit_scale": torch.tensor(3.912)}))
    (50, 50)
    """
    stored = next((float(tensors[key].float().mean()) for key in _TEMPERATURES if key in tensors), None)
    if stored is None or not math.isfinite(stored) or stored <= 0:
        return None
    if stored < math.log(2):
        stored = 1 / stored
    elif stored <= math.log(LARGEST_LOGIT_SCALE) + 0.1:
        stored = math.exp(stored)
    return min(stored, LARGEST_LOGIT_SCALE)


def _temperatures(container: Mapping[object, object]) -> dict[str, Tensor]:
    """Temperatures beside the network: a tensor, or a state dict of one tensor."""
    found: dict[str, Tensor] = {}
    for key in _TEMPERATURES:
        value = container.get(key)
        if isinstance(value, Mapping):
            value = next(iter(value.values()), None)
        if isinstance(value, Tensor) and value.numel() == 1:
            found[key] = value
    return found


class CheckpointTensors:
    """Tensors of a checkpoint below one prefix, with a record of the keys that were read.

    Half precision becomes float32 here, before any arithmetic.

    Args:
        tensors: the checkpoint.
        prefix: of the point encoder's keys.
        axes: (3, 3), from z-up coordinates to those of the checkpoint.
    """

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str, axes: Tensor) -> None:
        self._tensors = {
            key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)
        }
        self._axes = axes
        self.missing: list[str] = []
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._tensors

    def count(self, before: str, after: str) -> int:
        """How many numbers stand between ``before`` and ``after`` in keys: the depth of a network."""
        return len({key for key in self._tensors if key.startswith(before) and key.endswith(after)})

    def unknown(self, left_out: tuple[str, ...]) -> list[str]:
        """Keys that were never read and do not start with one of ``left_out``, sorted."""
        return sorted(key for key in self._tensors if key not in self._asked and not key.startswith(left_out))

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor; (0, 0) if it is missing."""
        return tuple(self._tensors[key].shape) if key in self._tensors else (0, 0)

    def get(self, key: str) -> Tensor:
        """The tensor; an empty one if it is missing, which is recorded in ``missing``."""
        self._asked.add(key)
        if key not in self._tensors:
            self.missing.append(key)
            return torch.empty(0)
        value = self._tensors[key]
        return value.float() if value.is_floating_point() and value.dtype.itemsize < 4 else value

    def matrix(self, key: str, coordinates: tuple[int, ...] = ()) -> Tensor:
        """A convolution of size 1 as (out, in); the three columns from each index in ``coordinates`` are turned to z-up."""
        weight = self.get(key)
        weight = weight.flatten(1).clone() if weight.ndim > 1 else weight
        for start in coordinates:
            if weight.ndim == 2:
                part = weight[:, start : start + 3]
                weight[:, start : start + 3] = part @ self._axes.to(weight)
        return weight

    def affine(self, here: str, there: str, coordinates: tuple[int, ...] = ()) -> dict[str, Tensor]:
        """Weight and bias of a linear layer."""
        return {
            f"{here}.weight": self.matrix(f"{there}.weight", coordinates),
            f"{here}.bias": self.get(f"{there}.bias"),
        }

    def norm(self, here: str, there: str) -> dict[str, Tensor]:
        """Weight and bias of a LayerNorm."""
        return {f"{here}.{name}": self.get(f"{there}.{name}") for name in ("weight", "bias")}

    def linear_norm(
        self, linear: str, norm: str, conv: str, batch_norm: str, coordinates: tuple[int, ...] = ()
    ) -> dict[str, Tensor]:
        """A convolution of size 1 with bias and its BatchNorm, as a linear layer without bias and a BatchNorm."""
        filled = {f"{norm}.{name}": self.get(f"{batch_norm}.{name}") for name in _NORM}
        bias = self.get(f"{conv}.bias")
        if bias.numel() == filled[f"{norm}.running_mean"].numel():
            filled[f"{norm}.running_mean"] = filled[f"{norm}.running_mean"] - bias
        return {f"{linear}.weight": self.matrix(f"{conv}.weight", coordinates), **filled}
