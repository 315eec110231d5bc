"""How time and memory grow: with points per object, objects at once, and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from statistics import median

import torch

from benchmarks import memory, textbook
from benchmarks.encoder_speed import cube, same_weights
from benchmarks.record import Curve, take_turns
from clip2 import ops

POINTS = (256, 1024, 4096, 8192, 16_384)
OBJECTS = (1, 2, 4, 8, 16)
SAMPLED = (1024, 4096, 16_384, 65_536)
# The textbook's sampling is quadratic in plain torch: beyond this it says nothing new and takes long.
TEXTBOOK_LIMIT = 8192


def measure(repeats: int, quick: bool) -> Iterator[Curve]:
    """Four pictures."""
    turns = 1 if quick else min(repeats, 2)
    yield _points(turns, POINTS[:2] if quick else POINTS)
    yield _objects(turns, OBJECTS[:2] if quick else OBJECTS)
    yield _sampling(turns, SAMPLED[:2] if quick else SAMPLED)
    if memory.CLEAR.exists():
        yield _memory((4,) if quick else (1, 4, 16))


def _threads() -> list[int]:
    """One, two where there are two cores, and as many as torch takes by itself."""
    return sorted({1, min(2, os.cpu_count() or 1), torch.get_num_threads()})


def _points(turns: int, sizes: tuple[int, ...]) -> Curve:
    plain, encoder = same_weights()
    plain.eval()
    encoder.eval()
    series: dict[str, list[tuple[float, float]]] = {"clip2": [], "textbook": []}
    for count in sizes:
        points = cube(4, count)
        work = {"clip2": lambda p=points: encoder(p)}
        if count <= TEXTBOOK_LIMIT:
            work["textbook"] = lambda p=points: plain.embed(p)
        with torch.no_grad():
            _add(series, count, take_turns(work, turns), 1e3 / len(points))
    return Curve(
        "encoder_points", "PointNet++ SSG, four clouds at once", "points per cloud", "ms per cloud", series
    )


def _objects(turns: int, sizes: tuple[int, ...]) -> Curve:
    plain, encoder = same_weights()
    plain.eval()
    encoder.eval()
    series: dict[str, list[tuple[float, float]]] = {}
    before = torch.get_num_threads()
    try:
        for threads in _threads():
            torch.set_num_threads(threads)
            said = f"{threads} thread{'s' if threads > 1 else ''}"
            for batch in sizes:
                points = cube(batch, 1024)
                work = {
                    f"clip2, {said}": lambda p=points: encoder(p),
                    f"textbook, {said}": lambda p=points: plain.embed(p),
                }
                with torch.no_grad():
                    for name, seconds in take_turns(work, turns).items():
                        series.setdefault(name, []).append((batch, batch / median(seconds)))
    finally:
        torch.set_num_threads(before)
    return Curve(
        "encoder_objects",
        "PointNet++ SSG, 1024 points per object",
        "objects at once",
        "objects per second",
        series,
    )


def _sampling(turns: int, sizes: tuple[int, ...]) -> Curve:
    series: dict[str, list[tuple[float, float]]] = {}
    before = torch.get_num_threads()
    try:
        for threads in _threads():
            torch.set_num_threads(threads)
            name = f"clip2, {threads} thread{'s' if threads > 1 else ''}"
            for count in sizes:
                points = cube(2, count)
                work = {name: lambda p=points: ops.farthest_point_sample(p, 1024)}
                if threads == 1 and count <= TEXTBOOK_LIMIT:
                    work["textbook, 1 thread"] = lambda p=points: textbook.farthest_points(p, 1024)
                _add(series, count, take_turns(work, turns), 1e3 / len(points))
    finally:
        torch.set_num_threads(before)
    return Curve(
        "sampling", "Farthest point sampling to 1024, two clouds", "points per cloud", "ms per cloud", series
    )


def _memory(sizes: tuple[int, ...]) -> Curve:
    series = {
        said: [(float(batch), memory.in_a_process(f"encoder:{which}:{batch}")) for batch in sizes]
        for said, which in (("clip2", "ours"), ("clip2, bf16 products", "bf16"), ("textbook", "textbook"))
    }
    return Curve(
        "encoder_memory",
        "PointNet++ SSG, 1024 points per object",
        "objects at once",
        "peak memory, MB",
        series,
    )


def _add(
    series: dict[str, list[tuple[float, float]]], size: int, seconds: dict[str, list[float]], factor: float
) -> None:
    for name, times in seconds.items():
        series.setdefault(name, []).append((float(size), factor * median(times)))
