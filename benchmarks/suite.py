"""Every benchmark by name, each as rows of one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import Curve, Row, take_turns
from benchmarks.targets import TARGETS

# Multiplications and additions of PointNet++ SSG per object, whatever its points: 512 x 32, 128 x 64 and 128 neighbours
# through their three layers each.
SSG_GFLOP = 2e-9 * (
    512 * 32 * (3 * 64 + 64 * 64 + 64 * 128)
    + 128 * 64 * (131 * 128 + 128 * 128 + 128 * 256)
    + 128 * (259 * 256 + 256 * 512 + 512 * 1024)
)


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
        repeats: turns of each contender.
        quick: small sizes and few turns, to see whether everything runs.
        data: folder with real scans, or None.
    """

    repeats: int = 5
    quick: bool = False
    data: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """One name of the command line.

    Attributes:
        about: what it measures, in a few words.
        measure: gives rows and curves.
        default: runs when no name is given.
        needs_data: real scans; without them its rows say so.
    """

    about: str
    measure: Callable[[Settings], tuple[list[Row], list[Curve]]]
    default: bool = True
    needs_data: bool = False


def run(name: str, settings: Settings) -> tuple[list[Row], list[Curve]]:
    """Rows and curves of one benchmark; one that needs data that are not there says so."""
    benchmark = BENCHMARKS[name]
    if benchmark.needs_data and settings.data is None:
        return [Row(name, benchmark.about, note="not measured: no --data FOLDER given")], []
    return benchmark.measure(settings)


