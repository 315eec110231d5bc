"""Speed of PointNet++ against the textbook version with the same weights.

Clouds are points on the faces of a cube. The curves show how time and memory grow with points per object, objects at
once, and threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import memory, textbook
from benchmarks.record import Curve, Row, Settings, compare, row, take_turns
from benchmarks.textbook import LAYOUT, cube, same_weights
from clip2 import ops
from clip2.encoders import create_encoder
from clip2.pretrained import fill_encoder
from clip2.training import load_config, pack, plan_training


@dataclass(frozen=True)
class Case:
    """``batch`` clouds of ``points``."""

    name: str
    batch: int
    points: int
    training: bool = False
    one_by_one: bool = False


CASES = (
    Case("batch_1024", 16, 1024),
    Case("batch_10k", 8, 10_000),
    Case("one_by_one_1024", 4, 1024, one_by_one=True),
    Case("training_step_1024", 8, 1024, training=True),
)
TRAINED, TRAINING_BATCH, TRAINING_POINTS = ("pointnet2_ssg", "pointnet2_ssg_small"), 32, (256, 512, 1024)
# Encoder → objects per training step. 64 objects of Uni3D-Ti need more than 24 GB.
STEPS = {"pointnet2_ssg": 64, "pointnext_s": 64, "uni3d": 16}
POINTS = (256, 1024, 4096, 8192, 16_384)
OBJECTS = (1, 2, 4, 8, 16)
SAMPLED = (1024, 4096, 16_384, 65_536)
# The textbook's sampling is quadratic, so larger clouds would take too long.
TEXTBOOK_LIMIT = 8192
# Multiplications and additions of PointNet++ SSG per object, for any number of points: 512 x 32, 128 x 64 and 128
# neighbors through three layers each.
SSG_GFLOP = 2e-9 * (
    512 * 32 * (3 * 64 + 64 * 64 + 64 * 128)
    + 128 * 64 * (131 * 128 + 128 * 128 + 128 * 256)
    + 128 * (259 * 256 + 256 * 512 + 512 * 1024)
)


def rows(settings: Settings) -> Iterator[Row]:
    """Time against the textbook, differences of outputs and gradients, GFLOP/s, and training throughput."""
    errors, cosines = [], []
    for case in CASES:
        small = replace(case, batch=2) if settings.quick else case
        yield from measure(small, settings.turns)
        if not case.training:
            error, cosine = differences(small)
            errors.append(error)
            cosines.append(cosine)
    yield row("encoder", "largest relative error", unit="", ours=max(errors))
    yield row("encoder", "smallest cosine of bf16", unit="", ours=min(cosines))
    found = gradient_errors()
    note = (
        "ours from the textbook's, in float64; in float32, where near ties of a maximum fall either way, ours are "
        f"{found['ours in float32']:.1e} from that and the textbook's {found['textbook in float32']:.1e}"
    )
    case_ = "relative error of a training step's gradients"
    yield row("encoder", case_, unit="", ours=found["float64"], note=note)
    yield _gflops(settings)
    for name in () if settings.quick else TRAINED:
        for points in TRAINING_POINTS:
            yield from (_throughput(name, points, low, settings.turns) for low in (False, True))


def measure(case: Case, repeats: int) -> list[Row]:
    """Milliseconds per cloud beside the textbook, and of bf16 products beside our float32."""
    textbook_, encoder = same_weights()
    points = cube(case.batch, case.points)
    contenders: dict[str, Callable[[], object]] = {
        "textbook": _work(textbook_, textbook_.embed, points, case),
        "ours": _work(encoder, encoder, points, case),
    }
    if not case.training:
        contenders["bfloat16"] = _autocast(contenders["ours"])
    seconds = take_turns(contenders, repeats)
    low = seconds.pop("bfloat16", None)
    found = compare("encoder", case.name, seconds, per=case.batch)
    if low is not None:
        beside = {"ours": low, "ours in float32": seconds["ours"]}
        found += compare("encoder", case.name, beside, "ours with bf16 products", case.batch)
    return [replace(each, unit="ms/object") for each in found]


def differences(case: Case) -> tuple[float, float]:
    """Relative error of our outputs from the textbook's, and the smallest cosine of bf16 with float32."""
    textbook_, encoder = same_weights()
    points = cube(case.batch, case.points)[:4]
    with torch.no_grad():
        expected, found = textbook_.eval().embed(points), encoder.eval()(points)
        low = _autocast(lambda: encoder(points))()
    error = float((found - expected).norm() / expected.norm())
    return error, float(torch.cosine_similarity(low, found).min())


