"""Object sets: labeled clouds of a benchmark, read one by one, with their digests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clip2.preprocessing import local_coordinates
from data_prep.errors import InputError

# Cells per side of an object's box. Coarse, so that rounding rarely moves a point to another cell; two objects that
# fill the same cells of a million are one object.
_CELLS = 100
# Lattices (voxel centers, CAD corners) then lie off the cells' borders.
_OFF_THE_BORDER = (math.sqrt(5) - 1) / 2 / _CELLS


@dataclass(frozen=True, eq=False)
class Cloud:
    """One object.

    Attributes:
        points: (n, 3) float, z-up, any unit.
        colors: (n, 3) uint8 RGB or None.
    """

    points: NDArray[np.floating]
    colors: NDArray[np.uint8] | None = None


def cloud_digest(points: NDArray[np.floating]) -> str:
    """Hash of the cells of 1 % of the largest side that the points fill; equal for two copies of an object.

    Order, offset and scale do not matter. Rounding to float32 far from the origin changes the hash of a few percent of
    objects, so copies may be missed, but different objects are never taken for copies.

    Args:
        points: (n, 3) of one object.

    >>> points = np.random.default_rng(0).normal(size=(500, 3))
    >>> cloud_digest(points) == cloud_digest(points[::-1] * 2 + 7)
    True
    """
    local = local_coordinates(np.asarray(points, np.float64))
    cells = np.unique(np.floor((local / local.max() + _OFF_THE_BORDER) * _CELLS).astype(np.int16), axis=0)
    return hashlib.sha256(cells.tobytes()).hexdigest()[:16]


class Crops(Protocol):
    """Vectors of images of the M objects of a set."""

    def only(self, chosen: NDArray[np.int64]) -> Crops:
        """Those of some objects."""
        ...

    def read(self, model: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(M, D) unit rows in the space of a CLIP model, and (M,) whether there is an image."""
        ...


@dataclass(frozen=True, eq=False)
class ObjectSet:
    """Objects that have one true label each. Only ``load`` reads a cloud.

    Attributes:
        name: of the set.
        labels: K class names, the labels to choose from.
        targets: (M,) int64 into ``labels``.
        names: M names of objects, for errors.
        load: number of an object → its cloud, z-up; called in worker processes, so it can be pickled.
        axes: convention of the files and the turn that made them z-up.
        colored: whether the clouds have color.
        left_out: objects that were not counted, and why; one line.
        metric: whether the files are in meters. Others are scaled so that the largest side is 1 m: a model that knows
            sizes must not read arbitrary units as meters.
        points: how many the protocol prescribes; None: all.
        synonyms: label → other names of it, tried in order where a text bank lacks the label.
        source: where the class list comes from.
        crops: vectors of images of the objects, where they are known.
    """

    name: str
    labels: tuple[str, ...]
    targets: NDArray[np.int64]
    names: tuple[str, ...]
    load: Callable[[int], Cloud]
    axes: str
    colored: bool = False
    left_out: str = ""
    metric: bool = False
    points: int | None = None
    synonyms: dict[str, tuple[str, ...]] | None = None
    source: str = ""
    crops: Crops | None = None

    def __post_init__(self) -> None:
        if len(self.names) == 0:
            raise InputError("holds no objects", source=self.name, fix="check the folder")
        if len(self.targets) != len(self.names):
            raise InputError(f"{len(self.targets)} for {len(self.names)} objects", field="targets")
        if self.targets.min() < 0 or self.targets.max() >= len(self.labels):
            raise InputError(
                f"must be whole numbers from 0 to {len(self.labels) - 1}", source=self.name, field="targets"
            )

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Cloud:
        """One object, checked; where the files are not in meters, its largest side is 1 m.

        Raises:
            InputError: it cannot be read, is empty, or holds NaN; the line names the object.
        """
        try:
            cloud = self.load(index)
        except OSError as error:  # its file was listed, and is gone or no file now
            name = self.names[index]
            raise InputError(
                f"cannot be read ({error})", source=self.name, field=name, fix="copy the set again"
            ) from error
        local = local_coordinates(cloud.points, cloud.colors, name=f"{self.name} object {self.names[index]}")
        return cloud if self.metric else Cloud(local / local.max(), cloud.colors)

    def only(self, kept: NDArray, left_out: str = "") -> ObjectSet:
        """The objects at the indices ``kept``."""
        chosen = np.asarray(kept, np.int64)
        load = self.load
        note = "; ".join(filter(None, (self.left_out, left_out)))
        return ObjectSet(
            **{
                **{name: getattr(self, name) for name in self.__dataclass_fields__},
                "targets": self.targets[chosen],
                "names": tuple(self.names[i] for i in chosen),
                "load": _Subset(load, chosen),
                "left_out": note,
                "crops": None if self.crops is None else self.crops.only(chosen),
            }
        )


@dataclass(frozen=True, eq=False)
class _Subset:
    load: Callable[[int], Cloud]
    chosen: NDArray[np.int64]

    def __call__(self, index: int) -> Cloud:
        return self.load(int(self.chosen[index]))


def draw_points(cloud: Cloud, count: int | None, seed: int, index: int) -> Cloud:
    """``count`` points of a cloud, drawn without replacement; a smaller cloud stays as it is.

    Args:
        cloud: the object.
        count: number of points; None: all.
        seed, index: of the run and of the object: the draw does not depend on which objects come before.
    """
    if count is None or len(cloud.points) <= count:
        return cloud
    chosen = np.random.default_rng([seed, index]).choice(len(cloud.points), count, replace=False)
    colors = None if cloud.colors is None else cloud.colors[chosen]
    return Cloud(cloud.points[chosen], colors)
