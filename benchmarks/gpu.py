"""Speed of encoders, operations and training steps on a CUDA device.

Operations and training steps are timed with CUDA events; latency, from points in host memory to embeddings in host memory,
with a clock.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import textbook
from benchmarks.record import Row, Settings, compare, row
from benchmarks.textbook import cube, same_weights
from clip2 import ops
from clip2.cuda_graphs import GraphedInference, why_no_graphs
from clip2.preprocessing import PreparedClouds

ENCODER = "encoder bf16, 128 x 1024: objects/s"
TEXTBOOK = "encoder 128 x 1024, float32"
GRAPH = "30 x 1024 with a CUDA graph: p99"
SAMPLING = "FPS 16 x 10k to 2500"
BALL = "ball query 16 x 10k, 512 centers, r 0.1, k 32"
NEAREST = "knn 16 x 10k, 2500 centers, k 16"
SUMS = "segment sum 100k x 64 to 2k"
MAXIMA = "segment max 100k x 64 to 2k"
TRAINING = "training step 64 x 1024, float32"
TRAINING_LOW = "training step 64 x 1024, bf16"

Work = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Setting:
    """Device, number of repeats, and fraction of the full point and cloud counts."""

    device: torch.device
    turns: int
    share: float = 1.0

    def cube(self, batch: int, count: int) -> Tensor:
        return cube(max(2, int(batch * self.share)), max(64, int(count * self.share))).to(self.device)


def rows(settings: Settings) -> Iterator[Row]:
    """All rows; without CUDA they say why they are empty."""
    if torch.cuda.is_available():
        turns = 5 if settings.quick else max(20, settings.repeats)
        yield from measure(Setting(torch.device("cuda"), turns))
    else:
        yield from (_empty(case, "no CUDA device") for case in CASES)


def measure(setting: Setting) -> Iterator[Row]:
    """One row per case, in order; a case that fails gives a row that says why, and the others are measured.

    Raises:
        RuntimeError: after all cases, if any failed.
    """
    failed = 0
    for case, make in CASES.items():
        try:
            yield make(setting)
        except Exception as error:  # noqa: BLE001  (torch's, Triton's, CUDA's; time on a GPU is rare, and it is shown)
            failed += 1
            traceback.print_exc()
            yield _empty(case, f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if failed:
        raise RuntimeError(f"{failed} of {len(CASES)} rows failed")


def _empty(case: str, why: str) -> Row:
    contenders = {
        **dict.fromkeys((TEXTBOOK, BALL, TRAINING, TRAINING_LOW), "textbook"),
        SAMPLING: "eager torch",
        NEAREST: "cdist and topk",
    }
    unit = "1/s" if case == ENCODER else "ms"
    return row("gpu", case, contenders.get(case, ""), unit, note=f"not measured: {why}")


def _throughput(setting: Setting) -> Row:
    encoder = same_weights()[1].to(setting.device).eval()
    points = setting.cube(128, 1024)
    graphs, note = GraphedInference(), why_no_graphs(setting.device)
    with torch.no_grad(), torch.autocast(setting.device.type, torch.bfloat16):
        run = partial(graphs, encoder, lambda batch: (encoder(batch.points),), _batch(points))
        seconds = _on_device({"ours": run}, setting)["ours"]
    said = f"without CUDA graphs: {note}" if note else "with a CUDA graph"
    return row("gpu", ENCODER, unit="1/s", ours=len(points) / median(seconds), note=said)


def _against_textbook(setting: Setting) -> Row:
    plain, encoder = same_weights()
    plain.to(setting.device).eval()
    encoder.to(setting.device).eval()
    points = setting.cube(128, 1024)
    with torch.no_grad():
        expected = plain.embed(points)
        error = float((encoder(points) - expected).norm() / expected.norm())
        work: Work = {"ours": lambda: encoder(points), "textbook": lambda: plain.embed(points)}
        seconds = _on_device(work, setting)
    return compare("gpu", TEXTBOOK, seconds, f"no CUDA graph; outputs differ by {error:.0e}")[0]


def _latency(setting: Setting) -> Row:
    encoder = same_weights()[1].to(setting.device).eval()
    batch = _batch(setting.cube(30, 1024).cpu())
    graphs = GraphedInference()

    def infer(there: PreparedClouds) -> tuple[Tensor, ...]:
        return (encoder(there.points),)

    with torch.no_grad(), torch.autocast(setting.device.type, torch.bfloat16):
        work: Work = {
            "ours": lambda: graphs(encoder, infer, batch)[0].cpu(),
            "plain": lambda: infer(batch.to(setting.device))[0].cpu(),
        }
        seconds = {name: 1e3 * np.array(times) for name, times in _on_the_clock(work, setting).items()}
    note = why_no_graphs(setting.device)
    return row(
        "gpu",
        GRAPH,
        ours=float(np.percentile(seconds["ours"], 99)),
        note=(f"without CUDA graphs: {note}; " if note else "")
        + f"bf16, from host memory to host memory; median {np.median(seconds['ours']):.2f} ms, "
        f"{np.median(seconds['plain']):.2f} ms kernel by kernel; {len(seconds['ours'])} turns",
    )


def _sampling(setting: Setting) -> Row:
    points = setting.cube(16, 10_000)
    k = points.shape[1] // 4
    work: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: ops.farthest_point_sample(points, k),
        "eager torch": lambda: textbook.farthest_points(points, k),
    }
    same = torch.equal(work["ours"](), work["eager torch"]())
    note = "identical samples" if same else "samples differ where distances round to a tie"
    return compare("gpu", SAMPLING, _on_device(dict(work), setting), note)[0]


def _ball(setting: Setting) -> Row:
    points = setting.cube(16, 10_000)
    centers = points[:, :512].contiguous()
    work: Work = {
        "ours": lambda: ops.ball_query(points, centers, 0.1, 32),
        "textbook": lambda: textbook.ball(0.1, 32, points, centers),
    }
    return compare("gpu", BALL, _on_device(work, setting))[0]


def _nearest(setting: Setting) -> Row:
    points = setting.cube(16, 10_000)
    centers = points[:, :2500].contiguous()
    work: Work = {
        "ours": lambda: ops.knn(points, centers, 16),
        "cdist and topk": lambda: torch.cdist(centers, points).topk(16, largest=False),
    }
    return compare("gpu", NEAREST, _on_device(work, setting))[0]


def _segments(case: str, reduce: Callable[[Tensor, Tensor, int], Tensor], setting: Setting) -> Row:
    draw = torch.Generator().manual_seed(0)
    count = int(100_000 * setting.share)
    values = torch.randn(count, 64, generator=draw).to(setting.device)
    index = torch.randint(2000, (count,), generator=draw).to(setting.device)
    seconds = _on_device({"ours": lambda: reduce(values, index, 2000)}, setting)["ours"]
    bandwidth = 1e-9 * values.numel() * values.element_size() / median(seconds)
    return row("gpu", case, ours=1e3 * median(seconds), note=f"{bandwidth:,.0f} GB/s of values read")


def _training(case: str, low: bool, setting: Setting) -> Row:
    plain, encoder = same_weights()
    plain.to(setting.device).train()
    encoder.to(setting.device).train()
    points = setting.cube(64, 1024)

    def step(module: nn.Module, embed: Callable[[Tensor], Tensor]) -> None:
        module.zero_grad()
        with torch.autocast(setting.device.type, torch.bfloat16, enabled=low):
            embedding = embed(points)
        embedding.float().square().sum().backward()

    work: Work = {"ours": partial(step, encoder, encoder), "textbook": partial(step, plain, plain.embed)}
    seconds = _on_device(work, setting)
    note = f"{len(points) / median(seconds['ours']):,.0f} objects/s"
    return compare("gpu", case, seconds, note)[0]


CASES: dict[str, Callable[[Setting], Row]] = {
    ENCODER: _throughput,
    TEXTBOOK: _against_textbook,
    GRAPH: _latency,
    SAMPLING: _sampling,
    BALL: _ball,
    NEAREST: _nearest,
    SUMS: partial(_segments, SUMS, ops.segment_sum),
    MAXIMA: partial(_segments, MAXIMA, ops.segment_max),
    TRAINING: partial(_training, TRAINING, False),
    TRAINING_LOW: partial(_training, TRAINING_LOW, True),
}


def _batch(points: Tensor) -> PreparedClouds:
    lengths = torch.full((len(points),), points.shape[1], device=points.device)
    return PreparedClouds(points, lengths, None, None)


def _on_device(work: Work, setting: Setting) -> dict[str, list[float]]:
    """Seconds that the device works on each, in turns; the first three turns warm up, compile and record."""
    if setting.device.type != "cuda":
        return _on_the_clock(work, setting)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(setting.turns + 3):
        for name, run in work.items():
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            run()
            after.record()
            after.synchronize()
            if turn >= 3:
                seconds[name].append(1e-3 * before.elapsed_time(after))
    return seconds


def _on_the_clock(work: Work, setting: Setting) -> dict[str, list[float]]:
    """Seconds from call to result, in ten times as many turns, for a percentile to mean something."""
    wait = torch.cuda.synchronize if setting.device.type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in work}
    warm_up, turns = (3, 10 * setting.turns) if setting.device.type == "cuda" else (1, setting.turns)
    for turn in range(warm_up + turns):
        for name, run in work.items():
            wait()
            began = time.perf_counter()
            run()
            wait()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return seconds
