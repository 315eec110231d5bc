"""Is z up? Pictures are taken upright, and floors and tables are seen from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.geometry.planes import estimate_normals
from data_prep.geometry.transforms import AXES
from data_prep.scans import Frame

_POINTS = 6000  # per frame
_FLAT = 0.02  # surface variation below which a normal is believed
_ALONG = np.cos(np.radians(20))


def check_up(sample: Sample, facing: dict[str, float]) -> list[Finding]:
    """Name the world axis that looks like up, where it is not z.

    Two witnesses: the mean direction in which the images' tops point, and the share of surfaces that face each way
    (towards the sensor). Clouds without images have only a floor to go by: the most populated level near one end.

    Args:
        sample: of the scan.
        facing: of :func:`surfaces_facing`.
    """
    frames = list(sample.frames.values())
    upright = [
        -(frame.T_world_points @ view.camera.T_points_cam)[:3, 1] for frame in frames for view in frame.views
    ]
    if not upright:
        return _by_floor(frames)
    tops = {axis: float(np.mean(upright, axis=0) @ way) for axis, way in AXES.items()}
    best = max(tops, key=lambda axis: tops[axis])
    values = {f"images' tops along {axis}": top for axis, top in tops.items()}
    values |= {f"surfaces facing {axis}": share for axis, share in facing.items()}
    if best == "z" or tops[best] - tops["z"] < 0.3 or facing[best] < facing["z"]:
        # A camera that looks down has its image's top point ahead; but then it sees the floor.
        return [Finding("up", "ok", f"z looks up: {facing['z']:.0%} of the surfaces face it, images' tops point "
                        f"{tops['z']:+.2f} along it", values)]  # fmt: skip
    return [Finding("up", "error", f"z is not up, {best} looks like it: images' tops point {tops[best]:+.2f} along "
                    f"{best} and {tops['z']:+.2f} along z; {facing[best]:.0%} of the surfaces face {best}, "
                    f"{facing['z']:.0%} face z", values, _fix(best))]  # fmt: skip


def _fix(axis: str) -> str:
    return f"say where up is, in the world that was read: it is {axis} (option up, or up in scan.yaml)"


def surfaces_facing(sample: Sample) -> dict[str, float]:
    """Share of flat surface that faces each axis of the world, seen from the sensor; mean over frames."""
    shares = []
    for frame in sample.frames.values():
        points, normals = _surface(frame)
        towards = np.einsum("ij,ij->i", normals, points) > 0
        normals = np.where(towards[:, None], -normals, normals) @ frame.T_world_points[:3, :3].T
        if len(normals):
            shares.append([(normals @ way > _ALONG).mean() for way in AXES.values()])
    return dict(zip(AXES, np.mean(shares, axis=0).tolist() if shares else [0.0] * 6, strict=True))


def _by_floor(frames: list[Frame]) -> list[Finding]:
    shares: list[list[float]] = []
    for frame in frames:
        points, normals = _surface(frame)
        if len(points) < 100:
            continue
        R = frame.T_world_points[:3, :3]
        shares.append([_floor_share(points @ R.T @ way, normals @ R.T @ way) for way in AXES.values()])
    if not shares:
        return []
    floors = dict(zip(AXES, np.mean(shares, axis=0).tolist(), strict=True))
    best = max(floors, key=lambda axis: floors[axis])
    values = {f"floor below {axis}": share for axis, share in floors.items()}
    if floors[best] > 0.05 and floors[best] > 3 * floors["z"]:
        return [Finding("up", "warning", f"{best} looks like up rather than z: {floors[best]:.0%} of the points lie on "
                        f"a floor across it, {floors['z']:.0%} on one across z", values, _fix(best))]  # fmt: skip
    if floors["z"] > 0.05:
        return [
            Finding(
                "up", "ok", f"z looks up: {floors['z']:.0%} of the points lie on a floor across it", values
            )
        ]
    return [Finding("up", "ok", "no floor is seen that would tell which way is up", values)]


def _floor_share(heights: NDArray, along: NDArray) -> float:
    """Share of points in the fullest flat level of the lower third."""
    low, high = np.percentile(heights, [1, 99])
    if high <= low:
        return 0.0
    level = np.floor((heights - low) / (high - low) * 50).astype(np.int64)
    flat = (np.abs(along) > _ALONG) & (level >= -1) & (level < 17)
    return float(np.bincount(level[flat] + 1, minlength=1).max() / len(heights))


def _surface(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, 3) and normals (n, 3), in the frame's axes, where the surface is flat."""
    chosen = np.random.default_rng(0).permutation(len(frame.points))[:_POINTS]
    points = frame.points[chosen].astype(np.float64)
    if len(points) < 16:
        return np.zeros((0, 3)), np.zeros((0, 3))
    normals, variation = estimate_normals(points)
    flat = variation < _FLAT
    return points[flat], normals[flat]
