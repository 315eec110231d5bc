"""How fast PointNet++ runs here, beside the textbook version with the same weights.

    python -m benchmarks.encoder_speed [--threads 2] [--repeats 5] [--json]

Contenders take turns within each repeat, so that whatever else the machine does hits all of them; figures are medians
and ratios of medians, with the spread of the per-repeat ratios. Clouds are points on the faces of a cube. Training
throughput is measured with color, batches of 32, forward and backward.
"""

from __future__ import annotations

import json as json_format
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks.record import take_turns
from benchmarks.textbook import TextbookPointNet2
from clip2.encoders import PointEncoder, create_encoder, load_pointnet2_ssg


@dataclass(frozen=True)
class Case:
    """``batch`` clouds of ``points``, in turn by ours and the textbook; ``target`` is the ratio to reach."""

    name: str
    batch: int
    points: int
    training: bool
    one_by_one: bool
    target: float


CASES = (
    Case("batch_1024", 16, 1024, training=False, one_by_one=False, target=4.0),
    Case("batch_10k", 8, 10_000, training=False, one_by_one=False, target=7.0),
    Case("one_by_one_1024", 4, 1024, training=False, one_by_one=True, target=2.0),
    Case("training_step_1024", 8, 1024, training=True, one_by_one=False, target=3.0),
)
TRAINED = ("pointnet2_ssg", "pointnet2_ssg_small")
TRAINING_POINTS = (256, 512, 1024)


def main(
    threads: int | None = None,
    repeats: int = 5,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure and print.

    Args:
        threads: for torch; None: as many as it takes by itself.
        repeats: turns of each contender.
        json_: print one JSON object.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    cases = [measure(case, repeats) for case in track(CASES, "against the textbook", console=console)]
    throughput = [
        training_throughput(name, points, bfloat16, repeats)
        for name in track(TRAINED, "training throughput", console=console)
        for points in TRAINING_POINTS
        for bfloat16 in (False, True)
    ]
    figures = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "cases": cases,
        "training": throughput,
    }
    if json_:
        json_format.dump(figures, sys.stdout)
        print()
    else:
        _print(figures)


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Milliseconds per cloud of both, their ratio, and how far the outputs are apart."""
    textbook, encoder = same_weights()
    points = cube(case.batch, case.points)
    contenders: dict[str, Callable[[], object]] = {
        "textbook": _work(textbook, textbook.embed, points, case),
        "ours": _work(encoder, encoder, points, case),
    }
    if not case.training:
        contenders["ours_bfloat16"] = _autocast(contenders["ours"])
    seconds = take_turns(contenders, repeats)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = [theirs / ours for theirs, ours in zip(seconds["textbook"], seconds["ours"], strict=True)]
    result: dict[str, Any] = {
        "name": case.name,
        "clouds": case.batch,
        "points": case.points,
        "ms_per_cloud": {name: 1e3 * value / case.batch for name, value in medians.items()},
        "ratio": medians["textbook"] / medians["ours"],
        "ratio_range": [min(ratios), max(ratios)],
        "target": case.target,
    }
    if not case.training:
        result["ratio_bfloat16_to_ours"] = medians["ours"] / medians["ours_bfloat16"]
        ratios = [full / low for full, low in zip(seconds["ours"], seconds["ours_bfloat16"], strict=True)]
        result["ratio_range_bfloat16_to_ours"] = [min(ratios), max(ratios)]
        with torch.no_grad():
            expected, found = textbook.eval().embed(points[:4]), encoder.eval()(points[:4])
            result["relative_error"] = float((found - expected).norm() / expected.norm())
            low = _autocast(lambda: encoder(points[:4]))()
            result["cosine_bfloat16"] = float(torch.cosine_similarity(low, found).min())
    return result


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
        load_pointnet2_ssg(carrier, {**textbook.state_dict(), **grads})
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


def training_throughput(name: str, points: int, bfloat16: bool, repeats: int) -> dict[str, Any]:
    """Clouds per second of forward and backward passes, batches of 32 with color."""
    torch.manual_seed(0)
    encoder, batch = create_encoder(name).train(), 32
    clouds, colors = cube(batch, points), torch.rand(batch, points, 3)

    def step() -> None:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            embedding = encoder(clouds, colors)
        embedding.square().sum().backward()

    (times,) = take_turns({"step": step}, max(2, repeats // 2)).values()
    return {
        "encoder": name,
        "points": points,
        "matrix_products": "bfloat16" if bfloat16 else "float32",
        "clouds_per_second": batch / statistics.median(times),
    }


def cube(batch: int, count: int) -> Tensor:
    """(batch, count, 3) points on the faces of a cube within the unit sphere."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(batch, count, 3, generator=generator) * 2 - 1
    axis = torch.randint(0, 3, (batch, count, 1), generator=generator)
    side = torch.randint(0, 2, (batch, count, 1), generator=generator) * 2.0 - 1
    return points.scatter(2, axis, side) / 3**0.5


def same_weights() -> tuple[TextbookPointNet2, PointEncoder]:
    torch.manual_seed(0)
    textbook = TextbookPointNet2().train()
    with torch.no_grad():
        textbook.embed(cube(8, 600))  # running statistics as after training
    encoder = create_encoder("pointnet2_ssg", feature_channels=0)
    load_pointnet2_ssg(encoder, textbook.state_dict())
    return textbook, encoder


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


def _print(figures: dict[str, Any]) -> None:
    console = Console()
    title = f"PointNet++ SSG, {figures['threads']} threads, torch {figures['torch']}, ms per cloud"
    table = Table(
        "case", "textbook", "ours", "ours bf16", "ratio", "spread", "target", "rel. error", title=title
    )
    for case in figures["cases"]:
        ms, (low, high) = case["ms_per_cloud"], case["ratio_range"]
        missed = "" if case["ratio"] >= case["target"] else " missed"
        table.add_row(
            case["name"],
            f"{ms['textbook']:.1f}",
            f"{ms['ours']:.1f}",
            f"{ms['ours_bfloat16']:.1f}" if "ours_bfloat16" in ms else "",
            f"{case['ratio']:.1f}x",
            f"{low:.1f} to {high:.1f}",
            f"{case['target']:.0f}x{missed}",
            f"{case['relative_error']:.0e}" if "relative_error" in case else "",
        )
    console.print(table)
    table = Table("encoder", "points", "products", "clouds/s", title="training, batch 32, forward + backward")
    for row in figures["training"]:
        table.add_row(
            row["encoder"], str(row["points"]), row["matrix_products"], f"{row['clouds_per_second']:.0f}"
        )
    console.print(table)


if __name__ == "__main__":
    tyro.cli(main)
