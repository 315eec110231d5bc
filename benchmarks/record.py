"""Benchmark rows, curves and targets, and the timer of all benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, Literal

Work = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """A promise about speed, memory or accuracy.

    Attributes:
        bound, value: limit of the ratio, or of our own figure if ``of`` is ``ours``.
        source: the promise as text.
        of: figure that is compared with ``value``.
    """

    bound: Literal["at least", "at most"]
    value: float
    source: str
    of: Literal["ratio", "ours"] = "ratio"

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.bound == "at least" else value <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        benchmark: its name on the command line.
        case: what is measured.
        contender: what ours is compared with; empty: nothing.
        unit: of both figures.
        ours, theirs: medians; None: not measured, see ``note``.
        ratio: how many times as good as the contender; for memory, bytes and errors, ours as a share of theirs.
        spread: smallest and largest ratio of the turns.
        target: the promise, or None.
        note: why something was not measured, or a remark.
    """

    benchmark: str
    case: str
    contender: str = ""
    unit: str = "ms"
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None: no target, or not measured."""
        value = None if self.target is None else (self.ratio if self.target.of == "ratio" else self.ours)
        return None if self.target is None or value is None else self.target.met_by(value)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Row:
        values = {field.name: record[field.name] for field in fields(cls)}
        target, spread = values.pop("target"), values.pop("spread")
        return cls(
            **values,
            target=None if target is None else Target(**target),
            spread=None if spread is None else (spread[0], spread[1]),
        )


@dataclass(frozen=True)
class Curve:
    """A figure by size, drawn as a picture.

    Attributes:
        name: file name of the picture.
        title, x, y: title and axis labels.
        series: name → points (x, y).
        benchmark: its name on the command line.
    """

    name: str
    title: str
    x: str
    y: str
    series: dict[str, list[tuple[float, float]]]
    benchmark: str = "curves"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Curve:
        series = {name: [(x, y) for x, y in points] for name, points in record["series"].items()}
        return cls(**{**record, "series": series})


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
        repeats: turns of each contender.
        quick: small sizes and few turns, to check that everything runs.
        data: folder with real scans, or None.
    """

    repeats: int = 5
    quick: bool = False
    data: Path | None = None

    @property
    def turns(self) -> int:
        """``repeats``, or 1 in a quick run."""
        return 1 if self.quick else self.repeats


def row(benchmark: str, case: str, contender: str = "", unit: str = "ms", **values: Any) -> Row:
    """A row with its target, or None."""
    return Row(benchmark, case, contender, unit, target=TARGETS.get((benchmark, case, contender)), **values)


