"""Outliers made from the training objects, for a detector of objects that no label fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from clip2.training.dataset import TrainingSet

Cloud = tuple[NDArray[np.float32], NDArray[np.uint8] | None]
_FEWEST_POINTS = 16
# Share of an object's points that a fragment keeps: too few to tell what it was.
_FRAGMENT = (0.05, 0.2)


def make_outliers(
    data: TrainingSet, rows: NDArray[np.int64], count: int, seed: int = 0
) -> dict[str, list[Cloud]]:
    """Clouds that are no objects, by kind: what a wrong cut returns, and shapes without structure.

    Args:
        data: the training set.
        rows: (m,) objects to make them from, at least 2.
        count: clouds of each kind.
        seed: of all draws.

    Returns:
        Kind → points (n, 3) float32 in meters and colors (n, 3) uint8 or None. ``mixture``: halves of two objects of
        different texts, joined; ``fragment``: a compact twentieth to fifth of an object; ``scrambled``: an object whose
        points exchange their coordinates, axis by axis.
    """
    random = np.random.default_rng(seed)
    return {
        kind: [cloud for _, cloud in zip(range(count), draw(data, rows, random), strict=False)]
        for kind, draw in _KINDS.items()
    }


def _objects(
    data: TrainingSet, rows: NDArray[np.int64], random: np.random.Generator
) -> Iterator[tuple[int, Cloud]]:
    """Random objects with enough points, at most 100 draws in a row without one."""
    misses = 0
    while misses < 100:
        row = int(random.choice(rows))
        points, colors = data.cloud(row)
        misses += 1
        if len(points) >= _FEWEST_POINTS:
            misses = 0
            yield row, (points - points.mean(axis=0), colors)


def _mixtures(data: TrainingSet, rows: NDArray[np.int64], random: np.random.Generator) -> Iterator[Cloud]:
    objects = _objects(data, rows, random)
    for (a, first), (b, second) in zip(objects, objects, strict=False):
        if data.own_texts[a, 0] == data.own_texts[b, 0]:
            continue
        angle = random.uniform(0, 2 * np.pi)
        side = np.array([np.cos(angle), np.sin(angle), random.normal(0, 0.5)])
        parts = [_cut(first, first[0] @ side >= 0), _cut(second, second[0] @ side < 0)]
        points = np.concatenate([part[0] for part in parts])
        colored = all(part[1] is not None for part in parts)
        if len(points) >= _FEWEST_POINTS:
            yield points, np.concatenate([part[1] for part in parts]) if colored else None


def _fragments(data: TrainingSet, rows: NDArray[np.int64], random: np.random.Generator) -> Iterator[Cloud]:
    for _, (points, colors) in _objects(data, rows, random):
        number = max(_FEWEST_POINTS, round(len(points) * random.uniform(*_FRAGMENT)))
        distance = np.linalg.norm(points - points[random.integers(len(points))], axis=1)
        yield _cut((points, colors), np.argsort(distance, kind="stable")[:number])


def _scrambled(data: TrainingSet, rows: NDArray[np.int64], random: np.random.Generator) -> Iterator[Cloud]:
    for _, (points, colors) in _objects(data, rows, random):
        yield np.stack([random.permutation(axis) for axis in points.T], axis=1), colors


def _cut(cloud: Cloud, chosen: NDArray) -> Cloud:
    points, colors = cloud
    return points[chosen], None if colors is None else colors[chosen]


_KINDS: dict[str, Callable[[TrainingSet, NDArray[np.int64], np.random.Generator], Iterator[Cloud]]] = {
    "mixture": _mixtures,
    "fragment": _fragments,
    "scrambled": _scrambled,
}
