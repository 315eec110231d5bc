"""Calibration of names: the probability that an object is what it is called, fitted on scenes with known truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit

from data_prep.config import TypedConfig

_CERTAIN = 1e-3  # probabilities nearer to 0 or 1 say no more than this
_RIDGE = 1e-3  # of the weights, per object: keeps them finite where all names are right
FEWEST = 30  # named objects that a map is fitted to


class LogisticMap(TypedConfig):
    """Probability that a name is right: a logistic function of two log odds, rising in both.

    Attributes:
        bias: log odds at even evidence.
        likely: weight of the label's log odds, size included.
        objectness: weight of the log odds of being one whole object.
        count: objects that it was fitted to.
    """

    bias: float
    likely: float = Field(ge=0)
    objectness: float = Field(ge=0)
    count: int = Field(ge=1)

    def __call__(self, likely: NDArray[np.floating], objectness: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N,) float32 probabilities; 0 where ``likely`` is 0, as for unknown objects."""
        odds = self.bias + self.likely * _odds(likely) + self.objectness * _odds(objectness)
        return np.where(likely > 0, expit(odds), 0).astype(np.float32)

    @classmethod
    def fit(
        cls,
        likely: NDArray[np.floating],
        objectness: NDArray[np.floating],
        right: NDArray[np.bool_],
    ) -> LogisticMap:
        """Fit by maximum likelihood (Platt 1999), weights not below 0.

        Args:
            likely, objectness: (N,) 0..1, N > 0.
            right: (N,) whether each name is right.

        >>> likely = np.repeat([0.2, 0.9], 100)
        >>> fitted = LogisticMap.fit(likely, np.full(200, 0.9), np.arange(200) % 100 < np.repeat([10, 60], 100))
        >>> fitted(np.array([0.2, 0.9]), np.array([0.9, 0.9])).round(1).tolist()
        [0.10000000149011612, 0.6000000238418579]
        """
        rows = np.column_stack([np.ones(len(right)), _odds(likely), _odds(objectness)])
        sign = np.where(right, -1.0, 1.0)

        def loss(weights: NDArray) -> tuple[float, NDArray]:
            odds = sign * (rows @ weights)
            ridge = _RIDGE * np.array([0.0, 1.0, 1.0]) * weights
            slope = (expit(odds) * sign) @ rows / len(rows) + ridge
            return float(np.logaddexp(0, odds).mean() + 0.5 * ridge @ weights), slope

        bounds = [(None, None), (0, None), (0, None)]
        found = minimize(loss, np.array([0.0, 1.0, 1.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
        bias, *weights = found.tolist()
        return cls(bias=bias, likely=weights[0], objectness=weights[1], count=len(right))


class ScoreCalibration(TypedConfig):
    """Maps of one model.

    Attributes:
        proposed: of objects that were found in the cloud; None: too few to fit.
        lifted: of objects lifted from 2D boxes, whose objectness is 1.
    """

    proposed: LogisticMap | None = None
    lifted: LogisticMap | None = None


def object_scores(
    likely: NDArray[np.float32], objectness: NDArray[np.float32], calibration: ScoreCalibration | None
) -> NDArray[np.float32]:
    """(N,) float32 scores of named objects: calibrated where a map was fitted, else the product of both.

    Args:
        likely: (N,) probability of each object's label, size included; 0 for unknown objects.
        objectness: (N,) 0..1; 1 for objects lifted from 2D boxes.
        calibration: of the model, if it has one.
    """
    scores = np.asarray(likely * objectness, np.float32)
    if calibration is not None:
        for fitted, chosen in ((calibration.proposed, objectness < 1), (calibration.lifted, objectness >= 1)):
            if fitted is not None:
                scores[chosen] = fitted(likely[chosen], objectness[chosen])
    return scores


def _odds(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(np.asarray(probability, np.float64), _CERTAIN, 1 - _CERTAIN)))
