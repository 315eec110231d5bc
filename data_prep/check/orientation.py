"""Checks of orientation: z is up in the world, and points land in upright images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.geometry import Camera, invert
from data_prep.geometry.planes import estimate_normals
from data_prep.geometry.transforms import AXES
from data_prep.scans import Frame

_POINTS = 6000  # per frame
_FLAT = 0.02  # surface variation below which a normal is reliable
_ALONG = np.cos(np.radians(20))
_HARDLY = 0.005  # share of a full turn's points that even a long lens sees
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_READINGS: dict[str, Callable[[NDArray], NDArray]] = {
    "with the extrinsics inverted": invert,
    "with OpenGL camera axes (y up, looking along -z)": lambda T: T @ _FLIP,
    "with both": lambda T: invert(T @ _FLIP),
}


def check_up(sample: Sample, facing: dict[str, float]) -> list[Finding]:
    """Find the world axis that looks like up, if it is not z.

    Two cues: the mean direction of the images' tops (pictures are taken upright), and the share of surfaces that face
    each way (floors and tables are seen from above). Clouds without images have only the floor as a cue: the most
    populated level near one end.

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
        # The image of a camera that looks down has its top ahead, but then the camera sees the floor.
        told = "z looks up" if tops["z"] > 0.3 or facing["z"] > 0.05 else "nothing tells which way is up"
        return [Finding("up", "ok", f"{told}: {facing['z']:.0%} of the surfaces face z, images' tops point "
                        f"{tops['z']:+.2f} along it", values)]  # fmt: skip
    return [Finding("up", "error", f"z is not up, {best} looks like it: images' tops point {tops[best]:+.2f} along "
                    f"{best} and {tops['z']:+.2f} along z; {facing[best]:.0%} of the surfaces face {best}, "
                    f"{facing['z']:.0%} face z", values, _fix(best))]  # fmt: skip


def up_note(frame: Frame) -> tuple[str, ...]:
    """What makes it doubtful that z is up in one frame: nothing, or one line without the fix."""
    sample = Sample(frames={0: frame})
    found = check_up(sample, surfaces_facing(sample))
    return tuple(finding.message for finding in found if finding.severity != "ok")


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


def check_projection(sample: Sample, facing: dict[str, float]) -> list[Finding]:
    """Share of points in front of each camera and in its image, and whether cameras beside a LiDAR are upright.

    A full LiDAR turn fills the image of any camera, however it is oriented. But if most surfaces face z, as roads do,
    a sideways or inverted camera means that its pose was read wrongly.

    Args:
        sample: of the scan.
        facing: of :func:`surfaces_facing`.
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


def _fix(axis: str) -> str:
    return f"say where up is, in the world that was read: it is {axis} (option up, or up in scan.yaml)"


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
    """Share of points in the most populated flat level of the lower third."""
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


class _Measure(NamedTuple):
    """Shares of points in the image and in front of it, and the z component of the image's top direction."""

    inside: float
    front: float
    top: float


def _measure(seen: list[tuple[Frame, Camera]], change: Callable[[NDArray], NDArray]) -> _Measure:
    """Means over frames after a change of the camera's pose."""
    rows = []
    for frame, camera in seen:
        moved = replace(camera, T_points_cam=change(camera.T_points_cam))
        uv, depth = moved.project(frame.points[:: max(1, len(frame.points) // 20_000)])
        top = -(frame.T_world_points @ moved.T_points_cam)[2, 1]
        rows.append((moved.in_image(uv).mean(), (depth > 0).mean(), top))
    return _Measure(*np.mean(rows, axis=0).tolist())
