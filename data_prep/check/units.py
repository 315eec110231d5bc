"""Check of units: clouds in millimeters that were read as meters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample

_TALL = 200.0  # m: only mountains and cities are taller, and a table top of 0.2 m in millimeters is
_STEEP = 0.02  # of the width: surveys of land are flatter


def looks_like_millimeters(points: NDArray) -> str | None:
    """One line if a cloud is as large as one of a room or a street would be in millimeters, else None.

    Args:
        points: (N, 3) z-up, supposedly meters.

    >>> room = np.random.default_rng(0).uniform(0, [5000, 4000, 2600], (1000, 3))
    >>> looks_like_millimeters(room / 1000) is None, looks_like_millimeters(room)
    (True, 'it spans 4,910 x 3,920 x 2,550 m: it looks like millimeters')
    """
    if len(points) == 0:
        return None
    low, high = np.percentile(points[:: max(1, len(points) // 20_000)], [1, 99], axis=0)
    size = high - low
    if not _TALL < size[2] < 50_000 or size[2] < _STEEP * size.max() or size.max() > 500_000:
        return None
    sides = " x ".join(
        f"{float(np.format_float_positional(side, 3, fractional=False)):,.0f}" for side in size
    )
    return f"it spans {sides} m: it looks like millimeters"


def millimeter_note(points: NDArray) -> tuple[str, ...]:
    """What to tell beside a result of (N, 3) points: nothing, or one line with the fix if they look like millimeters."""
    told = looks_like_millimeters(points)
    fix = "scale the points to meters (a cloud file: --option scale=0.001)"
    return () if told is None else (f"{told}. If so, {fix}",)


def check_units(sample: Sample) -> list[Finding]:
    """Find frames that look like millimeters.

    Args:
        sample: of the scan.
    """
    for frame in sample.frames.values():
        if told := looks_like_millimeters(frame.world_points()):
            fix = "give meters (source cloud: --option scale=0.001)"
            return [Finding("units", "warning", f"frame {frame.id}: {told}", fix=fix)]
    return []