def _ops(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import ops_speed

    rows = []
    for name, make in ops_speed.CASES.items():
        if settings.quick and name not in ("fps_4096", "segment_sum"):
            continue
        figures = ops_speed.measure(make(), 2 if settings.quick else settings.repeats)
        rows += ops_rows(figures)
    return rows, []


def ops_rows(figures: dict[str, Any]) -> list[Row]:
    """Rows of one case of ``ops_speed``."""
    case, ours = figures["name"], figures["ms"]
    found = [
        Row(
            "ops",
            case,
            rival,
            "ms",
            ours,
            row["ms"],
            row["ratio"],
            (row["ratio_range"][0], row["ratio_range"][1]),
            TARGETS.get(("ops", case, rival)),
        )
        for rival, row in figures["against"].items()
    ]
    for line in figures["missing"]:
        rival, _, why = line.partition(": ")
        found.append(
            Row(
                "ops",
                case,
                rival,
                "ms",
                ours,
                target=TARGETS.get(("ops", case, rival)),
                note=f"not measured: {why}",
            )
        )
    return found


def _encoder(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import encoder_speed

    cases = encoder_speed.CASES[:1] if settings.quick else encoder_speed.CASES
    found = [encoder_speed.measure(case, 1 if settings.quick else settings.repeats) for case in cases]
    return encoder_rows(found) + [_gflops(settings)], []


def encoder_rows(found: list[dict[str, Any]]) -> list[Row]:
    """Rows of what ``encoder_speed.measure`` says."""
    rows = []
    for figures in found:
        case, ms = figures["name"], figures["ms_per_cloud"]
        low, high = figures["ratio_range"]
        rows.append(
            Row(
                "encoder",
                case,
                "textbook",
                "ms/object",
                ms["ours"],
                ms["textbook"],
                figures["ratio"],
                (low, high),
                TARGETS.get(("encoder", case, "textbook")),
            )
        )
        if "ours_bfloat16" in ms:
            rival = "ours in float32"
            rows.append(
                Row(
                    "encoder",
                    case,
                    rival,
                    "ms/object",
                    ms["ours_bfloat16"],
                    ms["ours"],
                    figures["ratio_bfloat16_to_ours"],
                    None,
                    TARGETS.get(("encoder", case, rival)),
                    "ours with bf16 products",
                )
            )
    for case, key, worst in (
        ("largest relative error", "relative_error", max),
        ("smallest cosine of bf16", "cosine_bfloat16", min),
    ):
        values = [figures[key] for figures in found if key in figures]
        if values:
            rows.append(
                Row("encoder", case, unit="", ours=worst(values), target=TARGETS["encoder", case, ""])
            )
    return rows


def _gflops(settings: Settings) -> Row:
    import torch

    from benchmarks.encoder_speed import cube, same_weights

    encoder = same_weights()[1].eval()
    points, square = cube(16, 1024), torch.rand(1024, 1024)
    with torch.no_grad():
        work = {"ours": lambda: encoder(points), "product": lambda: square @ square}
        seconds = take_turns(work, 2 if settings.quick else settings.repeats)
    ours = SSG_GFLOP * len(points) / median(seconds["ours"])
    plain = 2e-9 * len(square) ** 3 / median(seconds["product"])
    case, rival = "GFLOP/s", "plain matrix product"
    target = TARGETS["encoder", case, rival]
    note = f"16 x 1024 points, {SSG_GFLOP:.2f} GFLOP per object, sampling and neighbours included; 1024² products"
    return Row("encoder", case, rival, "GFLOP/s", ours, plain, ours / plain, None, target, note)


def _lift(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import lift_speed

    repeats = 2 if settings.quick else settings.repeats
    rows = lift_rows("30 boxes in 307k points", lift_speed.time_boxes(repeats))
    for count in (10_000,) if settings.quick else (10_000, 50_000):
        rows += lift_rows(f"{count} points in 4 blobs", lift_speed.time_clusters(count, repeats))
    return rows, []


def lift_rows(case: str, figures: dict[str, Any]) -> list[Row]:
    """Rows of one case of ``lift_speed``, which gives medians alone."""
    ms = figures["milliseconds"]
    note = "identical results" if figures["identical"] else "RESULTS DIFFER"
    return [
        Row(
            "lift",
            case,
            rival,
            "ms",
            ms["ours"],
            value,
            value / ms["ours"],
            None,
            TARGETS.get(("lift", case, rival)),
            note,
        )
        for rival, value in ms.items()
        if rival != "ours"
    ]


def _of(module: str) -> Callable[[Settings], tuple[list[Row], list[Curve]]]:
    """One that gives rows by itself."""

    def measure(settings: Settings) -> tuple[list[Row], list[Curve]]:
        from importlib import import_module

        return import_module(f"benchmarks.{module}").measure(settings.repeats, settings.quick), []

    return measure


def _recognition(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import recognition_speed

    return recognition_speed.measure(settings.repeats, settings.quick, settings.data), []


def _curves(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import curves

    return curves.measure(settings.repeats, settings.quick)


def _lift_quality(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import lift_quality

    assert settings.data is not None
    rows = []
    for name, kinds in lift_quality.measure(settings.data).items():
        for kind in ("boxes", "detector"):
            figures = kinds.get(kind, {})
            ours = figures.get("clip2", {}).get("mean_iou")
            for rival, other in figures.items():
                if rival == "clip2" or ours is None or other["mean_iou"] is None:
                    continue
                case = f"{name}, {'exact boxes' if kind == 'boxes' else 'real boxes'}: mean IoU"
                theirs = other["mean_iou"]
                rows.append(Row("lift_quality", case, rival, "", ours, theirs, ours / theirs))
    return rows, []


def _proposals(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import proposals

    found: dict[str, dict[str, Any]] = proposals.measure(settings.data)
    rows = [
        Row(
            "proposals",
            f"{group}: recall at IoU 0.5",
            unit="",
            ours=figures["recall_50"],
            note=f"{figures['objects']} objects",
        )
        for group, figures in found.items()
        if "recall_50" in figures
    ]
    return rows, []


def _unknown(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import unknown

    assert settings.data is not None
    rows = []
    for group, ways in unknown.measure(settings.data).items():
        off = ways["off"]["nonsense"]
        for way, figures in ways.items():
            if way != "off":
                case = f"{group}: definite names that are wrong"
                share = figures["nonsense"] / off if off else None
                rows.append(Row("unknown", case, "without unknown", "", figures["nonsense"], off, share))
    return rows, []


_OURS = "association"  # what it calls itself among its contenders


def _association(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from benchmarks import association

    rows = []
    for case, found in association.measure(settings.data, 12 if settings.quick else 60).items():
        ours = found[_OURS]
        for rival, theirs in found.items():
            for figure in ("purity", "completeness"):
                if rival != _OURS:
                    a, b = ours[figure], theirs[figure]
                    rows.append(
                        Row("association", f"{case}: {figure}", rival, "", a, b, a / b if b else None)
                    )
    return rows, []


def _modelnet10(settings: Settings) -> tuple[list[Row], list[Curve]]:
    from tempfile import TemporaryDirectory

    from benchmarks import modelnet10

    assert settings.data is not None
    grids, bank = settings.data / "objects/modelnet10.npz", settings.data / "clip/vit_b32_text_bank.npz"
    config = Path("configs/train/modelnet10.yaml")
    with TemporaryDirectory() as folder:
        found = modelnet10.run(grids, bank, "ViT-B-32/openai", config, 0, Path(folder))
    note = f"{found['test_shapes']} shapes, {found['train_seconds']:.0f} s of training"
    return [Row("modelnet10", "ten-way top-1 by text", unit="", ours=found["top1"], note=note)], []


BENCHMARKS: dict[str, Benchmark] = {
    "ops": Benchmark("point operations beside open3d, fpsample, torch-cluster, scipy, torch-scatter", _ops),
    "encoder": Benchmark("PointNet++ beside the textbook's, same weights", _encoder),
    "memory": Benchmark("what an encoder and a scan take", _of("memory")),
    "lift": Benchmark("finding a box's points, and clustering them", _lift),
    "zero_shot": Benchmark("naming over cached words", _of("zero_shot_speed")),
    "loader": Benchmark("reading training objects", _of("loader_speed")),
    "recognition": Benchmark("a whole sweep, step by step", _recognition),
    "gpu": Benchmark("encoders, operations and training steps on a CUDA device", _of("gpu")),
    "curves": Benchmark("time and memory by size and threads, as pictures", _curves),
    "lift_quality": Benchmark(
        "lifted points against labelled boxes", _lift_quality, default=False, needs_data=True
    ),
    "proposals": Benchmark("objects that class-agnostic proposals find", _proposals, default=False),
    "unknown": Benchmark(
        "confident nonsense, with and without unknown", _unknown, default=False, needs_data=True
    ),
    "association": Benchmark("detections of many frames brought together", _association, default=False),
    "modelnet10": Benchmark(
        "shapes named by text, after minutes of training", _modelnet10, default=False, needs_data=True
    ),
}
