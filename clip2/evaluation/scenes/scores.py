"""Scores of a benchmark on scans, and numbers as metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from clip2.evaluation.metrics import bootstrap_interval
from clip2.evaluation.result import ClassRow, Curve, Metric


@dataclass(frozen=True)
class Scores:
    """What was measured; see :class:`~clip2.evaluation.result.EvalResult`. ``stated`` are further conditions."""

    metrics: Mapping[str, Metric]
    classes: tuple[ClassRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    stated: Mapping[str, str] = field(default_factory=dict)


def number_of(value: float | None) -> float:
    """NaN for None."""
    return float("nan") if value is None else float(value)


def metric_of(value: float | None) -> Metric:
    """A share; None where nothing could be counted."""
    return Metric(number_of(value))


def mean_of(values: ArrayLike) -> float:
    """Mean; NaN without any."""
    array = np.asarray(values, np.float64)
    return float(array.mean()) if len(array) else float("nan")


def with_interval(values: ArrayLike, seed: int) -> Metric:
    """Mean over objects with its bootstrap interval."""
    array = np.asarray(values, np.float64)
    return Metric(mean_of(array), *(bootstrap_interval(array, seed=seed) if len(array) else ()))