def gradient_errors() -> dict[str, float]:
    """Relative differences of the gradients of one training step.

    Returns:
        ``float64``: ours from the textbook's, where nothing but the mathematics can differ. ``ours in float32`` and
        ``textbook in float32``: each from the textbook's in float64.
    """
    points = cube(2, 1024).double()
    target = torch.randn(2, 1024, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def ours(dtype: torch.dtype) -> Tensor:
        encoder = same_weights()[1].train().to(dtype)
        (encoder(points.to(dtype)) * target.to(dtype)).sum().backward()
        return _flat({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})

    def theirs(dtype: torch.dtype) -> Tensor:
        textbook = same_weights()[0].train().to(dtype)
        (textbook.embed(points.to(dtype)) * target.to(dtype)).sum().backward()
        # Gradients take the way that weights take into our encoder; what has none is no weight of it.
        grads = {name: p.grad for name, p in textbook.named_parameters() if p.grad is not None}
        carrier = create_encoder("pointnet2_ssg", feature_channels=0).to(dtype)
        fill_encoder(carrier, {**textbook.state_dict(), **grads}, LAYOUT)
        return _flat(dict(carrier.named_parameters()))

    truth = theirs(torch.float64)
    return {
        name: float((found - truth).norm() / truth.norm())
        for name, found in (
            ("float64", ours(torch.float64)),
            ("ours in float32", ours(torch.float32)),
            ("textbook in float32", theirs(torch.float32)),
        )
    }


def _flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensors[name].detach().double().flatten() for name in sorted(tensors)])


def _throughput(name: str, points: int, bfloat16: bool, repeats: int) -> Row:
    """Clouds per second of forward and backward passes with color."""
    torch.manual_seed(0)
    encoder = create_encoder(name).train()
    clouds, colors = cube(TRAINING_BATCH, points), torch.rand(TRAINING_BATCH, points, 3)

    def step() -> None:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            embedding = encoder(clouds, colors)
        embedding.square().sum().backward()

    (times,) = take_turns({"step": step}, max(2, repeats // 2)).values()
    case = f"training {name}, {TRAINING_BATCH} x {points}, {'bf16' if bfloat16 else 'float32'} products"
    return row("encoder", case, unit="clouds/s", ours=TRAINING_BATCH / median(times))


def training(settings: Settings) -> Iterator[Row]:
    """Objects per second of real training steps: reading, augmentation, both losses, optimizer and weight average."""
    random = np.random.default_rng(0)
    count, width = 2 * max(STEPS.values()), 512
    vectors = random.normal(size=(8 + count, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clouds = [
        (cube(1, 4096)[0].numpy(), random.integers(0, 256, (4096, 3), dtype=np.uint8)) for _ in range(count)
    ]
    data = pack(
        clouds,
        [[row % 8] for row in range(count)],
        [f"label {row}" for row in range(8)],
        vectors[:8],
        "ViT-B-32/openai",
        images=vectors[8:].astype(np.float16),
        image_present=np.ones(count, bool),
    )
    for name, batch in list(STEPS.items())[: 1 if settings.quick else None]:
        config = load_config(
            None,
            [f"model.encoder.name={name}", f"loop.batch_size={batch}", "optimizer.ema=0.999"],
        )
        plan = plan_training(config, data)
        where = "GPU" if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
        note = f"{where}, {plan.memory / 1e9:.1f} GB"
        case = f"training steps of {name}, {batch} x {config.model.preprocessing.num_points}"
        yield row("training", case, unit="objects/s", ours=plan.objects_per_second, note=note)


def _gflops(settings: Settings) -> Row:
    encoder = same_weights()[1].eval()
    points, square = cube(16, 1024), torch.rand(1024, 1024)
    with torch.no_grad():
        work = {"ours": lambda: encoder(points), "product": lambda: square @ square}
        seconds = take_turns(work, 2 if settings.quick else settings.repeats)
    flop, plain = SSG_GFLOP * len(points), 2e-9 * len(square) ** 3
    ratios = [flop / a / (plain / b) for a, b in zip(seconds["ours"], seconds["product"], strict=True)]
    ours, theirs = flop / median(seconds["ours"]), plain / median(seconds["product"])
    return row(
        "encoder",
        "GFLOP/s",
        "plain matrix product",
        "GFLOP/s",
        ours=ours,
        theirs=theirs,
        ratio=ours / theirs,
        spread=(min(ratios), max(ratios)),
        note=f"16 x 1024 points, sampling and neighbors included; nominal {SSG_GFLOP:.2f} GFLOP per object, as the "
        "textbook computes them; 1024² products",
    )


def _work(
    module: torch.nn.Module, embed: Callable[[Tensor], Tensor], points: Tensor, case: Case
) -> Callable[[], object]:
    def train() -> None:
        module.train().zero_grad()
        embed(points).square().sum().backward()

    def infer() -> None:
        module.eval()
        with torch.no_grad():
            for part in points.split(1 if case.one_by_one else len(points)):
                embed(part)

    return train if case.training else infer


def _autocast(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return work()

    return run


def curves(settings: Settings) -> Iterator[Curve]:
    """Time by points, objects and threads, and memory by objects."""
    quick, turns = settings.quick, min(settings.turns, 2)
    yield _points(turns, POINTS[:2] if quick else POINTS)
    yield _objects(turns, OBJECTS[:2] if quick else OBJECTS)
    yield _sampling(turns, SAMPLED[:2] if quick else SAMPLED)
    if memory.CLEAR.exists():
        yield _memory((4,) if quick else (1, 4, 16))


def _threads() -> list[int]:
    """Thread counts to compare: 1, 2 if there are two cores, and torch's default."""
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
