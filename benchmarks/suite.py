"""Every benchmark by name, each as rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import Curve, Row, take_turns
from benchmarks.targets import TARGETS

# Multiplications and additions of PointNet++ SSG per object, whatever its points: 512 x 32, 128 x 64 and 128 neighbors
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
        measure: gives rows and curves, each as soon as it is there, so that nothing is lost if what follows fails.
        default: runs when no name is given.
        needs_data: real scans; without them its rows say so.
        takes_data: measures more, or something more real, where there are real scans.
    """

    about: str
    measure: Callable[[Settings], Iterable[Row | Curve]]
    default: bool = True
    needs_data: bool = False
    takes_data: bool = False


def run(name: str, settings: Settings) -> Iterator[Row | Curve]:
    """Rows and curves of one benchmark; one that needs data that are not there says so."""
    benchmark = BENCHMARKS[name]
    if benchmark.needs_data and settings.data is None:
        yield Row(name, benchmark.about, note="not measured: no --data FOLDER given")
        return
    yield from benchmark.measure(settings)


def _ops(settings: Settings) -> Iterator[Row]:
    from benchmarks import ops_speed

    for make in ops_speed.CASES.values():
        yield from ops_rows(ops_speed.measure(make(), 1 if settings.quick else settings.repeats))


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
            _range(row["ratio_range"]),
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


def _encoder(settings: Settings) -> Iterator[Row]:
    from benchmarks import encoder_speed

    found = []
    for case in encoder_speed.CASES:
        small = replace(case, batch=2) if settings.quick else case
        found.append(encoder_speed.measure(small, 1 if settings.quick else settings.repeats))
        yield from encoder_rows(found[-1])
    yield from worst_rows(found)
    yield gradient_row(encoder_speed.gradient_errors())
    yield _gflops(settings)


def encoder_rows(figures: dict[str, Any]) -> list[Row]:
    """Rows of one case of ``encoder_speed``."""
    case, ms, rival = figures["name"], figures["ms_per_cloud"], "ours in float32"
    rows = [
        Row(
            "encoder",
            case,
            "textbook",
            "ms/object",
            ms["ours"],
            ms["textbook"],
            figures["ratio"],
            _range(figures["ratio_range"]),
            TARGETS.get(("encoder", case, "textbook")),
        )
    ]
    if "ours_bfloat16" in ms:
        rows.append(
            Row(
                "encoder",
                case,
                rival,
                "ms/object",
                ms["ours_bfloat16"],
                ms["ours"],
                figures["ratio_bfloat16_to_ours"],
                _range(figures["ratio_range_bfloat16_to_ours"]),
                TARGETS.get(("encoder", case, rival)),
                "ours with bf16 products",
            )
        )
    return rows


def worst_rows(found: list[dict[str, Any]]) -> list[Row]:
    """How far outputs are apart at worst, in all cases of ``encoder_speed``."""
    return [
        Row(
            "encoder",
            case,
            unit="",
            ours=worst(figures[key] for figures in found if key in figures),
            target=TARGETS["encoder", case, ""],
        )
        for case, key, worst in (
            ("largest relative error", "relative_error", max),
            ("smallest cosine of bf16", "cosine_bfloat16", min),
        )
    ]


def gradient_row(errors: dict[str, float]) -> Row:
    """How far the gradients of a training step are apart."""
    case = "relative error of a training step's gradients"
    note = (
        "ours from the textbook's, in float64; in float32, where near ties of a maximum fall either way, ours are "
        f"{errors['ours in float32']:.1e} from that and the textbook's {errors['textbook in float32']:.1e}"
    )
    return Row(
        "encoder", case, unit="", ours=errors["float64"], target=TARGETS["encoder", case, ""], note=note
    )


