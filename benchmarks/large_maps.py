"""Large and long-lived object maps: time to name all objects, memory of many objects, memory over an hour.

    python -m benchmarks.large_maps [--only relabel|many|hour] [--updates 36000] [--json]

*relabel*: 10,000 objects named by 1,000 labels with 512-wide vectors. *many*: 100,000 objects with full clouds of 512
points are asked by 5 labels. *hour*: 36,000 updates, as many as an hour at 10 Hz has, from small synthetic frames: a sensor
circles among 12 boxes, one of which comes and goes, and a detector invents one more in every frame. The slope is that of a
line through the process's resident memory over the last nine tenths.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.tables import emit
from clip2.mapping import MapObject, ObjectMap
from clip2.mapping.motion import ConstantVelocity
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.recognition import Instances3D
from clip2.teacher import TextBank
from data_prep.geometry import rigid
from data_prep.scans import Frame

_TEXT_MODEL, _WIDTH = "ViT-B-32/openai", 512
_READINGS = 72  # of the memory, evenly over all updates


def main(only: str = "", updates: int = 36_000, json: bool = False) -> int:
    """Measure and print.

    Args:
        only: relabel, many or hour; default: all.
        updates: of the hour.
        json: print one JSON object.
    """
    result: dict[str, dict[str, float]] = {}
    if only in "relabel":
        result["10,000 objects, 1,000 labels"] = _asked(10_000, 1_000, cloud=0)
    if only in "many":
        result["100,000 objects, 5 labels"] = _asked(100_000, 5, cloud=512)
    if only in "hour":
        result[f"{updates:,} updates"] = _hour(updates)
    return emit(result, json, _print)


def _model(labels: int) -> Clip2Model:
    vectors = np.random.default_rng(0).normal(size=(labels, _WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bank = TextBank(tuple(f"thing {k}" for k in range(labels)), vectors, _TEXT_MODEL)
    teacher = {"name": _TEXT_MODEL, "width": _WIDTH}
    config = {"encoder": {"name": "pointnet2_ssg_small"}, "teacher": teacher}
    return Clip2Model(ModelConfig.model_validate(config), bank).eval()


def _asked(objects: int, labels: int, cloud: int) -> dict[str, float]:
    """Milliseconds to name all objects of a map, as a whole and on the processor, and its memory."""
    rng = np.random.default_rng(1)
    object_map, before = ObjectMap(_model(labels)), _megabytes()
    for k in range(objects):
        place, embedding = rng.uniform(-500, 500, 3), rng.normal(size=_WIDTH).astype(np.float32)
        one = MapObject(
            id=k, cloud=rng.uniform(-0.5, 0.5, (cloud, 3)).astype(np.float32), origin=place, colors=np.zeros((cloud, 3), np.uint8),
            box=np.array([*place, 1, 1, 1, 0]), motion=ConstantVelocity(place, 0.1, 1.0), first_seen=0.0, last_seen=0.0,
            state="confirmed", looks=1, embedding=embedding / np.linalg.norm(embedding),
        )  # fmt: skip
        object_map._store.add(one)
    held = _megabytes() - before
    names = [f"thing {k}" for k in range(labels)]
    wall, processor = [], []
    for _ in range(9):
        began, used = time.perf_counter(), time.process_time()
        found = object_map.query(names)
        wall.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.process_time() - used))
    assert len(found) == objects
    return {
        "best ms": min(wall),
        "median ms": float(np.median(wall)),
        "processor ms": min(processor),
        "MB": held,
    }


def _hour(updates: int) -> dict[str, float]:
    """Growth of the process while a map takes frame after frame."""
    rng = np.random.default_rng(2)
    object_map, taken, most = ObjectMap(_model(5)), [], 0
    readings: list[tuple[int, float]] = []
    places = np.array([[4 * np.cos(a), 4 * np.sin(a), 0.5] for a in np.arange(12) * np.pi / 6])
    for number in range(updates):
        frame, detections = _frame(number, places, rng)
        began = time.process_time()
        object_map.update(frame, detections)
        taken.append(1e3 * (time.process_time() - began))
        most = max(most, len(object_map.objects))
        if number % max(1, updates // _READINGS) == 0 and number >= updates // 10:
            readings.append((number, _megabytes()))
    at, held = np.array(readings).T
    slope = float(np.polyfit(at, held, 1)[0]) * 36_000 if len(at) > 1 else 0.0
    return {
        "MB per hour": slope, "MB first": float(held[0]), "MB last": float(held[-1]), "confirmed": len(object_map),
        "most objects": most, "processor ms p50": float(np.median(taken)),
    }  # fmt: skip


def _frame(number: int, places: NDArray, rng: np.random.Generator) -> tuple[Frame, Instances3D]:
    """What a sensor on a circle sees of the boxes, a wall behind them, and something that is not there."""
    turn = number * 2 * np.pi / 300
    eye = np.array([1.5 * np.cos(turn), 1.5 * np.sin(turn), 1.0])
    there = places[1:] if number // 100 % 2 else places
    ghost = rng.uniform([-3, -3, 0.3], [3, 3, 1.0])
    shown = np.concatenate([there, ghost[None]])
    clouds = [center + rng.uniform(-0.2, 0.2, (40, 3)) for center in shown]
    around = rng.uniform(0, 2 * np.pi, 400)
    wall = np.column_stack([8 * np.cos(around), 8 * np.sin(around), rng.uniform(0, 2, 400)])
    world = np.concatenate([*clouds, wall])
    boxes = np.column_stack([shown, np.full((len(shown), 3), 0.4), np.zeros(len(shown))])
    detections = Instances3D(
        indices=tuple(np.arange(40 * k, 40 * (k + 1)) for k in range(len(shown))),
        boxes=boxes,
        rotations=np.tile(np.eye(3), (len(shown), 1, 1)),
        labels=tuple(f"thing {k % 5}" for k in range(len(shown))),
        scores=np.full(len(shown), 0.8, np.float32),
        embeddings=np.zeros((len(shown), 0), np.float32),
    )
    pose = rigid(translation=eye)
    return Frame(
        str(number), (world - eye).astype(np.float32), T_world_points=pose, timestamp=number / 10
    ), detections


def _megabytes() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _print(result: dict[str, Any]) -> None:
    console = Console(width=130)
    for name, figures in result.items():
        table = Table(*figures, title=name, title_justify="left")
        table.add_row(*(f"{value:,.1f}" for value in figures.values()))
        console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
