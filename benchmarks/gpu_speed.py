"""The same things on a CUDA device. Where there is none, the table says so.

python -m benchmarks gpu --json gpu.json
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks import textbook
from benchmarks.encoder_speed import cube, same_weights
from benchmarks.record import Row
from benchmarks.targets import TARGETS
from clip2 import ops

ENCODER, GRAPH, SAMPLING = (
    "encoder bf16, 128 x 1024: objects/s",
    "30 x 1024 with a CUDA graph: p99",
    "FPS 16 x 10k to 2500",
)
_TEXTBOOK = "encoder 128 x 1024, float32"
_NONE = "not measured: no CUDA device"


def measure(repeats: int, quick: bool) -> list[Row]:
    """Four rows; on a machine without CUDA all say why they are empty."""
    rows = (
        Row("gpu", ENCODER, unit="1/s", note=_NONE, target=TARGETS["gpu", ENCODER, ""]),
        Row("gpu", _TEXTBOOK, "textbook", note=_NONE),
        Row("gpu", GRAPH, note=_NONE, target=TARGETS["gpu", GRAPH, ""]),
        Row("gpu", SAMPLING, "eager torch", note=_NONE, target=TARGETS["gpu", SAMPLING, "eager torch"]),
    )
    if not torch.cuda.is_available():
        return list(rows)
    turns = 5 if quick else max(20, repeats)
    return [_throughput(turns), _against_textbook(turns), _latency(20 if quick else 300), _sampling(turns)]


def _throughput(turns: int) -> Row:
    _, encoder = same_weights()
    encoder.cuda().eval()
    points = cube(128, 1024).cuda()
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        run = _captured(lambda: encoder(points))
        seconds = _timed({"ours": run}, turns)["ours"]
    return Row(
        "gpu",
        ENCODER,
        unit="1/s",
        ours=len(points) / median(seconds),
        target=TARGETS["gpu", ENCODER, ""],
        note=f"with a CUDA graph; {torch.cuda.get_device_name()}",
    )


def _against_textbook(turns: int) -> Row:
    plain, encoder = same_weights()
    plain.cuda().eval()
    encoder.cuda().eval()
    points = cube(128, 1024).cuda()
    with torch.no_grad():
        error = float((encoder(points) - plain.embed(points)).norm() / plain.embed(points).norm())
        work = {"ours": lambda: encoder(points), "textbook": lambda: plain.embed(points)}
        seconds = _timed(work, max(3, turns // 4))
    ours, theirs = (1e3 * median(seconds[name]) for name in ("ours", "textbook"))
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["textbook"], strict=True)]
    note = f"eager; outputs differ by {error:.0e}"
    return Row(
        "gpu",
        _TEXTBOOK,
        "textbook",
        "ms",
        ours,
        theirs,
        theirs / ours,
        (min(ratios), max(ratios)),
        None,
        note,
    )


def _latency(turns: int) -> Row:
    _, encoder = same_weights()
    encoder.cuda().eval()
    points = cube(30, 1024).cuda()
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        seconds = _timed({"ours": _captured(lambda: encoder(points))}, turns)["ours"]
    milliseconds = 1e3 * np.array(seconds)
    note = f"median {np.median(milliseconds):.2f} ms over {turns} turns"
    ours = float(np.percentile(milliseconds, 99))
    return Row("gpu", GRAPH, ours=ours, target=TARGETS["gpu", GRAPH, ""], note=note)


def _sampling(turns: int) -> Row:
    points = cube(16, 10_000).cuda()
    work = {
        "ours": lambda: ops.farthest_point_sample(points, 2500),
        "eager torch": lambda: textbook.farthest_points(points, 2500),
    }
    same = bool((work["ours"]() == work["eager torch"]()).all())
    seconds = _timed(work, max(3, turns // 4))
    ours, theirs = (1e3 * median(seconds[name]) for name in ("ours", "eager torch"))
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["eager torch"], strict=True)]
    return Row(
        "gpu",
        SAMPLING,
        "eager torch",
        "ms",
        ours,
        theirs,
        theirs / ours,
        (min(ratios), max(ratios)),
        TARGETS["gpu", SAMPLING, "eager torch"],
        "identical samples" if same else "samples differ where distances round to a tie",
    )


def _captured(work: Callable[[], Tensor]) -> Callable[[], object]:
    """The same work as one CUDA graph, after the warm-up that capturing asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def _timed(work: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each, in turns; the first two turns warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(turns + 2):
        for name, run in work.items():
            torch.cuda.synchronize()
            began = time.perf_counter()
            run()
            torch.cuda.synchronize()
            if turn > 1:
                seconds[name].append(time.perf_counter() - began)
    return seconds
