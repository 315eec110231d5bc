"""Out-of-distribution detector: separates objects like the training set from everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from clip2.ood.exposure import OutlierExposureHead
from clip2.state_dict import require_same_shapes
from clip2.tensor_files import load_arrays
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json

FORMAT = "clip2-ood"
# Release 0.1.0 wrote this format, with tensors of three further distances that no shipped detector used.
_OLD_FORMAT = "clip2-familiarity"
_OLD_NAMES = {"distances.exposed": "distances"} | {
    f"net.{field.name}": f"head.{field.name}" for field in fields(OutlierExposureHead)
}
_STEPS = 1000
_LEAST_ROWS, _ROWS_AT_ONCE = 10, 256


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Outlier-exposure head with a threshold set on held-out objects.

    Attributes:
        head: the network that tells training objects from outliers.
        distances: (1001,) float32, quantiles of the head's distance over held-out objects, in equal steps.
        quantile: share of held-out objects to accept as in distribution, 0..1.
    """

    head: OutlierExposureHead
    distances: NDArray[np.float32]
    quantile: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise InputError(f"is {self.quantile}", field="ood.quantile", fix="give a share between 0 and 1")

    @classmethod
    def fit(
        cls,
        features: NDArray[np.floating],
        calibration: NDArray[np.floating],
        outliers: Sequence[NDArray[np.floating]],
        *,
        quantile: float = 0.95,
        seed: int = 0,
    ) -> OODDetector:
        """Train the head, then set the threshold on held-out objects.

        Args:
            features: (n, W) of training objects, from :meth:`Clip2Model.describe <clip2.model.Clip2Model.describe>`.
            calibration: (m, W) of objects of the same domain that were not trained on.
            outliers: (s, W) per source of outliers, such as background, clutter and bad cuts.
            quantile: share of ``calibration`` to accept.
            seed: seed of the head's training.

        Raises:
            InputError: shapes that do not fit, values that are not finite, fewer than 10 rows, or no outliers.
        """
        known = _table(features, "features")
        fresh = _table(calibration, "calibration", known.shape[1])
        others = [_table(rows, f"outliers[{i}]", known.shape[1]) for i, rows in enumerate(outliers)]
        if not others:
            raise InputError(
                "is empty", field="outliers", fix="give features of at least one source of outliers"
            )
        head = OutlierExposureHead.fit(known, others, seed)
        fitted = cls(head, np.zeros(_STEPS + 1, np.float32), quantile)
        ranks = np.linspace(0, 1, _STEPS + 1)
        return replace(fitted, distances=np.quantile(fitted.distance(fresh), ranks).astype(np.float32))

    @property
    def width(self) -> int:
        """W, width of the feature vectors."""
        return len(self.head.center)

    @property
    def limit(self) -> float:
        """Distance above which objects are out of distribution."""
        return float(np.interp(self.quantile, np.linspace(0, 1, _STEPS + 1), self.distances))

    def with_quantile(self, quantile: float) -> OODDetector:
        """The same detector that accepts another share of held-out objects, 0..1.

        Raises:
            InputError: a share outside 0..1.
        """
        return replace(self, quantile=quantile)

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(B,) float32 distance of (B, W) features from the training objects, as an outlier logit.

        Raises:
            InputError: features of another width.
        """
        given = np.asarray(features, np.float32)
        if given.ndim != 2 or given.shape[1] != self.width:
            raise InputError(
                f"is {given.shape}, the detector is {self.width} wide",
                field="features",
                fix="use the detector of this model",
            )
        parts = [given[i : i + _ROWS_AT_ONCE] for i in range(0, len(given), _ROWS_AT_ONCE)]
        return np.concatenate([np.zeros(0), *map(self.head.distance, parts)]).astype(np.float32)

    def is_in_distribution(self, features: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(B,) bool of (B, W) features; False for features that are not finite."""
        accepted: NDArray[np.bool_] = self.distance(features) <= self.limit
        return accepted

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; it appears whole or not at all."""
        tensors = {
            f"head.{name}": np.ascontiguousarray(values) for name, values in self.head.tensors().items()
        }
        tensors["distances"] = self.distances
        # One metadata entry: safetensors writes several in random order, and equal detectors give equal bytes.
        metadata = {FORMAT: json.dumps({"quantile": self.quantile})}
        write_atomically(
            Path(path), lambda scratch: safetensors.numpy.save_file(tensors, scratch, metadata=metadata)
        )

    @classmethod
    def load(cls, path: str | Path) -> OODDetector:
        """Read a file that :meth:`save` wrote, or ``familiarity.safetensors`` of release 0.1.0.

        Raises:
            InputError: another kind of file, tensors that do not fit together, or a 0.1.0 file fitted without outliers.
        """
        arrays, metadata = load_arrays(path, fix="download the checkpoint again")
        tensors = {_OLD_NAMES.get(name, name): array for name, array in arrays.items()}
        stated = metadata.get(FORMAT) or metadata.get(_OLD_FORMAT)
        if stated is None:
            raise InputError(f"is not a {FORMAT} file", source=path, fix="download the checkpoint again")
        try:
            settings = parse_json(stated)
            kind, quantile = settings.get("kind", "exposed"), float(settings["quantile"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"has no readable settings ({error!r})", source=path) from error
        if kind != "exposed":
            raise InputError(
                f"uses the distance {kind!r}, which this release does not have",
                source=path,
                fix="fit the detector again, with outliers",
            )
        center, bias = (np.shape(tensors.get(f"head.{name}", ())) for name in ("center", "hidden_bias"))
        shapes = OutlierExposureHead.shapes(*(shape[0] if shape else 0 for shape in (center, bias)))
        wanted = {**{f"head.{name}": shape for name, shape in shapes.items()}, "distances": (_STEPS + 1,)}
        used = tensors if FORMAT in metadata else {name: tensors[name] for name in wanted if name in tensors}
        require_same_shapes(
            used, wanted, owner="the detector", source=path, fix="download the checkpoint again"
        )
        head = OutlierExposureHead(**{name: tensors[f"head.{name}"] for name in shapes})
        return cls(head, tensors["distances"], quantile)


def _table(values: NDArray[np.floating], name: str, width: int | None = None) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or len(table) < _LEAST_ROWS or table.shape[1] == 0:
        raise InputError(f"is {table.shape}", field=name, fix=f"give at least {_LEAST_ROWS} rows of features")
    if width is not None and table.shape[1] != width:
        raise InputError(
            f"is {table.shape}, the features are {width} wide", field=name, fix="use one model for all"
        )
    if not np.isfinite(table).all():
        raise InputError("holds values that are not finite", field=name)
    return table
