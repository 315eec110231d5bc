"""Fitting of an out-of-distribution detector to the objects that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.model import Clip2Model
from clip2.ood.detector import OODDetector
from clip2.training.dataset import TrainingSet


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
