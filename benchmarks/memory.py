"""Peak memory of an encoder, and memory held by a scan.

Each figure is measured in a separate process (``python -m benchmarks.memory CASE``). Peaks are the kernel's high-water mark of
resident memory above what was resident before, so they are measured on Linux only.
"""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.record import Row, Settings, row

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SCAN_POINTS = 1_000_000


def rows(settings: Settings) -> Iterator[Row]:
    """Every case beside its contender."""
    if not CLEAR.exists():
        for case in ("encoder", "scan"):
            yield Row("memory", case, unit="MB", note="not measured: not Linux")
        return
    times = min(settings.turns, 3)
    for case, contender, ours, theirs in (
        ("encoder 16 x 1024", "textbook", "encoder:ours:16", "encoder:textbook:16"),
        ("encoder 16 x 1024, bf16 products", "textbook", "encoder:bf16:16", "encoder:textbook:16"),
        ("scan of 1M colored points", "open3d", "scan:frame", "scan:open3d"),
        ("scan of 1M colored points set in a Recognizer", "open3d", "scan:recognizer", "scan:open3d"),
    ):
        if settings.quick and ours == "scan:recognizer":
            continue
        mine, other = (
            # Slow, and the same every time.
            [in_a_process(name) for _ in range(1 if ours == "scan:recognizer" else times)]
            for name in (ours, theirs)
        )
        shares = [a / b for a, b in zip(mine, other, strict=True)]
        a, b = median(mine), median(other)
        spread = min(shares), max(shares)
        yield row("memory", case, contender, "MB", ours=a, theirs=b, ratio=a / b, spread=spread)


def in_a_process(case: str) -> float:
    """Megabytes of one case, measured in a new process."""
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", case], capture_output=True, text=True, check=True
    )
    return float(said.stdout)


def _encoder(which: str, batch: int) -> Callable[[], object]:
    """The first pass is part of it: libraries set up what they need in one on a single cloud before."""
    import torch

    from benchmarks.textbook import cube, same_weights

    textbook, encoder = same_weights()
    points = cube(batch, 1024)
    module, embed = (textbook, textbook.embed) if which == "textbook" else (encoder, encoder)
    module.eval()

    def work(clouds: torch.Tensor) -> object:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=which == "bf16"):
            return embed(clouds)

    work(points[:1])
    return lambda: work(points)


def _peak(work: Callable[[], object]) -> float:
    gc.collect()
    CLEAR.write_text("5")  # the high-water mark begins anew
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1e3


def _held(which: str) -> float:
    """Megabytes that stay while a scan of a room is held; the arrays it was made from are gone."""
    import numpy as np
    import open3d as o3d

    from data_prep.scans import Frame

    def arrays() -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        points = rng.uniform(0, [8, 6, 2.5], (SCAN_POINTS, 3)).astype(np.float32)
        points[np.arange(SCAN_POINTS), rng.integers(0, 3, SCAN_POINTS)] = 0  # floor and two walls
        return points, rng.integers(0, 256, (SCAN_POINTS, 3), dtype=np.uint8)

    def frame() -> object:
        points, colors = arrays()
        return Frame.build("room", points, colors=colors)

    def open3d() -> object:
        points, colors = arrays()
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
        cloud.colors = o3d.utility.Vector3dVector(colors / 255.0)
        return cloud

    def recognizer() -> object:
        import clip2

        ready = clip2.Recognizer(clip2.load("mini-points"))
        ready.set_scan(frame())  # type: ignore[arg-type]
        ready.set_scan(
            Frame.build("small", arrays()[0][:20_000].copy())
        )  # what it keeps for speed it has by now
        return lambda: ready.set_scan(frame())  # type: ignore[arg-type]

    make: Callable[[], object] = {"frame": frame, "open3d": open3d, "recognizer": frame}[which]
    if which == "recognizer":
        make = recognizer()  # type: ignore[assignment]
    _settle()
    before = _status("RssAnon")
    held = make()
    _settle()
    after = _status("RssAnon")
    del held
    return (after - before) / 1e3


def _settle() -> None:
    """Hand memory that nobody uses back to the system, so that resident means used."""
    import ctypes

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    assert found is not None, key
    return int(found.group(1)) * 1024 // 1000


if __name__ == "__main__":
    kind, which, *rest = sys.argv[1].split(":")
    if kind == "pretrained":
        from benchmarks.pretrained import one_pass

        print(_peak(one_pass(which)))
    else:
        print(_peak(_encoder(which, int(rest[0]))) if kind == "encoder" else _held(which))
