"""Lens distortion models: radial-tangential and fisheye."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

_LARGEST = 1e9
_COEFFICIENTS = {"none": (0,), "radtan": (4, 5), "fisheye": (4,)}
_NEWTON_STEPS = 20
_CONVERGED = 1e-8  # in normalized coordinates: a hundred-thousandth of a pixel


@dataclass(frozen=True)
class Distortion:
    """Lens distortion in normalized image coordinates (x/z, y/z).

    Both models are polynomials that only describe the lens up to some angle; beyond the point where they fold
    back (``reach``) a direction has no pixel, although the formula would give one in the middle of the image.

    Attributes:
        model: ``none``; ``radtan`` = OpenCV's k1 k2 p1 p2 [k3]; ``fisheye`` = Kannala-Brandt k1 k2 k3 k4.
        coefficients: in OpenCV's order.

    Raises:
        InputError: an unknown model, or a number of coefficients it does not take.
    """

    model: Literal["none", "radtan", "fisheye"] = "none"
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in _COEFFICIENTS:
            raise InputError(
                f"{self.model!r} is unknown",
                field="distortion.model",
                fix=f"use one of {list(_COEFFICIENTS)}",
            )
        counts = _COEFFICIENTS[self.model]
        if len(self.coefficients) not in counts or not (np.abs(self.coefficients) < _LARGEST).all():
            raise InputError(
                f"is {list(self.coefficients)}",
                field="distortion.coefficients",
                fix=f"{self.model} takes {' or '.join(map(str, counts))} numbers",
            )

    @cached_property
    def reach(self) -> float:
        """Largest radius of x/z, y/z that the model describes; inf where it never folds back."""
        if self.model == "none":
            return np.inf
        terms = self._radial if self.model == "radtan" else self.coefficients
        # The first turning point of the radius (radtan) or angle (fisheye) polynomial.
        # Without terms that do nothing, by which the roots would be divided.
        slope = [1.0, *((2 * i + 3) * k if abs(k) > 1e-15 else 0.0 for i, k in enumerate(terms))]
        roots = np.roots(slope[::-1])
        turns = np.sqrt(roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)])
        first = float(turns.min()) if len(turns) else np.inf
        if self.model == "radtan":
            return first
        return float(np.tan(first)) if first < np.pi / 2 else np.inf

    def apply(self, xy: NDArray) -> NDArray:
        """Distort normalized coordinates (N, 2); NaN beyond ``reach``."""
        if self.model == "none":
            return xy
        x, y = xy[:, 0], xy[:, 1]
        r2 = x * x + y * y
        r2 = np.where(r2 <= self.reach**2, r2, np.nan).astype(xy.dtype)
        if self.model == "fisheye":
            r = np.sqrt(r2)
            theta = np.arctan(r)
            bent = theta * _even_polynomial(theta * theta, self.coefficients)
            return xy * np.where(r < 1e-9, 1.0, bent / np.maximum(r, 1e-9))[:, None].astype(xy.dtype)
        p1, p2 = self.coefficients[2:4]
        radial = _even_polynomial(r2, self._radial)
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=1,
        )

    def remove(self, xy: NDArray) -> NDArray:
        """Undo :meth:`apply` by Newton's method, (N, 2) to (N, 2) float64; NaN where no direction leads there."""
        xy = np.asarray(xy, dtype=np.float64)
        if self.model == "none":
            return xy
        undistorted = self._remove_fisheye(xy) if self.model == "fisheye" else self._remove_radtan(xy)
        error = np.abs(self.apply(undistorted) - xy).max(axis=1, initial=0.0)
        return np.where((error < _CONVERGED)[:, None], undistorted, np.nan)

    def _remove_fisheye(self, xy: NDArray) -> NDArray:
        bent = np.linalg.norm(xy, axis=1)
        theta = bent.copy()
        slope = [(2 * i + 3) * k for i, k in enumerate(self.coefficients)]
        for _ in range(_NEWTON_STEPS):
            t2 = theta * theta
            theta = theta - (theta * _even_polynomial(t2, self.coefficients) - bent) / _even_polynomial(
                t2, slope
            )
        ahead = np.abs(theta) < np.pi / 2
        radius = np.tan(np.where(ahead, theta, np.nan))
        return xy * np.where(bent < 1e-9, 1.0, radius / np.maximum(bent, 1e-9))[:, None]

    def _remove_radtan(self, xy: NDArray) -> NDArray:
        p1, p2 = self.coefficients[2:4]
        k1, k2, k3 = self._radial
        estimate = xy.copy()
        for _ in range(_NEWTON_STEPS):
            x, y = estimate.T
            r2 = x * x + y * y
            radial = _even_polynomial(r2, self._radial)
            growth = k1 + r2 * (2 * k2 + r2 * 3 * k3)
            dxx = radial + 2 * x * x * growth + 2 * p1 * y + 6 * p2 * x
            dyy = radial + 2 * y * y * growth + 6 * p1 * y + 2 * p2 * x
            dxy = 2 * x * y * growth + 2 * p1 * x + 2 * p2 * y
            ex = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) - xy[:, 0]
            ey = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y - xy[:, 1]
            determinant = dxx * dyy - dxy * dxy
            step = np.stack([dyy * ex - dxy * ey, dxx * ey - dxy * ex], axis=1)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                estimate = estimate - step / determinant[:, None]
        return estimate

    @property
    def _radial(self) -> tuple[float, float, float]:
        k3 = self.coefficients[4] if len(self.coefficients) > 4 else 0.0
        return self.coefficients[0], self.coefficients[1], k3


def _even_polynomial(squared: NDArray, coefficients: tuple[float, ...] | list[float]) -> NDArray:
    """1 + c0 s + c1 s² + …"""
    value = np.zeros_like(squared)
    for coefficient in reversed(coefficients):
        value = (value + coefficient) * squared
    return 1 + value
