"""Registry of all benchmarks by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from benchmarks.record import Curve, Row, Settings


@dataclass(frozen=True)
class Benchmark:
    """One name of the command line.

    Attributes:
        about: what it measures, in a few words.
        measure: ``module:function`` in this package; the function takes Settings and yields rows and curves as soon
            as each is measured, so that nothing is lost if a later one fails.
        default: runs when no name is given. The others take long or measure quality.
        needs_data: real scans; without them its rows say so.
        takes_data: measures real scans if there are any.
    """

    about: str
    measure: str
    default: bool = True
    needs_data: bool = False
    takes_data: bool = False


def run(name: str, settings: Settings) -> Iterator[Row | Curve]:
    """Rows and curves of one benchmark, or one row that says which data are missing."""
    benchmark = BENCHMARKS[name]
    if benchmark.needs_data and settings.data is None:
        yield Row(name, benchmark.about, note="not measured: no --data FOLDER given")
        return
    module, _, function = benchmark.measure.partition(":")
    yield from getattr(import_module(f"benchmarks.{module}"), function)(settings)


BENCHMARKS: dict[str, Benchmark] = {
    "ops": Benchmark(
        "point operations beside open3d, fpsample, torch-cluster, scipy, torch-scatter", "ops_speed:rows"
    ),
    "encoder": Benchmark("PointNet++ beside the textbook's, same weights", "encoder_speed:rows"),
    "memory": Benchmark("what an encoder and a scan take", "memory:rows"),
    "lift": Benchmark("finding a box's points, clustering them, and whole frames", "lift_speed:rows"),
    "zero_shot": Benchmark("naming over cached text vectors", "recognition_speed:zero_shot_rows"),
    "loader": Benchmark("reading training objects", "loader_speed:rows"),
    "recognition": Benchmark("a whole sweep, step by step", "recognition_speed:rows", takes_data=True),
    "gpu": Benchmark("encoders, operations and training steps on a CUDA device", "gpu:rows"),
    "curves": Benchmark("time and memory by size and threads, as pictures", "encoder_speed:curves"),
    "training": Benchmark(
        "objects per second of training steps: SSG, PointNeXt-S, Uni3D-Ti; on a GPU if there is one",
        "encoder_speed:training",
        default=False,
    ),
    "pretrained": Benchmark(
        "public point encoders on one and two cores, float32 and bf16", "pretrained:rows", default=False
    ),
    "mining": Benchmark(
        "what mining costs, and whether memory stays flat",
        "mining_speed:rows",
        default=False,
        takes_data=True,
    ),
    "word_filter": Benchmark(
        "wrong labels of an erring detector that the teacher finds",
        "association:word_filter_rows",
        default=False,
    ),
    "lift_quality": Benchmark(
        "lifted points against labeled boxes", "lift_quality:rows", default=False, needs_data=True
    ),
    "boxes": Benchmark("3D boxes against labeled ones", "boxes:rows", default=False, takes_data=True),
    "proposals": Benchmark(
        "objects that class-agnostic proposals find", "proposals:rows", default=False, takes_data=True
    ),
    "unknown": Benchmark(
        "confident nonsense, with and without unknown", "unknown:rows", default=False, needs_data=True
    ),
    "association": Benchmark(
        "detections of many frames brought together", "association:rows", default=False, takes_data=True
    ),
    "modelnet10": Benchmark(
        "shapes named by text, after minutes of training", "modelnet10:rows", default=False, needs_data=True
    ),
}
