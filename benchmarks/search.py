"""Recall, latency and size of an index of objects.

    python -m benchmarks.search --rows 20000                                # quick, synthetic labels
    python -m benchmarks.search --rows 1000000 --data ../shared/data        # as in docs/search.md

Each object is a label's vector plus noise of the same length, as unit vectors: cosine 0.7 to its label. The labels are 1,592 real
CLIP vectors of ``DATA/clip/vit_b32_text_bank.npz``, or random ones without DATA. Half of the queries are labels, half are objects. Recall
is that of the ten nearest, against comparing with every vector.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.tables import emit
from clip2.search import Index, StoredObject

SPACE, WIDTH, BLOCK = "ViT-B-32/openai", 512, 20_000


def main(
    rows: int = 20_000,
    queries: int = 100,
    data: Path | None = None,
    folder: Path | None = None,
    json: bool = False,
) -> int:
    """Measure and print.

    Args:
        rows: objects in the index.
        queries: half labels, half objects.
        data: folder with clip/vit_b32_text_bank.npz.
        folder: to build the index in; default: a temporary one.
        json: print one JSON object.
    """
    labels = _labels(data)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        result = _measure(place / "db", labels, rows, queries)
    finally:
        shutil.rmtree(place)
    return emit({"labels": "real" if data else "random", **result}, json, show)


def _labels(data: Path | None) -> NDArray[np.float32]:
    if data is None:
        return _unit(np.random.default_rng(0).normal(size=(1600, WIDTH)))
    with np.load(data / "clip" / "vit_b32_text_bank.npz", allow_pickle=False) as bank:
        return _unit(bank["embeddings"])


def _blocks(labels: NDArray[np.float32], rows: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, rows, BLOCK):
        yield _around(labels, min(BLOCK, rows - start), np.random.default_rng(start + 1))


def _around(labels: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Objects: labels with noise of the same length."""
    noise = rng.normal(size=(count, WIDTH)) / np.sqrt(WIDTH)
    return _unit(labels[rng.integers(len(labels), size=count)] + noise)


def _unit(rows: NDArray) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _measure(path: Path, labels: NDArray[np.float32], rows: int, queries: int) -> dict[str, Any]:
    index = Index(path)
    rng = np.random.default_rng(99)
    half = queries // 2
    # Noise of their own: with the noise of a stored object they would have neighbors of two kinds in distant partitions.
    new = _around(labels, queries - half, np.random.default_rng(2**32 + 1))
    asked = np.concatenate([labels[rng.integers(len(labels), size=half)], new])
    best = np.full((len(asked), 10), -2.0, np.float32)
    numbers = np.zeros((len(asked), 10), np.int64)
    began, number = time.perf_counter(), 0
    for block in _blocks(labels, rows):
        cosines = np.concatenate([best, asked @ block.T], axis=1)
        ids = np.concatenate(
            [numbers, np.tile(np.arange(number, number + len(block)), (len(asked), 1))], axis=1
        )
        top = np.argsort(-cosines, axis=1)[:, :10]
        best, numbers = np.take_along_axis(cosines, top, 1), np.take_along_axis(ids, top, 1)
        index.add(_objects(block, number), SPACE, optimize=False)
        number += len(block)
    added = time.perf_counter()
    index.optimize()
    built = time.perf_counter()
    index.search(asked[0], SPACE)
    seconds, recalls = [], []
    for vector, exact in zip(asked, numbers, strict=True):
        start = time.perf_counter()
        hits = index.search(vector, SPACE, k=10)
        seconds.append(time.perf_counter() - start)
        recalls.append(len({hit.object.number for hit in hits} & set(exact.tolist())) / 10)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "rows": rows,
        "recall_at_10_labels": round(float(np.mean(recalls[:half])), 4),
        "recall_at_10_objects": round(float(np.mean(recalls[half:])), 4),
        "p50_ms": round(1e3 * float(np.median(seconds)), 1),
        "p95_ms": round(1e3 * float(np.percentile(seconds, 95)), 1),
        "add_seconds": round(added - began, 1),
        "index_seconds": round(built - added, 1),
        "bytes_per_object": round(size / rows),
    }


def _objects(block: NDArray[np.float32], first: int) -> Iterator[StoredObject]:
    for i, vector in enumerate(block):
        # Far from each other: none is another sighting of a neighbor.
        box = np.array([10.0 * (first + i), 0, 0, 1, 1, 1, 0])
        yield StoredObject(vector, box, "object", scan="benchmark", number=first + i)


def show(result: dict[str, Any]) -> None:
    """Print one figure per line."""
    for name, value in result.items():
        print(f"{name:<22}{value:,}" if isinstance(value, int) else f"{name:<22}{value}")


if __name__ == "__main__":
    sys.exit(tyro.cli(main, prog="python -m benchmarks.search", description=__doc__))
