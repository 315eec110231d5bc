"""Whether an object is like those a model was trained on. What is like none of them is called unknown, not guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from clip2.ood.exposure import OutlierExposureHead
from clip2.ood.statistics import directions, floor, table, unit, within
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically

if TYPE_CHECKING:
    from clip2.model import Clip2Model
    from clip2.training import TrainingSet

Kind = Literal["relative", "mahalanobis", "knn", "exposed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALWAYS: tuple[Kind, ...] = ("relative", "mahalanobis", "knn")  # "exposed" needs examples of strangers

FORMAT = "clip2-familiarity"
_PROTOTYPES, _NEIGHBOR = 4000, 5
_STEPS = 1000
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Statistics of training objects in the encoder's feature space.

    All kinds of distance are kept, so that they can be compared on one model; ``kind`` is the one in use:

    - ``relative``: Mahalanobis distance to the nearest group less that to all objects together, those of no group
      included (Ren et al. 2021, "A simple fix to Mahalanobis distance"): what makes an object strange in general does
      not count, only what makes it unlike every group.
    - ``mahalanobis``: to the nearest group alone (Lee et al. 2018).
    - ``knn``: to the fifth nearest of some thousand training objects, directions only (Sun et al. 2022,
      "Out-of-distribution detection with deep nearest neighbors").
    - ``exposed``: what a small network says that saw examples of strangers too; only where some were given.

    Attributes:
        center: (W,) float32 mean of the features.
        basis: (W, R) float32 orthonormal directions in which they vary most.
        spread: (R,) float32 variance along each, never quite 0.
        groups: (G, R) float32 mean of each group.
        whitening: (R, R) float32, makes the covariance within groups the unit matrix.
        prototypes: (P, R) float16 unit rows, training objects.
        distances: kind → (1001,) float32: distances of fresh objects of the same world, in equal steps of rank.
        kind: the distance in use.
        quantile: share of those fresh objects that are familiar.
        net: the network behind ``exposed``.
    """

    center: NDArray[np.float32]
    basis: NDArray[np.float32]
    spread: NDArray[np.float32]
    groups: NDArray[np.float32]
    whitening: NDArray[np.float32]
    prototypes: NDArray[np.float16]
    distances: Mapping[str, NDArray[np.float32]]
    kind: Kind = "relative"
    quantile: float = 0.95
    net: OutlierExposureHead | None = None

    def __post_init__(self) -> None:
        if self.kind not in self.kinds:
            raise InputError(
                f"is {self.kind!r}", field="familiarity.kind", fix=f"use {', '.join(self.kinds)}"
            )
        if not 0 < self.quantile < 1:
            raise InputError(
                f"is {self.quantile}", field="familiarity.quantile", fix="give a share between 0 and 1"
            )

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float32],
        groups: NDArray[np.int64] | None,
        calibration: NDArray[np.float32],
        *,
        strangers: Sequence[NDArray[np.float32]] = (),
        quantile: float = 0.95,
        kind: Kind | None = None,
        seed: int = 0,
    ) -> OODDetector:
        """Measure training objects, and set the limit by fresh ones.

        Args:
            features: (n, W) of training objects, from :func:`describe`.
            groups: (n,) what each is, -1 where that is not known: such objects count among all, but make no group.
                None: all are one group.
            calibration: (m, W) of objects of the same world that were not trained on.
            strangers: (s, W) each, of sources of clouds that no word fits.
            quantile: share of ``calibration`` that is to be familiar.
            kind: the distance in use; None: ``exposed`` where there are strangers, else ``relative``.
            seed: chooses the prototypes, and begins the network.

        Raises:
            InputError: shapes that do not fit, values that are not finite, or too few objects.
        """
        known, fresh = table(features, "features"), table(calibration, "calibration")
        member = np.zeros(len(known), np.int64) if groups is None else np.asarray(groups)
        if fresh.shape[1] != known.shape[1]:
            raise InputError(f"is {fresh.shape}, the features are {known.shape}", field="calibration")
        if member.shape != (len(known),) or member.dtype.kind not in "iu":
            raise InputError(f"is {member.dtype} {member.shape} for {len(known)} objects", field="groups")
        others = [table(rows, f"strangers[{i}]") for i, rows in enumerate(strangers)]
        for rows in others:
            if rows.shape[1] != known.shape[1]:
                raise InputError(
                    f"is {rows.shape}, the features are {known.shape}",
                    field="strangers",
                    fix="describe them with the same model",
                )
        net = OutlierExposureHead.fit(known[member >= 0], others, seed) if others else None
        center, basis, spread = directions(known)
        z = (known - center) @ basis
        means, whitening = within(z, member, spread)
        chosen = np.flatnonzero(member >= 0)
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:_PROTOTYPES])
        fitted = cls(
            center=center.astype(np.float32),
            basis=basis.astype(np.float32),
            # The same floor as within groups, so that in directions of no variance neither distance outweighs the other.
            spread=(spread + floor(spread)).astype(np.float32),
            groups=means.astype(np.float32),
            whitening=whitening.astype(np.float32),
            prototypes=unit(z[chosen]).astype(np.float16),
            distances={},
            kind=kind or ("relative" if net is None else "exposed"),
            quantile=quantile,
            net=net,
        )
        ranks = np.linspace(0, 1, _STEPS + 1)
        tables: dict[str, NDArray[np.float32]] = {}
        for name in fitted.kinds:
            tables[name] = np.quantile(fitted._distance(fresh, name), ranks).astype(np.float32)
        return replace(fitted, distances=tables)

    @property
    def width(self) -> int:
        """W, numbers per feature vector."""
        return len(self.center)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Distances that these statistics have."""
        return ALWAYS if self.net is None else KINDS

    @property
    def limit(self) -> float:
        """Objects farther than this are unknown."""
        return float(np.interp(self.quantile, np.linspace(0, 1, _STEPS + 1), self.distances[self.kind]))

    def using(self, kind: Kind | None = None, quantile: float | None = None) -> OODDetector:
        """The same statistics with another distance or another share of familiar objects.

        Raises:
            InputError: no such kind, or a share outside 0..1.
        """
        return replace(
            self,
            kind=self.kind if kind is None else kind,
            quantile=self.quantile if quantile is None else quantile,
        )

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B,) how far objects are from those trained on, in units of ``kind``.

        Args:
            features: (B, W).

        Raises:
            InputError: another width.
        """
        return self._distance(features, self.kind)

    def is_in_distribution(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(B,) bool. What is not finite is not familiar."""
        familiar: NDArray[np.bool_] = self.distance(features) <= self.limit
        return familiar

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; it appears whole or not at all."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        tensors |= {f"distances.{name}": ranks for name, ranks in self.distances.items()}
        if self.net is not None:
            tensors |= {f"net.{name}": values for name, values in self.net.tensors().items()}
        # One entry: safetensors writes several in random order, and the same statistics should be the same bytes.
        about = json.dumps({"kind": self.kind, "quantile": self.quantile})
        write_atomically(
            Path(path),
            lambda scratch: safetensors.numpy.save_file(tensors, scratch, metadata={FORMAT: about}),
        )

    @classmethod
    def load(cls, path: str | Path) -> OODDetector:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: not such a file, or parts of it do not fit together.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError(f"is not a safetensors file ({error})", source=path) from error
        parts = {name.removeprefix("net."): tensors.pop(name) for name in list(tensors) if name[:4] == "net."}
        kinds = KINDS if parts else ALWAYS
        wanted = {*_TENSORS, *(f"distances.{name}" for name in kinds)}
        if FORMAT not in about or set(tensors) != wanted or (parts and set(parts) != set(_NET_TENSORS)):
            raise InputError(f"is not a {FORMAT} file", source=path, fix="fetch the checkpoint again")
        tables: dict[str, NDArray[np.float32]] = {name: tensors.pop(f"distances.{name}") for name in kinds}
        net = OutlierExposureHead(**parts) if parts else None
        try:
            settings = json.loads(about[FORMAT])
            kind, quantile = settings["kind"], float(settings["quantile"])
            loaded = cls(**tensors, distances=tables, kind=kind, quantile=quantile, net=net)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"does not say what it holds ({error!r})", source=path) from error
        loaded._require_fitting(path)
        return loaded

    def _distance(self, features: NDArray, kind: str) -> NDArray[np.float32]:
        given = np.asarray(features, np.float32)
        if given.ndim != 2 or given.shape[1] != self.width:
            raise InputError(
                f"is {given.shape}, the statistics are {self.width} wide",
                field="features",
                fix="use statistics of this model",
            )
        parts = [given[i : i + _ROWS_AT_ONCE] for i in range(0, len(given), _ROWS_AT_ONCE)]
        if kind == "exposed":
            assert self.net is not None  # as __post_init__ sees to
            measured = [self.net.distance(part) for part in parts]
        else:
            measured = [self._measure((part - self.center) @ self.basis, kind) for part in parts]
        return np.concatenate([np.zeros(0), *measured]).astype(np.float32)

    def _measure(self, z: NDArray, kind: str) -> NDArray:
        if kind == "knn":
            near = unit(z) @ self.prototypes.astype(np.float32).T
            nth = min(_NEIGHBOR, near.shape[1])
            distance: NDArray = 1 - np.partition(near, -nth, axis=1)[:, -nth]
            return distance
        white, centers = z @ self.whitening, self.groups @ self.whitening
        squares = (white**2).sum(axis=1)[:, None] - 2 * white @ centers.T + (centers**2).sum(axis=1)
        to_group: NDArray = squares.min(axis=1)
        if kind == "mahalanobis":
            return to_group
        relative: NDArray = to_group - (z**2 / self.spread).sum(axis=1)
        return relative

    def _require_fitting(self, path: str | Path) -> None:
        width, directions = self.basis.shape if self.basis.ndim == 2 else (0, 0)
        shapes = {
            "center": (width,),
            "spread": (directions,),
            "whitening": (directions, directions),
            "groups": (len(self.groups), directions),
            "prototypes": (len(self.prototypes), directions),
        }
        given = {name: getattr(self, name) for name in shapes}
        if self.net is not None:
            given |= {f"net.{name}": values for name, values in self.net.tensors().items()}
            shapes |= {f"net.{name}": shape for name, shape in self.net.shapes().items()}
            shapes["net.center"] = (width,)
        for name, shape in shapes.items():
            if given[name].shape != shape:
                raise InputError(f"is {given[name].shape}, expected {shape}", source=path, field=name)


_NET_TENSORS = tuple(field.name for field in fields(OutlierExposureHead))
_TENSORS = ("center", "basis", "spread", "groups", "whitening", "prototypes")


def describe(model: Clip2Model, data: TrainingSet, rows: ArrayLike) -> NDArray[np.float32]:
    """(m, W) features of training objects, preprocessed as in use.

    A model that takes clouds with and without colors sees colored objects in both states; the second half of the
    result is then the same ``rows`` without colors.

    Args:
        model: trained.
        data: where the objects are.
        rows: (m,) which of them.
    """
    clouds = [data.cloud(int(row)) for row in np.asarray(rows)]
    points = [cloud for cloud, _ in clouds]
    seen = model.describe(points, [color for _, color in clouds]).features
    if model.config.colors_seen != "both":
        return seen
    return np.concatenate([seen, model.describe(points).features])


def fit_ood_detector(
    model: Clip2Model,
    data: TrainingSet,
    rows: ArrayLike,
    calibration_rows: ArrayLike,
    *,
    strangers: Sequence[NDArray[np.float32]] = (),
    quantile: float = 0.95,
    kind: Kind | None = None,
) -> OODDetector:
    """Statistics of the objects a model was trained on; objects are grouped by their first word.

    Args:
        model: trained on ``rows``.
        data: where the objects are; those without a word make no group.
        rows, calibration_rows: (m,) objects trained on, and objects held out.
        strangers: (s, W) features each, by ``model.describe``, of sources of clouds that no word fits, like those of
            :mod:`clip2.world.outliers`.
        quantile, kind: as of :meth:`OODDetector.fit`.
    """
    features = describe(model, data, rows)
    return OODDetector.fit(
        features,
        np.resize(data.own_texts[np.asarray(rows), 0], len(features)),
        describe(model, data, calibration_rows),
        strangers=strangers,
        quantile=quantile,
        kind=kind,
    )
