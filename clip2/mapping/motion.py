"""Constant-velocity Kalman filter of an object's center."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ConstantVelocity:
    """Kalman filter whose three axes share one 2 × 2 covariance of position and velocity.

    Positions are in the world, so the motion of the sensor does not enter: frames come with their pose.

    Args:
        place: (3,) first center, meters.
        noise: standard deviation of a measured center, meters.
        speed: standard deviation of the unknown velocity, meters per second.

    >>> motion = ConstantVelocity(np.zeros(3), noise=0.1, speed=5.0)
    >>> for step in range(1, 6):
    ...     motion.update(np.array([0.2 * step, 0, 0]), 0.1, 0.1)
    >>> motion.velocity.round(1).tolist()
    [2.0, 0.0, 0.0]
    """

    def __init__(self, place: NDArray[np.float64], noise: float, speed: float) -> None:
        self.place, self.velocity = np.array(place, np.float64), np.zeros(3)
        self.covariance = np.diag([noise**2, speed**2])
        self.scale = speed  # m/s: the velocity can change by its whole scale within a second

    def predict(self, dt: float) -> tuple[NDArray[np.float64], float]:
        """Expected center (3,) after ``dt`` seconds, and its standard deviation along each axis, meters."""
        return self.place + self.velocity * dt, float(np.sqrt(self._carried(dt)[0, 0]))

    def update(self, place: NDArray[np.float64], noise: float, dt: float) -> None:
        """Take a measured center (3,) with its standard deviation, ``dt`` seconds after the last one."""
        expected, covariance = self.place + self.velocity * dt, self._carried(dt)
        gain = covariance[:, 0] / (covariance[0, 0] + noise**2)
        surprise = place - expected
        self.place = expected + gain[0] * surprise
        self.velocity = self.velocity + gain[1] * surprise
        self.covariance = covariance - np.outer(gain, covariance[0])

    def rest(self, place: NDArray[np.float64]) -> None:
        """Stand still at a place (3,); the velocity keeps its uncertainty."""
        self.place, self.velocity = np.array(place, np.float64), np.zeros(3)

    def _carried(self, dt: float) -> NDArray[np.float64]:
        step = np.array([[1.0, dt], [0.0, 1.0]])
        push = self.scale**2 * np.array([[dt**4 / 4, dt**3 / 2], [dt**3 / 2, dt**2]])
        return step @ self.covariance @ step.T + push
