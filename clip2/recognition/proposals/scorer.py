"""Small trained network that scores regions and their borders by named features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.special import expit

from clip2.tensor_files import load_arrays
from data_prep.errors import InputError


@dataclass(frozen=True)
class Scorer:
    """A multilayer perceptron in numpy: features to probabilities.

    Attributes:
        features: names of the F inputs, in order.
        center, scale: (F,) float32; an input enters as (x - center) * scale, clipped to ±5.
        layers: weight (out, in) and bias (out,) of each layer, float32; ReLU between them, a sigmoid at the end.
    """

    features: tuple[str, ...]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def __call__(self, rows: NDArray) -> NDArray[np.float32]:
        """(n, outputs) in 0..1 for features (n, F); (n,) with a single output."""
        x = np.clip((rows - self.center) * self.scale, -5, 5).astype(np.float32)
        for number, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if number < len(self.layers) - 1:
                np.maximum(x, 0, out=x)
        out: NDArray[np.float32] = expit(x)
        return out[:, 0] if out.shape[1] == 1 else out

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        tensors = {"center": self.center, "scale": self.scale}
        for number, (weight, bias) in enumerate(self.layers):
            tensors |= {f"weight{number}": weight, f"bias{number}": bias}
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        save_file(arrays, path, {"features": json.dumps(self.features)})

    @classmethod
    def load(cls, path: Path, features: Sequence[str]) -> Scorer:
        """Read a file of :meth:`save`.

        Args:
            path: of the file.
            features: the names that the caller computes, in order.

        Raises:
            InputError: the file was trained on other features.
        """
        arrays, metadata = load_arrays(path)
        names = tuple(json.loads(metadata["features"]))
        if names != tuple(features):
            raise InputError(
                "was trained on other features", source=path.name, fix="train it again: clip2.world.proposals"
            )
        count = sum(name.startswith("weight") for name in arrays)
        layers = tuple((arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(count))
        return cls(names, arrays["center"], arrays["scale"], layers)


@cache
def shipped_scorer(name: str, features: tuple[str, ...]) -> Scorer:
    """The scorer ``name`` that comes with the package."""
    with as_file(files("clip2") / "weights" / "proposals" / f"{name}.safetensors") as path:
        return Scorer.load(path, features)
