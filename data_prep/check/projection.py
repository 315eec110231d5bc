"""Do the points land in the images?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.geometry import Camera, invert

_HARDLY = 0.005  # share of a full turn's points that even a long lens sees
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def check_projection(sample: Sample) -> list[Finding]:
    """Share of points in front of each camera and in its image; where there are none, what would bring them there."""
    findings = []
    slots = max((len(frame.views) for frame in sample.frames.values()), default=0)
    for slot in range(slots):
        seen = [(f.points, f.views[slot].camera) for f in sample.frames.values() if len(f.views) > slot]
        inside, front = (
            float(np.mean(shares)) for shares in zip(*(_shares(p, c) for p, c in seen), strict=True)
        )
        values = {"in the image": inside, "in front": front}
        name = f"image {slot + 1}" if slots > 1 else "the image"
        told = f"{inside:.1%} of the points land in {name}, {front:.0%} lie in front of its camera"
        check = f"projection {slot + 1}" if slots > 1 else "projection"
        if inside >= _HARDLY:
            findings.append(Finding(check, "ok", told, values))
            continue
        others = {
            "with the extrinsics inverted": lambda T: invert(T),
            "with OpenGL camera axes (y up, looking along -z)": lambda T: T @ _FLIP,
            "with both": lambda T: invert(T @ _FLIP),
        }
        shares = {
            words: float(np.mean([_shares(p, _moved(c, change(c.T_points_cam)))[0] for p, c in seen]))
            for words, change in others.items()
        }
        best = max(shares, key=lambda words: shares[words])
        hint = f"; {best} it would be {shares[best]:.1%}" if shares[best] > 5 * max(inside, _HARDLY) else ""
        findings.append(Finding(check, "error", told + hint, values | {"best alternative": shares[best]},
                                "check the camera's pose relative to the points: its direction, axes and units"))  # fmt: skip
    return findings


def _shares(points: NDArray, camera: Camera) -> tuple[float, float]:
    uv, depth = camera.project(points[:: max(1, len(points) // 20_000)])
    return float(camera.in_image(uv).mean()), float((depth > 0).mean())


def _moved(camera: Camera, T_points_cam: NDArray[np.float64]) -> Camera:
    return Camera(camera.K, camera.width, camera.height, T_points_cam, camera.distortion)