def take_turns(contenders: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender. All run once per turn, so other load hits all of them; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def compare(
    benchmark: str, case: str, seconds: Mapping[str, Sequence[float]], note: str = "", per: float = 1.0
) -> list[Row]:
    """Rows of ``ours`` against every other contender, in milliseconds.

    Args:
        benchmark, case: of the rows.
        seconds: from :func:`take_turns`, with ``ours`` among them.
        note: of all rows.
        per: objects of one turn; milliseconds are per object.
    """
    ours = seconds["ours"]
    mine = 1e3 * median(ours) / per
    rows = []
    for name, theirs in seconds.items():
        if name == "ours":
            continue
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        values: dict[str, Any] = {
            "ours": mine,
            "theirs": 1e3 * median(theirs) / per,
            "ratio": median(theirs) / median(ours),
            "spread": (min(ratios), max(ratios)),
        }
        rows.append(row(benchmark, case, name, note=note, **values))
    return rows or [row(benchmark, case, ours=mine, note=note)]


_OPS_FPS = "exact FPS 4096→1024: ≥ 8× open3d, ≥ 2.5× fpsample's kd-line, ≥ 50× torch-cluster"
_OPS_FPS_LARGE = "FPS 100k→4096: ≥ 12× open3d, ≥ 1× kd-line"
_BALL = "ball query, 10k points, 512 centers, r 0.1, k 32: ≥ 60× the textbook sort-based version, ≥ 3× open3d hybrid"
_SEGMENTS = "segment reductions 100k×64→2k: ≥ 2× torch-scatter"
_ENCODER = (
    "SSG, same weights: ≥ 4× the textbook batched at 1024 points, ≥ 7× at 10k, ≥ 2× one object at a time"
)
_MEMORY = "peak memory 16×1024 ≤ 0.65× textbook"
_LOADER = "triplet loader: ≥ 2.5× samples/s and ≤ 0.35× bytes of per-object pickled npy"
_SCAN = "scan memory: ≤ 0.35× Open3D's for 1M colored points"


def _least(value: float, source: str) -> Target:
    return Target("at least", value, source)


def _most(value: float, source: str) -> Target:
    return Target("at most", value, source)


def _own(bound: Literal["at least", "at most"], value: float, source: str) -> Target:
    return Target(bound, value, source, "ours")


# (benchmark, case, contender) → promise.
TARGETS: dict[tuple[str, str, str], Target] = {
    ("ops", "fps_4096_to_1024", "open3d"): _least(8, _OPS_FPS),
    ("ops", "fps_4096_to_1024", "fpsample kd-line"): _least(2.5, _OPS_FPS),
    ("ops", "fps_4096_to_1024", "torch-cluster"): _least(50, _OPS_FPS),
    ("ops", "fps_100000_to_4096", "open3d"): _least(12, _OPS_FPS_LARGE),
    ("ops", "fps_100000_to_4096", "fpsample kd-line"): _least(1, _OPS_FPS_LARGE),
    ("ops", "ball_10000_512", "textbook sort"): _least(60, _BALL),
    ("ops", "ball_10000_512", "open3d hybrid"): _least(3, _BALL),
    ("ops", "knn_100000_100000_k16", "scipy cKDTree"): _least(
        1, "kNN 100k×100k k=16 ≥ 1× scipy's cKDTree on two cores"
    ),
    **{
        ("ops", f"segment_{name}", "torch-scatter"): _least(2, _SEGMENTS)
        for name in ("sum", "mean", "max", "softmax")
    },
    ("encoder", "batch_1024", "textbook"): _least(4, _ENCODER),
    ("encoder", "batch_10k", "textbook"): _least(7, _ENCODER),
    ("encoder", "one_by_one_1024", "textbook"): _least(2, _ENCODER),
    ("encoder", "training_step_1024", "textbook"): _least(3, "training step: ≥ 3× the textbook's"),
    ("encoder", "relative error of a training step's gradients", ""): _own(
        "at most", 1e-4, "training step: same gradients (rel. 1e-4)"
    ),
    ("encoder", "batch_1024", "ours in float32"): _least(1.6, "bf16 ≥ 1.6× our float32 at cosine ≥ 0.999"),
    ("encoder", "largest relative error", ""): _own("at most", 1e-5, "relative error ≤ 1e-5 in float32"),
    ("encoder", "smallest cosine of bf16", ""): _own("at least", 0.999, "bf16 at cosine ≥ 0.999"),
    ("encoder", "GFLOP/s", "plain matrix product"): _least(
        0.6, "GFLOP/s of the encoder ≥ 0.6 of the same machine's plain matrix product"
    ),
    ("memory", "encoder 16 x 1024", "textbook"): _most(0.65, _MEMORY),
    ("memory", "scan of 1M colored points", "open3d"): _most(0.35, _SCAN),
    ("memory", "scan of 1M colored points set in a Recognizer", "open3d"): _most(0.35, _SCAN),
    ("lift", "30 boxes in 307k points", "project again per box"): _least(
        20, "lift 307k×30, identical sets: ≥ 20× the loop per box"
    ),
    ("lift", "30 boxes in 307k points", "project once, mask per box"): _least(
        2.5, "lift 307k×30, identical sets: ≥ 2.5× projecting once and masking"
    ),
    ("lift", "10000 points in 4 blobs", "Open3D DBSCAN"): _least(
        8, "clusters of 10k / 50k points: ≥ 8× / ≥ 40× DBSCAN"
    ),
    ("lift", "50000 points in 4 blobs", "Open3D DBSCAN"): _least(
        40, "clusters of 10k / 50k points: ≥ 8× / ≥ 40× DBSCAN"
    ),
    ("zero_shot", "100 objects x 1156 words", "text tower of ViT-B/32"): _least(
        1000, "zero-shot over cached text: 100 objects × 1156 classes ≥ 1000× the uncached way"
    ),
    ("zero_shot", "text towers loaded after a restart", ""): _own(
        "at most", 0, "no text-encoder call after a restart"
    ),
    ("loader", "mined objects: samples/s", "pickled npy"): _least(2.5, _LOADER),
    ("loader", "mined objects: bytes", "pickled npy"): _most(0.35, _LOADER),
    ("loader", "dense shapes: samples/s", "pickled npy"): _least(2.5, _LOADER),
    ("loader", "dense shapes: bytes", "pickled npy"): _most(0.35, _LOADER),
    ("recognition", "whole sweep: proposals, encode, label", ""): Target(
        "at most",
        100,
        "whole-scan recognition on the real KITTI sweep: proposals + encode + label ≤ 100 ms p50 on two cores is the dream",
        "ours",
    ),
    ("gpu", "encoder bf16, 128 x 1024: objects/s", ""): _own(
        "at least", 20_000, "on an H200: bf16 B=128 N=1024 ≥ 20k objects/s"
    ),
    ("gpu", "30 x 1024 with a CUDA graph: p99", ""): _own(
        "at most", 5, "on an H200: 30 objects × 1024 points p99 ≤ 5 ms with CUDA graphs"
    ),
    ("gpu", "FPS 16 x 10k to 2500", "eager torch"): _least(
        5, "on an H200: FPS 16×10k→2500 ≥ 5× a plain CUDA-eager version"
    ),
}
