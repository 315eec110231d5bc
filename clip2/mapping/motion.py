"""Constant-velocity Kalman filter of an object's center."""

from __future__ import annotations

import math

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
        return self.place + self.velocity * dt, math.sqrt(self._carried(dt)[0])

    def update(self, place: NDArray[np.float64], noise: float, dt: float) -> None:
        """Take a measured center (3,) with its standard deviation, ``dt`` seconds after the last one."""
        expected, (place_place, both, speed_speed) = self.place + self.velocity * dt, self._carried(dt)
        total = place_place + noise**2
        gain = place_place / total, both / total
        surprise = place - expected
        self.place = expected + gain[0] * surprise
        self.velocity = self.velocity + gain[1] * surprise
        rest = both - gain[0] * both
        self.covariance = np.array(
            [[place_place - gain[0] * place_place, rest], [rest, speed_speed - gain[1] * both]]
        )

    def rest(self, place: NDArray[np.float64]) -> None:
        """Stand still at a place (3,); the velocity keeps its uncertainty."""
        self.place, self.velocity = np.array(place, np.float64), np.zeros(3)

    def _carried(self, dt: float) -> tuple[float, float, float]:
        """The three numbers of the covariance ``dt`` seconds later; plain floats, as arrays of four cost ten times the time."""
        (place, both), (_, speed) = self.covariance.tolist()
        push = self.scale**2
        return (
            place + dt * (2 * both + dt * speed) + push * dt**4 / 4,
            both + dt * speed + push * dt**3 / 2,
            speed + push * dt**2,
        )
