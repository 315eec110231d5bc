"""Fitting of an out-of-distribution detector to the objects that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.evaluation.open_set import auroc
from clip2.model import Clip2Model
from clip2.ood.detector import OODDetector
from clip2.training.dataset import TrainingSet
from clip2.training.outliers import Cloud, make_outliers

MOST_OBJECTS, _FEWEST_OUTLIERS = 4000, 200


def fit_ood_detector(
    model: Clip2Model,
    data: TrainingSet,
    rows: ArrayLike,
    calibration_rows: ArrayLike,
    outliers: Sequence[NDArray[np.float32]],
    *,
    quantile: float = 0.95,
) -> OODDetector:
    """Fit a detector to a trained model; attach it by ``model.ood_detector = ...`` or ``add_ood_detector``.

    Args:
        model: trained on ``rows``.
        data: the objects.
        rows: (n,) objects trained on; those without a label are left out.
        calibration_rows: (m,) held-out objects, on which the threshold is set.
        outliers: (s, W) features per source of outliers, from ``model.describe`` or :func:`describe_objects`.
        quantile: share of held-out objects to accept as in distribution, 0..1.

    Raises:
        InputError: as in :meth:`OODDetector.fit`.
    """
    features = describe_objects(model, data, rows)
    labeled = np.resize(data.own_texts[np.asarray(rows), 0] >= 0, len(features))
    calibration = describe_objects(model, data, calibration_rows)
    return OODDetector.fit(features[labeled], calibration, outliers, quantile=quantile)


def fit_from_objects(
    model: Clip2Model,
    data: TrainingSet,
    rows: NDArray[np.int64],
    held_out: NDArray[np.int64],
    seed: int = 0,
) -> tuple[OODDetector, float]:
    """Fit a detector with outliers made from the training objects, and score it on other objects and outliers.

    Args:
        model: trained on ``rows``.
        data: the objects.
        rows: (n,) objects trained on; at most 4,000 are used.
        held_out: (m,) other objects: one half sets the threshold, the other half is scored.
        seed: of the outliers and the fit.

    Returns:
        The detector, and its AUROC: held-out objects against outliers made from held-out objects.
    """
    random = np.random.default_rng([seed, 0x00D])
    learn = random.permutation(rows[data.own_texts[rows, 0] >= 0])[:MOST_OBJECTS]
    parts = np.array_split(random.permutation(held_out), 2)
    count = min(max(len(learn), _FEWEST_OUTLIERS), MOST_OBJECTS) // 2
    outliers = [
        _describe(model, clouds) for clouds in make_outliers(data, learn, count, seed).values() if clouds
    ]
    detector = fit_ood_detector(model, data, learn, parts[0], outliers)
    fresh = make_outliers(data, parts[1], len(parts[1]), seed + 1).values()
    known = detector.distance(describe_objects(model, data, parts[1]))
    strange = detector.distance(np.concatenate([_describe(model, clouds) for clouds in fresh if clouds]))
    return detector, auroc(-known, -strange)


def _describe(model: Clip2Model, clouds: Sequence[Cloud]) -> NDArray[np.float32]:
    points = [points for points, _ in clouds]
    colors = None if model.config.colors_seen == "absent" else [colors for _, colors in clouds]
    return model.describe(points, colors).features


def describe_objects(model: Clip2Model, data: TrainingSet, rows: ArrayLike) -> NDArray[np.float32]:
    """(m, W) features of training objects, preprocessed as at run time.

    A model trained on clouds with and without color describes colored objects in both states: the second half of the
    result holds the same ``rows`` without color.

    Args:
        model: a trained model.
        data: the objects.
        rows: (m,) objects to describe.
    """
    clouds = [data.cloud(int(row)) for row in np.asarray(rows)]
    points = [cloud for cloud, _ in clouds]
    features = model.describe(points, [color for _, color in clouds]).features
    if model.config.colors_seen != "both":
        return features
    return np.concatenate([features, model.describe(points).features])
