"""Speed of lifting: finding a box's points, clustering them, and whole frames.

Finding: one depth image (640 x 480, every pixel measured) and 30 boxes, beside projecting all points again per box, by
the usual two lines of numpy and by our camera, and beside one projection with a mask per box. Clustering: separated
blobs, beside Open3D's DBSCAN with ``min_points=1``, which gives the same clusters. Whole frames: every box of a synthetic
room and street, and of a KITTI frame if there is one, lifted by ours and by a loop that projects the cloud per box and
takes DBSCAN's largest cluster; those answers differ (see ``benchmarks.lift_quality``). Point sets and clusters are
compared for equality in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from benchmarks.lift_cases import labeled_cases, synthetic_cases
from benchmarks.record import Row, Settings, compare, take_turns
from clip2.evaluation.scenes.views import LabeledView
from data_prep.geometry import Camera
from data_prep.geometry.cluster import connected_components
from data_prep.lift import create_lifter
from data_prep.lift.regions import ProjectedPoints

Seconds = dict[str, list[float]]

# DBSCAN's neighborhoods, meters: the published recipe's for sweeps; in a room that one joins everything.
_RADII = {"lidar": 0.6, "rgbd": 0.05}


def rows(settings: Settings) -> Iterator[Row]:
    """Rows of box look-ups, clustering and whole frames."""
    turns = settings.turns
    yield from _rows("30 boxes in 307k points", *time_boxes(turns))
    for count in (10_000,) if settings.quick else (10_000, 50_000):
        yield from _rows(f"{count} points in 4 blobs", *time_clusters(count, turns))
    for name, case in () if settings.quick else _frames(settings.data):
        yield from time_frame(name, case, turns)


def _rows(case: str, seconds: Seconds, same: bool) -> list[Row]:
    return compare("lift", case, seconds, "identical results" if same else "RESULTS DIFFER")


def time_boxes(repeats: int) -> tuple[Seconds, bool]:
    """A dense depth image and 30 boxes of a detector's sizes; seconds, and whether all point sets are equal."""
    rng = np.random.default_rng(0)
    camera = Camera(np.array([[585.0, 0, 319.5], [0, 585, 239.5], [0, 0, 1]]), 640, 480)
    points, _ = camera.unproject(rng.uniform(1, 5, (480, 640)))
    corner, size = rng.uniform(0, [440, 330], (30, 2)), rng.uniform(20, [200, 150], (30, 2))
    boxes = np.hstack([corner, corner + size])

    def inside(uv: NDArray, box: NDArray) -> NDArray[np.int64]:
        u, v = uv[:, 0], uv[:, 1]
        within = (u >= box[0]) & (u <= box[2]) & (v >= box[1]) & (v <= box[3])
        return np.flatnonzero(within & camera.in_image(uv))

    def ours() -> list[NDArray[np.int64]]:
        seen = ProjectedPoints(points, camera)
        return [seen.indices[seen.in_box(box)] for box in boxes]

    def plain_projection() -> NDArray:
        """As it is usually written; not ours, whose speed would help the loop as well."""
        homogeneous = points @ camera.K.T.astype(points.dtype)
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def again() -> list[NDArray[np.int64]]:
        return [inside(plain_projection(), box) for box in boxes]

    def again_by_ours() -> list[NDArray[np.int64]]:
        return [inside(camera.project(points)[0], box) for box in boxes]

    def once() -> list[NDArray[np.int64]]:
        uv = plain_projection()
        return [inside(uv, box) for box in boxes]

    seconds, answers = _take_turns(
        {
            "ours": ours,
            "project again per box": again,
            "our projection again per box": again_by_ours,
            "project once, mask per box": once,
        },
        repeats,
    )
    same = all(
        all(np.array_equal(np.sort(a), b) for a, b in zip(answers["ours"], answers[name], strict=True))
        for name in answers
    )
    return seconds, same


def time_clusters(count: int, repeats: int) -> tuple[Seconds, bool]:
    """Four dense blobs, 30 cm wide, well apart; seconds, and whether both find the same clusters."""
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [3, 3, 1.0]])
    points = np.concatenate([rng.normal(center, 0.1, (count // 4, 3)) for center in centers])
    radius = 0.1
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    seconds, answers = _take_turns(
        {
            "ours": lambda: connected_components(points, radius),
            "Open3D DBSCAN": lambda: np.asarray(cloud.cluster_dbscan(radius, 1)),
        },
        repeats,
    )
    ours, theirs = answers["ours"], answers["Open3D DBSCAN"]
    pairs = np.unique(np.stack([ours, theirs]), axis=1)
    same = pairs.shape[1] == len(np.unique(ours)) == len(np.unique(theirs))
    return seconds, bool(same)


def _frames(root: Path | None) -> Iterator[tuple[str, LabeledView]]:
    cases = {
        "room, one depth image": synthetic_cases("room", 1, "perfect", image_size=(640, 480))[0],
        "street, one sweep": synthetic_cases("street", 1, "perfect")[0],
    }
    if root is not None:
        cases["KITTI, one sweep"] = max(
            labeled_cases(root, "KITTI", detector=False), key=lambda case: len(case.detections)
        )
    for name, case in cases.items():
        points, boxes = len(case.frame.points), len(case.detections)
        yield f"{name}, {points / 1000:.0f}k points x {boxes} boxes", case


def time_frame(name: str, case: LabeledView, repeats: int) -> list[Row]:
    """All boxes of one frame."""
    frame, boxes = case.frame, case.detections.boxes
    lifter, camera = create_lifter("auto"), frame.views[0].camera
    radius = _RADII["lidar" if frame.depth is None else "rgbd"]

    def loop() -> list[NDArray[np.int64]]:
        found = []
        for box in boxes:
            uv, _ = camera.project(frame.points)
            inside = np.flatnonzero(
                camera.in_image(uv) & (uv >= box[:2]).all(axis=1) & (uv <= box[2:]).all(axis=1)
            )
            if len(inside):
                xyz = o3d.utility.Vector3dVector(frame.points[inside].astype(np.float64))
                labels = np.asarray(o3d.geometry.PointCloud(xyz).cluster_dbscan(radius, 1))
                inside = inside[labels == np.bincount(labels).argmax()]
            found.append(inside)
        return found

    work = {"ours": lambda: lifter.lift(frame, [case.detections]), "loop over boxes + DBSCAN": loop}
    return compare("lift", name, take_turns(work, repeats))


def _take_turns(contenders: dict[str, Callable[[], Any]], repeats: int) -> tuple[Seconds, dict[str, Any]]:
    """Seconds of the turns, and the last answer of each contender."""
    answers: dict[str, Any] = {}

    def keep(name: str, run: Callable[[], Any]) -> None:
        answers[name] = run()

    return take_turns({name: partial(keep, name, run) for name, run in contenders.items()}, repeats), answers
