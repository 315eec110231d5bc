"""More depth never hurts: the same objects, lifted from fewer and from more points."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.lift import create_lifter
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame
from data_prep.world import ProceduralScan
from data_prep.world.sensors import Lidar

_LIFTER = create_lifter("auto", min_points=1, min_side=0.0, max_truncated=1.0, max_occluded=1.0)
_SEEDS = (60, 62)
_LEAST = 8  # points of an object in the sparser frame
# Of objects that are lifted better or worse by chance, as when a pedestrian's few points touch a tree.
_SLACK = 0.02  # mean IoU
_RARE = 0.05  # share of objects that lose more than _LOSS
_LOSS = 0.25  # IoU


def test_denser_beams() -> None:
    assert_no_loss(_streets(17), _streets(33))


def test_several_sweeps_in_one_cloud() -> None:
    assert_no_loss(_streets(33), _streets(33, sweeps=2))


def test_more_pixels_of_colored_depth() -> None:
    assert_no_loss(_rooms((160, 120)), _rooms((320, 240)))


def assert_no_loss(sparse: dict[int, tuple[float, int]], dense: dict[int, tuple[float, int]]) -> None:
    kept = [key for key, (_, points) in sparse.items() if points >= _LEAST and key in dense]
    assert len(kept) >= 15
    gains = np.array([dense[key][0] - sparse[key][0] for key in kept])
    assert gains.mean() >= -_SLACK
    assert (gains < -_LOSS).mean() <= _RARE


@cache
def _streets(rings: int, sweeps: int = 1) -> dict[int, tuple[float, int]]:
    found: dict[int, tuple[float, int]] = {}
    for place, seed in enumerate(_SEEDS):
        scan = ProceduralScan("street", 1, seed, image_size=(320, 180), lidar=Lidar(rings, steps=600))
        frame, truth = scan[0], scan.ground_truth(0)
        points, instances = frame.points, truth.instances
        rng = np.random.default_rng(seed)
        for _ in range(sweeps - 1):  # of a vehicle at rest: the same rays, other errors of range
            error = rng.normal(0, 0.015, (len(frame.points), 1)) / np.linalg.norm(
                frame.points, axis=1, keepdims=True
            )
            points = np.concatenate([points, (frame.points * (1 + error)).astype(np.float32)])
            instances = np.concatenate([instances, truth.instances])
        frame = replace(frame, points=points, intensity=None)
        found.update(_scores(frame, instances, truth.detections[0], place))
    return found


@cache
def _rooms(size: tuple[int, int]) -> dict[int, tuple[float, int]]:
    found: dict[int, tuple[float, int]] = {}
    for place, seed in enumerate(_SEEDS):
        scan = ProceduralScan("room", 1, seed, image_size=size)
        truth = scan.ground_truth(0)
        found.update(_scores(scan[0], truth.instances, truth.detections[0], place))
    return found


def _scores(
    frame: Frame, instances: NDArray[np.int32], detections: Detections2D, place: int
) -> dict[int, tuple[float, int]]:
    """Object → IoU of its lifted points, and how many it has in its box."""
    lifted = {
        found.detection: found.indices
        for found in _LIFTER.lift(frame, [replace(detections, masks=None)]).objects
    }
    seen = ProjectedPoints(frame.points, frame.views[0].camera)
    scores = {}
    for row, track in enumerate(detections.attributes["track_id"]):
        inside = seen.indices[seen.in_box(detections.boxes[row])]
        truth = inside[instances[inside] == track]
        kept = lifted.get(row, truth[:0])
        hit = len(np.intersect1d(truth, kept))
        scores[place * 100_000 + int(track)] = (hit / max(len(truth) + len(kept) - hit, 1), len(truth))
    return scores
