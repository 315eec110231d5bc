"""Do the points land in the images?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.geometry import Camera, invert
from data_prep.scans import Frame

_HARDLY = 0.005  # share of a full turn's points that even a long lens sees
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_READINGS: dict[str, Callable[[NDArray], NDArray]] = {
    "with the extrinsics inverted": invert,
    "with OpenGL camera axes (y up, looking along -z)": lambda T: T @ _FLIP,
    "with both": lambda T: invert(T @ _FLIP),
}


def check_projection(sample: Sample, facing: dict[str, float]) -> list[Finding]:
    """Share of points in front of each camera and in its image; and whether cameras beside a LiDAR stand upright.

    A full turn of points fills the image of any camera, whichever way it is turned. But where most surfaces face
    z, as roads do, a camera on its side or head is one whose pose was read wrongly.

    Args:
        sample: of the scan.
        facing: of :func:`data_prep.check.axes.surfaces_facing`.
    """
    slots = max((len(frame.views) for frame in sample.frames.values()), default=0)
    level = facing["z"] == max(facing.values())
    findings = []
    for slot in range(slots):
        seen = [
            (frame, frame.views[slot].camera) for frame in sample.frames.values() if len(frame.views) > slot
        ]
        given = _measure(seen, lambda T: T)
        others = {words: _measure(seen, change) for words, change in _READINGS.items()}
        values = {"in the image": given.inside, "in front": given.front, "top along z": given.top}
        name = f"image {slot + 1}" if slots > 1 else "the image"
        told = (
            f"{given.inside:.1%} of the points land in {name}, {given.front:.0%} lie in front of its camera"
        )
        check = f"projection {slot + 1}" if slots > 1 else "projection"
        fix = "check the camera's pose relative to the points: its direction, axes and units"
        if given.inside < _HARDLY:
            words, best = max(others.items(), key=lambda item: item[1].inside)
            if best.inside > 5 * max(given.inside, _HARDLY):
                told += f"; {words} it would be {best.inside:.1%}"
            findings.append(Finding(check, "error", told, values, fix))
            continue
        beside_lidar = all(frame.depth is None for frame, _ in seen)
        words, best = max(others.items(), key=lambda item: item[1].top if item[1].inside >= _HARDLY else -1.0)
        if beside_lidar and level and given.top < 0.3 and best.top > 0.7:
            told += f", and its top points {given.top:+.2f} along z; {words} it would be {best.top:+.2f}"
            findings.append(Finding(check, "error", told, values, fix))
        else:
            findings.append(Finding(check, "ok", told, values))
    return findings


class _Measure(NamedTuple):
    """Shares of points in the image and in front, and how far the image's top points along the world's z."""

    inside: float
    front: float
    top: float


def _measure(seen: list[tuple[Frame, Camera]], change: Callable[[NDArray], NDArray]) -> _Measure:
    """Means over frames, with the camera's pose changed."""
    rows = []
    for frame, camera in seen:
        moved = replace(camera, T_points_cam=change(camera.T_points_cam))
        uv, depth = moved.project(frame.points[:: max(1, len(frame.points) // 20_000)])
        top = -(frame.T_world_points @ moved.T_points_cam)[2, 1]
        rows.append((moved.in_image(uv).mean(), (depth > 0).mean(), top))
    return _Measure(*np.mean(rows, axis=0).tolist())
