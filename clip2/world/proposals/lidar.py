"""Training of the LiDAR proposals' scorer on synthetic streets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.lidar import (
    OUTPUTS,
    Candidates,
    find_candidates,
    propose_lidar,
)
from clip2.recognition.proposals.lidar_features import FEATURES
from clip2.recognition.proposals.scorer import Scorer
from clip2.world.proposals.clutter import grow_clutter
from clip2.world.proposals.fit import calibrated, fit_scorer
from data_prep.geometry.ground import height_above_ground
from data_prep.scans import open_scan

BEAMS = (16, 32, 64, 128, 64)
_SETTINGS = ("city", "city", "city", "city", "city", "street")
_NAMELESS = (0, 0, 6, 0, 12, 0, 4)  # assemblies in a world
_MOST_CLUTTER = 40
_OUTPUT = {"building": 2, "wall": 3, "fence": 4, "hedge": 5, "bush": 5}  # of each label of the background
_VARIANTS = 2  # of the clutter in each street
_UNPOSED = 7  # one sweep in so many is learned from without its sensor's position
_EPOCHS = 12
_WHOLE = 0.5  # IoU with an object from which a cluster counts as it


@dataclass(frozen=True)
class Sweep:
    """One synthetic sweep: points (N, 3), the sensor's place (3,) or None, instance (N,) and output (N,) of each point."""

    points: NDArray
    viewpoint: NDArray | None
    instances: NDArray[np.int32]
    outputs: NDArray[np.int64]


def sweeps(count: int, seed: int) -> Iterator[Sweep]:
    """Sweeps of ``count`` different streets by sensors of 16 to 128 beams in turn, each overgrown twice."""
    for number in range(count):
        scan = open_scan(
            "procedural",
            _SETTINGS[number % len(_SETTINGS)],
            frames=1,
            seed=seed + number,
            beams=BEAMS[number % len(BEAMS)],
            image_size=(16, 16),
            assemblies=_NAMELESS[number % len(_NAMELESS)],
        )
        frame, truth = scan[0], scan.ground_truth(0)  # type: ignore[attr-defined]
        points, eye = np.float32(frame.world_points()), frame.T_world_points[:3, 3]
        outputs = _outputs(truth.instances, truth.background)
        height = height_above_ground(points)
        for variant in range(_VARIANTS):
            rng = np.random.default_rng([seed + number, variant])
            count = int(rng.integers(0, _MOST_CLUTTER))
            grown, caught = grow_clutter(points, eye, height, truth.instances, rng, count)
            yield Sweep(
                grown,
                None if (_VARIANTS * number + variant) % _UNPOSED == 0 else eye,
                np.where(caught > 0, -1, truth.instances),
                np.where(caught > 0, caught, outputs),
            )


def _outputs(instances: NDArray[np.int32], background: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """(N,) output of each point's background, 0 for none; without labels, what is no object is a building."""
    labeled = {} if background is None else {n: background == n for n in _OUTPUT}
    found = np.where(instances < 0, _OUTPUT["building"], 0)
    if any(mask.any() for mask in labeled.values()):
        found = np.zeros(len(instances), np.int64)
        for name, mask in labeled.items():
            found[mask] = _OUTPUT[name]
    return found


def node_targets(found: Candidates, sweep: Sweep) -> NDArray[np.float32]:
    """(M, outputs) whether each node is one whole object, its best IoU with one, and its shares of each background."""
    _, instance = np.unique(np.append(-1, sweep.instances[found.above]), return_inverse=True)
    instance = instance[1:]  # 0: background
    whole = np.bincount(instance)
    rank = np.argsort(found.tree.order)[found.voxel]
    by_rank = np.argsort(rank, kind="stable")
    begins, ends = (np.searchsorted(rank[by_rank], at) for at in (found.tree.start, found.tree.stop))
    target = np.zeros((len(found.tree), len(OUTPUTS)), np.float32)
    for node, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        rows = by_rank[begin:end]
        mine = np.bincount(instance[rows], minlength=len(whole))
        iou = mine[1:] / (whole[1:] + len(rows) - mine[1:])
        target[node, :2] = iou.max(initial=0.0) >= _WHOLE, iou.max(initial=0.0)
        outputs = np.bincount(sweep.outputs[found.above[rows]], minlength=len(OUTPUTS))
        target[node, 2:] = outputs[2:] / len(rows)
    return target


def collect(examples: Iterable[Sweep]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (n, F) and targets (n, outputs) of the clusters of sweeps."""
    rows, targets = [], []
    for sweep in examples:
        found = find_candidates(sweep.points, sweep.viewpoint)
        if found is not None:
            rows.append(found.features)
            targets.append(node_targets(found, sweep))
    return np.concatenate(rows), np.concatenate(targets)


def chosen_quality(scorer: Scorer, sweep: Sweep) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Objectness of each proposal of a sweep, and whether it shares half of its union with one whole object."""
    found = propose_lidar(sweep.points, sweep.viewpoint, scorer).objects()
    _, instance = np.unique(np.append(-1, sweep.instances), return_inverse=True)
    instance = instance[1:]
    whole = np.bincount(instance)
    good = np.zeros(len(found), dtype=bool)
    for number, index in enumerate(found.indices):
        mine = np.bincount(instance[index], minlength=len(whole))[1:]
        good[number] = (mine / (whole[1:] + len(index) - mine)).max(initial=0.0) >= _WHOLE
    return found.objectness, good


def train(count: int, seed: int) -> Scorer:
    """The scorer that ships: fitted to ``count`` streets, calibrated on a fifth as many others."""
    rows, targets = collect(sweeps(count, seed))
    scorer = fit_scorer(FEATURES, rows, targets, epochs=_EPOCHS, seed=seed)
    chosen = [chosen_quality(scorer, sweep) for sweep in sweeps(count // 5, seed + count)]
    said, true = (np.concatenate(column) for column in zip(*chosen, strict=True))
    return calibrated(scorer, said, true)
