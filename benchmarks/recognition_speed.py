"""A whole sweep recognized: proposals, boxes, encoding, naming, and how long each takes.

Real KITTI sweeps where ``--data`` names a folder that holds ``kitti_object/``, otherwise a made-up street. The model is
``mini-points``, which ships with the package; the words are those that travel with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import torch

import clip2
from benchmarks.record import Row
from benchmarks.targets import TARGETS
from data_prep.scans import Frame, open_scan

STEPS = {
    "propose": "proposals",
    "boxes": "boxes around them",
    "encode": "encoding",
    "query": "naming",
}


def measure(repeats: int, quick: bool, data: Path | None) -> list[Row]:
    """Milliseconds per sweep, in all and by step.

    Args:
        repeats: times every sweep is recognized after the first.
        quick: one sweep.
        data: folder that may hold ``kitti_object/``.
    """
    source, frames = _frames(data)
    found = list(islice(frames, 1 if quick else 4))
    recognizer = clip2.Recognizer(clip2.load("mini-points"))
    steps: dict[str, list[float]] = {name: [] for name in STEPS}
    whole: list[float] = []
    objects, points = 0, 0
    for turn in range(repeats + 1):
        for frame in found:
            began = time.perf_counter()
            recognizer.set_scan(frame, proposals="lidar")
            asked = time.perf_counter()
            recognizer.query()
            ended = time.perf_counter()
            if turn == 0:
                objects, points = objects + len(recognizer.boxes), points + len(frame.points)
                continue
            whole.append(1e3 * (ended - began))
            for name, seconds in {**recognizer.seconds, "query": ended - asked}.items():
                steps[name].append(1e3 * seconds)
    case = "whole sweep: proposals, encode, label"
    about = (
        f"{len(found)} sweeps of {source}, {points // len(found):,} points and {objects / len(found):.0f} objects each, "
        f"{torch.get_num_threads()} threads; from {min(whole):.0f} to {max(whole):.0f} ms"
    )
    return [
        Row("recognition", case, ours=median(whole), target=TARGETS["recognition", case, ""], note=about),
        *(
            Row("recognition", f"  of it {said}", ours=median(steps[name]), note=_share(steps[name], whole))
            for name, said in STEPS.items()
        ),
    ]


def _share(part: list[float], whole: list[float]) -> str:
    return f"{median(a / b for a, b in zip(part, whole, strict=True)):.0%} of the time"


def _frames(data: Path | None) -> tuple[str, Iterator[Frame]]:
    if data is not None and (data / "kitti_object").is_dir():
        return "KITTI", iter(open_scan("kitti", data / "kitti_object"))
    return "a made-up street", iter(open_scan("procedural", "street", frames=4, worlds=4, seed=5))