def _gflops(settings: Settings) -> Row:
    import torch

    from benchmarks.encoder_speed import cube, same_weights

    encoder = same_weights()[1].eval()
    points, square = cube(16, 1024), torch.rand(1024, 1024)
    with torch.no_grad():
        work = {"ours": lambda: encoder(points), "product": lambda: square @ square}
        seconds = take_turns(work, 2 if settings.quick else settings.repeats)
    ours, plain = SSG_GFLOP * len(points), 2e-9 * len(square) ** 3
    ratios = [ours / a / (plain / b) for a, b in zip(seconds["ours"], seconds["product"], strict=True)]
    ours, plain = ours / median(seconds["ours"]), plain / median(seconds["product"])
    case, rival = "GFLOP/s", "plain matrix product"
    target, spread = TARGETS["encoder", case, rival], (min(ratios), max(ratios))
    note = (
        f"16 x 1024 points, sampling and neighbors included; nominal {SSG_GFLOP:.2f} GFLOP per object, as the textbook "
        "computes them; 1024² products"
    )
    return Row("encoder", case, rival, "GFLOP/s", ours, plain, ours / plain, spread, target, note)


def _lift(settings: Settings) -> Iterator[Row]:
    from benchmarks import lift_speed

    repeats = 1 if settings.quick else settings.repeats
    yield from lift_rows("30 boxes in 307k points", lift_speed.time_boxes(repeats))
    for count in (10_000,) if settings.quick else (10_000, 50_000):
        yield from lift_rows(f"{count} points in 4 blobs", lift_speed.time_clusters(count, repeats))


def lift_rows(case: str, figures: dict[str, Any]) -> list[Row]:
    """Rows of one case of ``lift_speed``."""
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
            _range(figures["ratio_range"][rival]),
            TARGETS.get(("lift", case, rival)),
            note,
        )
        for rival, value in ms.items()
        if rival != "ours"
    ]


def _of(module: str) -> Callable[[Settings], Iterator[Row | Curve]]:
    """One that gives rows by itself."""

    def measure(settings: Settings) -> Iterator[Row | Curve]:
        yield from import_module(f"benchmarks.{module}").measure(settings.repeats, settings.quick)

    return measure


def _recognition(settings: Settings) -> Iterator[Row]:
    from benchmarks import recognition_speed

    yield from recognition_speed.measure(settings.repeats, settings.quick, settings.data)


def _judged(name: str) -> Callable[[Settings], Iterator[Row]]:
    """One of those that are run by name only."""

    def measure(settings: Settings) -> Iterator[Row]:
        yield from getattr(import_module("benchmarks.by_name"), name)(settings.data, settings.quick)

    return measure


def _range(low_and_high: Iterable[float]) -> tuple[float, float]:
    low, high = low_and_high
    return low, high


BENCHMARKS: dict[str, Benchmark] = {
    "ops": Benchmark("point operations beside open3d, fpsample, torch-cluster, scipy, torch-scatter", _ops),
    "encoder": Benchmark("PointNet++ beside the textbook's, same weights", _encoder),
    "memory": Benchmark("what an encoder and a scan take", _of("memory")),
    "lift": Benchmark("finding a box's points, and clustering them", _lift),
    "zero_shot": Benchmark("naming over cached words", _of("zero_shot_speed")),
    "loader": Benchmark("reading training objects", _of("loader_speed")),
    "recognition": Benchmark("a whole sweep, step by step", _recognition, takes_data=True),
    "gpu": Benchmark("encoders, operations and training steps on a CUDA device", _of("gpu")),
    "curves": Benchmark("time and memory by size and threads, as pictures", _of("curves")),
    "mining": Benchmark(
        "what mining costs, and whether memory stays flat", _judged("mining"), default=False, takes_data=True
    ),
    "word_filter": Benchmark(
        "wrong words of an erring detector that the teacher finds", _judged("word_filter"), default=False
    ),
    "lift_quality": Benchmark(
        "lifted points against labeled boxes", _judged("lift_quality"), default=False, needs_data=True
    ),
    "proposals": Benchmark(
        "objects that class-agnostic proposals find", _judged("proposals"), default=False, takes_data=True
    ),
    "unknown": Benchmark(
        "confident nonsense, with and without unknown", _judged("unknown"), default=False, needs_data=True
    ),
    "association": Benchmark(
        "detections of many frames brought together", _judged("association"), default=False, takes_data=True
    ),
    "modelnet10": Benchmark(
        "shapes named by text, after minutes of training",
        _judged("modelnet10"),
        default=False,
        needs_data=True,
    ),
}
