"""Exported models against torch: time per object, time to start, size, and what 8-bit weights cost.

    python -m benchmarks.export [MODEL] [--frames 120] [--json]

Objects are cut out of synthetic rooms and streets by exact truth and named among all categories of that world, so accuracies mean
something for ``mini-points`` only; cosines hold for every model. Times per object are of the processor, in one thread, the best of several rounds: other work on the machine hardly
matters.
"""

from __future__ import annotations

import json as json_format
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

import clip2
from clip2.export import export_onnx
from clip2.runtime import OnnxModel
from clip2.world.points.data import world_scan
from data_prep.world import list_categories

_FEWEST = 30  # points of an object that is named
_ROUNDS, _TIMED = 7, 64
_START = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def main(
    model: Annotated[str, tyro.conf.Positional] = "mini-points", frames: int = 120, json: bool = False
) -> None:
    """Measure and print.

    Args:
        model: a run folder, hf-hub:ORG/NAME or mini-points.
        frames: of synthetic rooms and streets together.
        json: print one JSON object.
    """
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        loaded = clip2.load(model)
        export_onnx(loaded, folder, int8=True)
        runners = {
            "torch": lambda *cloud: loaded.encode(*cloud).numpy(),
            "onnx": OnnxModel(folder, threads=1).encode,
            "onnx int8": OnnxModel(folder, threads=1, graph="encoder_int8").encode,
        }
        clouds, colors, labels = map(list, zip(*_objects(frames), strict=True))
        vectors = {name: run(clouds, colors) for name, run in runners.items()}
        figures: dict[str, Any] = {"objects": len(labels), "median points": int(median(map(len, clouds)))}
        names = list_categories()
        words = None if loaded.text is None else loaded.text_source().embed_labels(names)
        truth = np.array([names.index(label) for label in labels])
        times = _times(runners, clouds[:_TIMED], colors[:_TIMED])
        for name, found in vectors.items():
            cosine = (found * vectors["torch"]).sum(axis=1)
            figures[name] = {
                "ms per object": times[name],
                "largest difference": float(np.abs(found - vectors["torch"]).max()),
                "least cosine": float(cosine.min()),
                "mean cosine": float(cosine.mean()),
            }
            if words is not None:
                figures[name]["accuracy"] = float(((found @ words.T).argmax(axis=1) == truth).mean())
        figures["MB"] = {p.name: p.stat().st_size / 1e6 for p in sorted(Path(folder).iterdir())}
        figures["seconds to start"] = {
            "torch": _started(f"import clip2; clip2.load({model!r})"),
            "onnx": _started(f"from clip2.runtime import OnnxModel; OnnxModel({folder!r}, 1)"),
        }
    print(json_format.dumps(figures, indent=None if json else 2))


def _objects(frames: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.uint8] | None, str]]:
    """Points, colors and category of every object with enough points, in scenes that no training saw."""
    for setting in ("room", "street"):
        scan = world_scan(setting, frames // 2, seed=991)  # type: ignore[arg-type]
        known = set(list_categories())
        for index in range(len(scan)):
            frame, truth = scan[index], scan.ground_truth(index)
            for placed in scan.world_objects(index):
                own = np.flatnonzero(truth.instances == placed.instance)
                if len(own) >= _FEWEST and placed.label in known:
                    color = None if frame.colors is None else frame.colors[own]
                    yield frame.world_points()[own], color, placed.label


def _times(runners: dict[str, Callable[..., Any]], clouds: list, colors: list) -> dict[str, float]:
    """Milliseconds per object; the runners take turns, so that a busy machine is busy for all."""
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(_ROUNDS):
        for name, run in runners.items():
            started = time.process_time()
            run(clouds, colors)
            taken[name].append((time.process_time() - started) / len(clouds) * 1e3)
    return {name: min(values) for name, values in taken.items()}


def _started(code: str) -> float:
    runs = [
        subprocess.run(
            [sys.executable, "-c", _START.format(code)], capture_output=True, text=True, check=True
        )
        for _ in range(3)
    ]
    return min(float(run.stdout.split()[-1]) for run in runs)


if __name__ == "__main__":
    tyro.cli(main)
