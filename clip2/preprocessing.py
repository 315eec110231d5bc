"""Preprocessing of raw object clouds to encoder input; saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from clip2.point_queries import farthest_point_sample
from clip2.sampling_order import sampling_orders
from data_prep.config import TypedConfig
from data_prep.errors import InputError

if TYPE_CHECKING:
    import torch

MOST_POINTS = 65_536  # of one object

_POINTS_AT_ONCE = 1 << 17  # bounds the memory of raw clouds on their way


class CloudArrays(NamedTuple):
    """The content of :class:`PreparedClouds` as numpy arrays, for models that run without torch."""

    points: NDArray[np.float32]
    lengths: NDArray[np.int64]
    features: NDArray[np.float32] | None
    features_present: NDArray[np.bool_] | None
    radii: NDArray[np.float32] | None = None


class PreparedClouds(NamedTuple):
    """A dense batch, ready for the encoder.

    Attributes:
        points: (B, num_points, 3) float32, centered and scaled.
        lengths: (B,) int64 points that are the cloud's own; after them it repeats cyclically.
        features: (B, num_points, 3) float32 RGB in 0..1, or None: this model takes no color.
        features_present: (B,) bool, False where a cloud has no color (its features are then never read), or None.
        radii: (B,) float32 meters from the center to the farthest point, or None: this model is not told the size.
    """

    points: torch.Tensor
    lengths: torch.Tensor
    features: torch.Tensor | None
    features_present: torch.Tensor | None
    radii: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> PreparedClouds:
        """The same batch on another device."""
        return PreparedClouds(
            self.points.to(device),
            self.lengths.to(device),
            None if self.features is None else self.features.to(device),
            None if self.features_present is None else self.features_present.to(device),
            None if self.radii is None else self.radii.to(device),
        )


class Preprocessing(TypedConfig):
    """Conversion of raw object clouds to model input, shared by training and inference.

    In use the result is a pure function of the *set* of points: the millimeter cell of each point, counted from the
    corner of the object's box, is hashed and the ``num_points`` smallest hashes are kept (bottom-k sampling). So no
    seed exists, the order of the input does not matter, and an object keeps its sample where it stands, except for
    the few points that float32 rounds into the next cell (about 1 % at 100 m). In training the sample is drawn anew
    at every step.
    A cloud with fewer points than ``num_points`` stays as it is: the batch is padded with its own points, repeated
    cyclically, and ``lengths`` tells the encoder which are real, so that sparse objects cost less, not more.

    Attributes:
        num_points: points the encoder sees.
        sampling: ``random``: a uniform sample; ``fps``: spread out by farthest point sampling over a uniform sample
            of at most eight times ``num_points`` (in use only; training draws uniformly in both cases).
        center: ``centroid`` of the sampled points, or middle of their axis-aligned ``box``.
        scale: ``unit_sphere`` divides by the largest distance from the center; ``metric`` keeps meters, for
            encoders whose radii are metric and tasks where size tells classes apart.
        size: whether the model also gets the size of the object: a mug and a stool differ mostly by size, and no
            metric radius fits both.
        color: whether the model takes color. Clouds without it are marked, never filled with zeros.

    >>> batch = Preprocessing(num_points=64)([np.random.default_rng(0).normal(size=(500, 3))])
    >>> batch.points.shape, batch.lengths.tolist()
    (torch.Size([1, 64, 3]), [64])
    """

    num_points: int = Field(default=1024, ge=8, le=MOST_POINTS)
    sampling: Literal["random", "fps"] = "random"
    center: Literal["centroid", "box"] = "centroid"
    scale: Literal["unit_sphere", "metric"] = "unit_sphere"
    size: bool = False
    color: bool = True

    @model_validator(mode="before")
    @classmethod
    def _without_up_axis(cls, values: Any) -> Any:
        """Configurations of release 0.1.0 state ``up_axis: z``, the only value ever supported."""
        if not isinstance(values, Mapping) or "up_axis" not in values:
            return values
        if values["up_axis"] != "z":
            raise ValueError(f"up_axis is {values['up_axis']!r}, clouds are always z-up")
        return {key: value for key, value in values.items() if key != "up_axis"}

    def __call__(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        first: int = 0,
    ) -> PreparedClouds:
        """Model input of several objects, as tensors; arguments and errors as of :meth:`arrays`."""
        import torch

        parts = self.arrays(clouds, colors, first)
        return PreparedClouds(*(None if part is None else torch.from_numpy(part) for part in parts))  # type: ignore[arg-type]

    def arrays(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        first: int = 0,
    ) -> CloudArrays:
        """Model input of several objects, without torch.

        Args:
            clouds: B arrays (n, 3), float32 or float64, meters, z-up, any offset and any n >= 2.
            colors: B arrays (n, 3) uint8 RGB, or None where a cloud has no color; None: no cloud has.
            first: number of the first cloud in error messages, for a caller that works in batches.

        Raises:
            InputError: naming the cloud that is empty, a single place, not finite or of the wrong shape.
        """
        if len(clouds) == 0:
            raise InputError("no clouds given", field="clouds")
        if colors is not None and len(colors) != len(clouds):
            raise InputError(f"{len(colors)} for {len(clouds)} clouds", field="colors")
        tints: Sequence[NDArray[np.uint8] | None] = [None] * len(clouds) if colors is None else colors
        points = np.empty((len(clouds), self.num_points, 3), dtype=np.float32)
        features = np.zeros_like(points)
        present = np.zeros(len(clouds), dtype=bool)
        clouds = [np.asarray(cloud) for cloud in clouds]
        names = [f"cloud {first + i}" for i in range(len(clouds))]
        for cloud, tint, name in zip(clouds, tints, names, strict=True):
            _require_cloud(cloud, tint, name)
        sizes = [len(cloud) for cloud in clouds]
        for start, stop in _runs(sizes):
            local = _local_of_all(clouds[start:stop], names[start:stop])
            picks = self._picks(local, sizes[start:stop], tints[start:stop])
            before = np.cumsum([0, *sizes[start : stop - 1]])
            points[start:stop] = local.take(picks + before[:, None], axis=0)
            for i, (color, index) in enumerate(zip(tints[start:stop], picks, strict=True), start):
                if color is not None:
                    features[i] = color[index] / np.float32(255)
                    present[i] = True
        counts = np.minimum(np.array(sizes, np.int64), self.num_points)
        radii = self._normalize(points, counts)
        known = radii if self.size else None
        if not self.color:
            return CloudArrays(points, counts, None, None, known)
        return CloudArrays(points, counts, features, present, known)

    def _normalize(self, points: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Centers and scales (B, N, 3) in place as :meth:`normalize` does; returns the radii (B,)."""
        if self.center == "centroid":
            own = np.arange(points.shape[1]) < counts[:, None]
            sums = points.sum(axis=1, dtype=np.float64, where=own[..., None])
            points -= (sums / counts[:, None]).astype(np.float32)[:, None]
        else:
            points -= (points.min(axis=1, keepdims=True) + points.max(axis=1, keepdims=True)) / 2
        radii: NDArray[np.float32] = np.sqrt(np.einsum("bnd,bnd->bn", points, points).max(axis=1))
        if self.scale == "unit_sphere":
            points /= np.maximum(radii, np.float32(1e-12))[:, None, None]
        return radii

    def normalize(self, points: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Centers and scales a batch of already sampled points.

        Args:
            points: (B, N, 3) meters, after ``lengths`` (B,) points repeating the cloud's own.

        Returns:
            (B, N, 3), and the radii they had (B,) in meters.
        """
        import torch

        if self.center == "centroid":
            own = torch.arange(points.shape[1], device=points.device) < lengths[:, None]
            middle = (points * own[..., None]).sum(dim=1, keepdim=True) / lengths[:, None, None]
        else:
            middle = (points.amin(dim=1, keepdim=True) + points.amax(dim=1, keepdim=True)) / 2
        points = points - middle
        radii = torch.linalg.vector_norm(points, dim=-1).amax(dim=1)
        if self.scale == "unit_sphere":
            # A training sample may by chance hold one place only; it then stays at the origin.
            points = points / radii.clamp_min(1e-12)[:, None, None]
        return points, radii

    def _picks(
        self, local: NDArray[np.float32], sizes: Sequence[int], colors: Sequence[NDArray[np.uint8] | None]
    ) -> NDArray[np.int64]:
        """(G, num_points) point indices per cloud; a smaller cloud repeats."""
        orders = sampling_orders(local, sizes, colors, self.num_points * (8 if self.sampling == "fps" else 1))
        for i, end in enumerate(np.cumsum(sizes)):
            if len(orders[i]) > self.num_points:
                orders[i] = orders[i][self._spread(local[end - sizes[i] : end][orders[i]])]
        kept = np.array([len(order) for order in orders])
        cyclic = np.arange(self.num_points) % kept[:, None]
        picks: NDArray[np.int64] = np.concatenate(orders)[(np.cumsum(kept) - kept)[:, None] + cyclic]
        return picks

    def _spread(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        return farthest_point_sample(points[None], self.num_points)[0]


class NotAnObject(InputError):
    """A cloud that cannot be an object.

    Attributes:
        reason: one fixed text per kind of problem, for counting.
    """

    def __init__(self, problem: str, *, reason: str = "", **where: Any) -> None:
        super().__init__(problem, **where)
        self.reason = reason or problem


def local_coordinates(
    points: NDArray[np.floating], colors: NDArray[np.uint8] | None = None, name: str = "cloud"
) -> NDArray[np.float32]:
    """(n, 3) float32 relative to the corner of the points' box, checked; survey-size offsets lose nothing.

    Raises:
        NotAnObject: points that cannot be an object: wrong shape or type, not finite, or one single place; or colors
            that do not fit them.
    """
    _require_cloud(np.asarray(points), colors, name)
    return _local_of_all([points], [name])


def _local_of_all(clouds: Sequence[NDArray[np.floating]], names: Sequence[str]) -> NDArray[np.float32]:
    """(P, 3) :func:`local_coordinates` of checked clouds, one after the other."""
    sizes = np.array([len(cloud) for cloud in clouds])
    starts = np.cumsum(sizes) - sizes
    points = np.concatenate(clouds, dtype=np.float64)
    points -= np.repeat(np.minimum.reduceat(points, starts), sizes, axis=0)
    local = points.astype(np.float32)
    farthest = np.maximum.reduceat(local, starts).max(axis=1)
    if not farthest.all():
        i = int(np.argmin(farthest))
        raise NotAnObject(
            f"all {sizes[i]} are the same place",
            reason="all points are the same place",
            source=names[i],
            field="points",
        )
    return local


def _runs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Clouds (from, to) that are worked on at once: many small ones, as each call costs, but never many large ones."""
    breaks = np.flatnonzero(np.diff(np.cumsum(sizes) // _POINTS_AT_ONCE)) + 1
    return list(pairwise([0, *breaks.tolist(), len(sizes)]))


def _require_cloud(points: NDArray[np.floating], colors: NDArray[np.uint8] | None, name: str) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
        raise NotAnObject(
            f"is {points.dtype} of shape {points.shape}",
            reason="points of another shape or type than (n, 3) float",
            source=name,
            field="points",
            fix="give (n, 3) float32",
        )
    if len(points) < 2:
        raise NotAnObject(
            f"has {len(points)} points",
            reason="fewer than two points",
            source=name,
            field="points",
            fix="give at least two",
        )
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points).all(axis=1)).sum())
        raise NotAnObject(
            f"{bad} of {len(points)} are NaN or infinite",
            reason="points that are NaN or infinite",
            source=name,
            field="points",
        )
    if colors is not None and (colors.shape != points.shape or colors.dtype != np.uint8):
        raise NotAnObject(
            f"are {colors.dtype} of shape {colors.shape} for {points.shape} points",
            reason="colors of another shape or type than (n, 3) uint8",
            source=name,
            field="colors",
            fix="give (n, 3) uint8",
        )
