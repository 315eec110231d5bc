"""Object maps at sensor rate: time of every stage, dropped frames, and memory.

    python -m benchmarks.realtime ROOT [--seconds 60] [--only kitti] [--budget-ms 100] [--json]

ROOT holds ``kitti_tracking/`` (swept at 10 Hz) or ``rgbd/7scenes_redkitchen/`` (640 x 480, at 15 and at 5 Hz) in their official
layouts. The frames are read and placed before the clock starts, then replayed forth and back through
``clip2.mapping.LivePipeline``, which drops what comes too fast. *behind*: milliseconds from a frame's moment to its update.
*memory*: growth of the process from the end of the first tenth to the end. ``set_scan + query`` names one sweep without a map.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

import clip2
from benchmarks.tables import emit
from clip2.mapping import LivePipeline, MapConfig, MapUpdate, ObjectMap, Odometry
from data_prep.errors import InputError
from data_prep.scans import Frame, open_scan


def main(
    root: Annotated[Path, tyro.conf.Positional],
    seconds: float = 30.0,
    only: str = "",
    budget_ms: float | None = None,
    depth: int = 2,
    json: bool = False,
) -> int:
    """Replay, measure and print.

    Args:
        root: folder with the real scans.
        seconds: of replay, each case.
        only: kitti or rgbd; default: both.
        budget_ms: of an update; None: no limit.
        depth: frames that may wait.
        json: print one JSON object.
    """
    model = clip2.load("mini-points")
    result: dict[str, Any] = {"threads": torch.get_num_threads()}
    config = MapConfig(budget_ms=budget_ms)
    kitti, rgbd = root / "kitti_tracking", root / "rgbd" / "7scenes_redkitchen"
    if kitti.is_dir() and only in "kitti":
        odometry = Odometry()
        sweeps = [odometry.place(frame) for frame in open_scan("kitti-tracking", kitti)]
        result["KITTI sweep, set_scan + query"] = {"ms": _one_by_one(model, sweeps)}
        result["KITTI sweeps at 10 Hz"] = _replay(model, sweeps, 10.0, seconds, depth, config)
    if rgbd.is_dir() and only in "rgbd":
        images = list(open_scan("rgbd", rgbd))
        for rate in (15.0, 5.0):
            result[f"RGB-D 640 x 480 at {rate:.0f} Hz"] = _replay(model, images, rate, seconds, depth, config)
    if len(result) == 1:
        raise InputError(
            "holds neither kitti_tracking/ nor rgbd/7scenes_redkitchen/", source=root, field="ROOT"
        )
    return emit(result, json, _print)


def _one_by_one(model: clip2.Clip2Model, frames: Sequence[Frame]) -> dict[str, float]:
    recognizer, taken = clip2.Recognizer(model), []
    for frame in (frames[0], *frames):
        began = time.perf_counter()
        recognizer.set_scan(frame).query()
        taken.append(1e3 * (time.perf_counter() - began))
    return _percentiles(taken[1:])


def _replay(
    model: clip2.Clip2Model,
    frames: Sequence[Frame],
    rate: float,
    seconds: float,
    depth: int,
    config: MapConfig,
) -> dict[str, Any]:
    """Offer the frames forth and back at a rate; the worker takes what it can."""
    object_map = ObjectMap(model, config=config)
    object_map.update(replace(frames[0], timestamp=0.0))  # loads libraries, fills caches
    stages: dict[str, list[float]] = defaultdict(list)
    began = time.perf_counter()

    def note(update: MapUpdate) -> None:
        for name, spent in object_map.seconds.items():
            stages[name].append(1e3 * spent)
        stages["update"].append(1e3 * sum(object_map.seconds.values()))
        stages["behind"].append(1e3 * (time.perf_counter() - began - (update.timestamp or 0.0)))

    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    total = max(1, round(rate * seconds))
    first = 0.0
    with LivePipeline(object_map, note, depth=depth) as pipeline:
        for number in range(1, total + 1):
            due = number / rate
            time.sleep(max(0.0, began + due - time.perf_counter()))
            pipeline.offer(replace(frames[order[number % len(order)]], timestamp=due))
            if number == max(1, total // 10):
                first = _megabytes()
    return {
        "frames": total,
        "dropped": pipeline.dropped,
        "objects": len(object_map),
        "memory": _megabytes() - first,
        "ms": {name: _percentiles(taken) for name, taken in stages.items()},
    }


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": float(np.percentile(taken, share)) for share in (50, 95, 99)}


def _megabytes() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _print(result: dict[str, Any]) -> None:
    console = Console(width=110)
    for name, case in result.items():
        if name == "threads":
            console.print(f"{case} threads")
            continue
        title = name
        if "frames" in case:
            title += (
                f": {case['frames']} frames, {case['dropped']} dropped, {case['objects']} objects, "
                f"memory {case['memory']:+.0f} MB"
            )
        stages = case["ms"] if "frames" in case else {"whole": case["ms"]}
        table = Table("ms", "p50", "p95", "p99", title=title, title_justify="left")
        for stage, values in stages.items():
            table.add_row(stage, *(f"{value:.0f}" for value in values.values()))
        console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
