"""Cost of the public point encoders: milliseconds and megabytes per object of as many points as they were trained with.

Weights are random: cost does not depend on them. A plain matrix product beside each network says how much of its time the
arithmetic alone would take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import memory
from benchmarks.record import Row, Settings, row, take_turns
from benchmarks.textbook import cube
from clip2.encoders import PointEncoder, create_encoder
from clip2.encoders.patch_transformer import UNI3D_SIZES

_FEWER = {"num_patches": 64, "radius": 0.4, "patch_size": 256, "patch_width": 128, "hidden": 1024}
# Name → encoder, its options, points per object.
ENCODERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "openshape-vitb32": ("openshape_pointbert", _FEWER, 10_000),
    "openshape-vitg14": ("openshape_pointbert", {}, 10_000),
    "uni3d-ti": ("uni3d", UNI3D_SIZES["ti"], 10_000),
    "uni3d-s": ("uni3d", UNI3D_SIZES["s"], 10_000),
    "uni3d-b": ("uni3d", UNI3D_SIZES["b"], 10_000),
    "ulip2-pointbert": ("pointbert", {"num_patches": 512, "depth": 18}, 10_000),
    "ulip-pointbert": ("pointbert", {"num_patches": 512, "feature_channels": 0}, 8192),
}
_IN_PLACE = {torch.ops.aten.addmm_: lambda total, a, b, **_: 2 * a[0] * a[1] * b[1]}


def rows(settings: Settings) -> Iterator[Row]:
    """Each encoder on one core and two, in float32 and with bf16 products."""
    before = torch.get_num_threads()
    try:
        for name in list(ENCODERS)[:1] if settings.quick else ENCODERS:
            yield from _of_one(name, settings)
    finally:
        torch.set_num_threads(before)


def _of_one(name: str, settings: Settings) -> Iterator[Row]:
    encoder, points, colors = build(name)
    work = _embed(encoder, points, colors)
    flop = gflop(work)
    square = torch.rand(1024, 1024)
    for cores in (1, 2):
        torch.set_num_threads(cores)
        contenders: dict[str, Callable[[], object]] = {
            "ours": work,
            "bf16": _embed(encoder, points, colors, bf16=True),
            "product": lambda: square @ square,
        }
        seconds = {key: min(times) for key, times in take_turns(contenders, settings.turns).items()}
        rate = 2 * 1.024**3 / seconds["product"]
        case = f"{name}, {cores} core{'s' if cores > 1 else ''}"
        share = flop / rate / seconds["ours"]
        yield row(
            "pretrained",
            case,
            unit="ms/object",
            ours=1e3 * seconds["ours"],
            note=f"{flop:.1f} GFLOP; matrix products run at {rate:.0f} GFLOP/s here, so arithmetic alone is {share:.0%} of it",
        )
        yield row("pretrained", f"{case}, bf16 products", unit="ms/object", ours=1e3 * seconds["bf16"])
    if memory.CLEAR.exists():
        found = median(memory.in_a_process(f"pretrained:{name}") for _ in range(min(settings.turns, 3)))
        yield row("pretrained", f"{name}, memory beside the weights", unit="MB/object", ours=found)


def build(name: str) -> tuple[PointEncoder, torch.Tensor, torch.Tensor | None]:
    """An encoder of :data:`ENCODERS` with random weights, one cloud, and its colors if it takes them."""
    kind, options, count = ENCODERS[name]
    torch.manual_seed(0)
    encoder = create_encoder(kind, **options).eval()
    colors = torch.rand(1, count, 3) if encoder.feature_channels else None
    return encoder, cube(1, count), colors


def gflop(work: Callable[[], object]) -> float:
    """Floating-point operations of a call, in billions."""
    with FlopCounterMode(display=False, custom_mapping=_IN_PLACE) as counter:
        work()
    return counter.get_total_flops() / 1e9


def one_pass(name: str) -> Callable[[], object]:
    """A pass on one cloud, after a first one that sets up what libraries need."""
    work = _embed(*build(name))
    work()
    return work


def _embed(
    encoder: PointEncoder, points: torch.Tensor, colors: torch.Tensor | None, bf16: bool = False
) -> Callable[[], object]:
    def work() -> object:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return encoder(points, colors)

    return work
