"""Pose check: neighboring frames compared under their poses, the inverse, other axes, other scales, and no pose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.geometry import invert, transform_points
from data_prep.geometry.ground import height_above_ground
from data_prep.geometry.transforms import AXES, T_zup_from
from data_prep.scans import Frame, Scan

GIVEN, INVERSE, NONE = "as given", "inverse", "none"
OPENGL, OPENGL_INVERSE = "OpenGL camera axes", "inverse, OpenGL camera axes"
# Depth read with another scale than the positions: millimeters for meters, TUM's 5000 or Replica's 6553.5 for 1000.
_SCALES = (0.001, 0.1, 1 / 6.5535, 0.2, 5.0, 6.5535, 10.0, 1000.0)

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_CLEARLY = 0.5  # an alternative must fit twice as well as the given poses …
_GOOD = 0.005  # share of the depth below which the given poses count as right: sensors are no better
_FITS = 0.05  # … and leave no more than this share of the depth
_LIDAR_GOOD = 0.02  # the same between sweeps, which are sparse
_OVERLAP = 0.05  # share of points that both frames must see
_POINTS = 12_000
_LIDAR_POINTS, _LIDAR_TREE, _LIDAR_RANGE = 1500, 20_000, 40.0
_FEW = 50


@dataclass(frozen=True)
class Residuals:
    """Disagreement of two frames under every reading of their poses.

    Attributes:
        first, second: frame ids.
        meters: reading → median distance, meters; inf if the frames do not overlap.
        depth: median depth (RGB-D) or range (LiDAR) of the compared points, meters.
        scales: factor on the depth → median distance over depth, with the pose as given; empty for LiDAR.
        too_few: one of two sweeps has too few points above ground; ``meters`` are inf.
    """

    first: str
    second: str
    meters: dict[str, float]
    depth: float
    scales: dict[float, float]
    too_few: bool = False


def measure_motion(scan: Scan, sample: Sample) -> list[Residuals]:
    """Residuals of every pair whose poses differ."""
    return [
        _rgbd(first, second, scan.T_world_poses) if first.depth is not None else _lidar(first, second)
        for first, second in _moving_pairs(sample)
        if (first.depth is None) == (second.depth is None)
    ]


def judge_motion(residuals: list[Residuals]) -> list[Finding]:
    """Findings about the poses; none without a pair of frames."""
    if not residuals:
        return []
    residuals = [pair for pair in residuals if not pair.too_few]
    if not residuals:
        return [Finding("poses", "ok", f"too few points to tell: neighboring sweeps hold less than {_FEW} that are near "
                        "by and not ground")]  # fmt: skip
    names = list(residuals[0].meters)
    meters = {name: _middle([pair.meters[name] for pair in residuals]) for name in names}
    depth = _middle([pair.depth for pair in residuals])
    given = meters[GIVEN]
    values = {f"{name} (m)": value for name, value in meters.items() if np.isfinite(value)}
    values["median depth (m)"] = depth
    best = min(names, key=lambda name: meters[name])
    shares = {factor: _middle([p.scales[factor] for p in residuals]) for factor in residuals[0].scales}
    factor = min(shares, key=lambda f: shares[f], default=1.0)
    unexplained = given > _GOOD * depth
    if unexplained and shares and shares[factor] < min(_FITS, _CLEARLY * given / depth, meters[best] / depth):
        return [_other_scale(factor, shares[factor], values)]
    if unexplained and best != GIVEN and meters[best] <= min(_CLEARLY * given, _FITS * depth):
        return [_other_pose(best, meters, values)]
    told = ", ".join(f"{name} {_length(meters[name])}" for name in names if name in (GIVEN, INVERSE, NONE))
    if not np.isfinite(given):
        return [Finding("poses", "warning", "neighboring frames do not overlap under their poses, nor inverted "
                        "nor without", values, "look at the top view; frames may be unrelated or far apart")]  # fmt: skip
    if given > _FITS * depth:
        return [Finding("poses", "warning", f"neighboring frames disagree by {_length(given)} at "
                        f"{depth:.1f} m ({told}): poses or depth are coarse", values,
                        "use refined poses where there are any; check the intrinsics")]  # fmt: skip
    coarse = given > (_GOOD if shares else _LIDAR_GOOD) * depth
    if meters[NONE] * _CLEARLY < given and coarse:
        return [Finding("poses", "warning", f"the poses explain little of the motion: neighboring frames disagree "
                        f"by {_length(given)} ({told})", values, "check that poses and images belong together, not "
                        "shifted by some frames; coarse poses and blurred depth look like this too")]  # fmt: skip
    if meters[NONE] * _CLEARLY < given:
        return [Finding("poses", "ok", f"neighboring frames agree to {_length(given)}, but they hardly move: "
                        f"the direction of the poses cannot be told ({told})", values)]  # fmt: skip
    return [Finding("poses", "ok", f"neighboring frames agree to {_length(given)} ({told})", values)]


def _other_pose(best: str, meters: dict[str, float], values: dict[str, float]) -> Finding:
    told = f"neighboring frames disagree by {_length(meters[GIVEN])} with the poses and by {_length(meters[best])} "
    if best == INVERSE:
        return Finding("poses", "error", told + "with their inverse: the poses are inverted (world to camera taken "
                       "for camera to world, or the other way round)", values,
                       "swap pose_direction in scan.yaml, or write the inverse matrices")  # fmt: skip
    if best == NONE:
        return Finding("poses", "error", told + "without any: the poses are not of these frames", values,
                       "check that poses and images are matched by the same names or times, and row order")  # fmt: skip
    inverse = " and direction" if best == OPENGL_INVERSE else ""
    return Finding("poses", "error", told + f"with {best}: the poses are for a camera that looks along -z with y up",
                   values, f"multiply each pose by diag(1, -1, -1, 1) from the right{inverse and '; also invert it'}")  # fmt: skip


def _other_scale(factor: float, share: float, values: dict[str, float]) -> Finding:
    value = factor if factor >= 1 else 1 / factor
    way, scale = ("small", "smaller") if factor > 1 else ("large", "larger")
    return Finding("poses", "error", f"depth times {factor:.4g} fits the camera positions (to {share:.1%}): depth is "
                   f"{value:.4g} times too {way} for them", {**values, "factor": factor},
                   f"give a depth_scale {value:.4g} times {scale}, or bring the positions to meters")  # fmt: skip


def _moving_pairs(sample: Sample) -> Iterator[tuple[Frame, Frame]]:
    for i, j in sample.pairs:
        first, second = sample.frames[i], sample.frames[j]
        # Leveled frames without positions (SUN RGB-D) have no world in common: nothing to compare.
        if not np.allclose(first.T_world_points[:3, 3], second.T_world_points[:3, 3], atol=1e-6):
            yield first, second


def _rgbd(first: Frame, second: Frame, T_world_poses: NDArray | None) -> Residuals:
    points = first.points[:: max(1, len(first.points) // _POINTS)].astype(np.float64)
    T_a, T_b = first.T_world_points, second.T_world_points
    given = invert(T_b) @ T_a
    assert second.depth is not None
    depth = float(np.median(second.depth[second.depth > 0]))
    inverses = [_of_inverses(T_a, T_b, Z) for Z in _turns(T_world_poses)]
    meters = {
        GIVEN: _depth_difference(points, second, given),
        INVERSE: min(_depth_difference(points, second, T) for T in inverses),
        NONE: _depth_difference(points, second, np.eye(4)),
        OPENGL: _depth_difference(points, second, _FLIP @ given @ _FLIP),
        OPENGL_INVERSE: min(_depth_difference(points, second, _FLIP @ T @ _FLIP) for T in inverses),
    }
    scales = {s: _depth_difference(points, second, given, s) / (s * depth) for s in _SCALES}
    return Residuals(first.id, second.id, meters, depth, scales)


def _turns(T_world_poses: NDArray | None) -> list[NDArray[np.float64]]:
    """Rotations that a reader may have applied to the poses to make z up."""
    return [T_world_poses] if T_world_poses is not None else [T_zup_from(axis) for axis in AXES]


def _of_inverses(T_a: NDArray, T_b: NDArray, T_world_poses: NDArray) -> NDArray[np.float64]:
    """T_b_a if the pose files hold inverse poses."""
    undo = invert(T_world_poses)
    return (undo @ T_b) @ invert(undo @ T_a)


def _depth_difference(points: NDArray, frame: Frame, T: NDArray, scale: float = 1.0) -> float:
    """Median |measured - predicted depth| where ``points`` times ``scale``, moved by T, are seen; inf: hardly any."""
    camera, depth = frame.views[0].camera, frame.depth
    assert depth is not None
    uv, along = camera.project(transform_points(T, scale * points))
    seen = camera.in_image(uv)
    column, row = np.rint(uv[seen]).astype(np.int64).T
    measured = depth[row, column]
    there = measured > 0
    if there.sum() < _OVERLAP * len(points):
        return np.inf
    return float(np.median(np.abs(scale * measured - along[seen])[there]))


def _lidar(first: Frame, second: Frame) -> Residuals:
    moving, standing = _upright(first, _LIDAR_POINTS), _upright(second, _LIDAR_TREE)
    if len(moving) < _FEW or len(standing) < _FEW:  # a flat field constrains no pose
        nothing = dict.fromkeys((GIVEN, INVERSE, NONE), np.inf)
        return Residuals(first.id, second.id, nothing, _LIDAR_RANGE, {}, too_few=True)
    tree = cKDTree(standing)
    given = invert(second.T_world_points) @ first.T_world_points
    candidates = {
        GIVEN: given,
        INVERSE: second.T_world_points @ invert(first.T_world_points),
        NONE: np.eye(4),
    }
    meters = {
        name: float(np.median(tree.query(transform_points(T, moving))[0])) for name, T in candidates.items()
    }
    return Residuals(first.id, second.id, meters, float(np.median(np.linalg.norm(moving, axis=1))), {})


def _upright(frame: Frame, count: int) -> NDArray[np.float64]:
    """Nearby points above ground: the ground matches itself under every motion along it."""
    near = frame.points[np.linalg.norm(frame.points, axis=1) < _LIDAR_RANGE].astype(np.float64)
    if len(near) > 3 * _LIDAR_TREE:
        near = near[np.random.default_rng(0).permutation(len(near))[: 3 * _LIDAR_TREE]]
    if len(near) == 0:
        return near
    height = height_above_ground(transform_points(frame.T_world_points, near))
    standing = near[(height > 0.4) & (height < 6)]
    return standing[np.random.default_rng(1).permutation(len(standing))[:count]]


def _middle(values: list[float]) -> float:
    """The lower median, so that of two pairs one without overlap does not count."""
    return sorted(values)[(len(values) - 1) // 2]


def _length(meters: float) -> str:
    if not np.isfinite(meters):
        return "no overlap"
    return f"{1000 * meters:.1f} mm" if meters < 0.1 else f"{meters:.2f} m"
