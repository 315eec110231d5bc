"""Recall, latency and size of an index of objects.

    python -m benchmarks.search --rows 20000                                # quick, synthetic labels
    python -m benchmarks.search --rows 1000000 --data ../shared/data --objects mixes   # as in docs/search.md

Three sets of objects, so that the index's settings can be chosen on some and measured on another:

- ``around``: a label's vector plus noise of the same length in all directions: cosine 0.7 to its label.
- ``mixes``: two image vectors mixed, plus noise of half their length that varies as labels do: no clusters.
- ``clusters``: 300 clusters of objects that share a common direction, as image vectors do, with noise of half to twice the cluster's own part.

Labels are the 1,592 CLIP vectors of ``DATA/clip/vit_b32_text_bank.npz``, images the 328 of ``coco_val2014_328_image_vectors.npz``; without DATA
both are random. Half of the queries are labels, half are new objects. Recall is that of the ten nearest, against comparing with every
vector.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

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
    objects: Literal["around", "mixes", "clusters"] = "around",
    seed: int = 0,
    folder: Path | None = None,
    json: bool = False,
) -> int:
    """Measure and print.

    Args:
        rows: objects in the index.
        queries: half labels, half objects.
        data: folder with clip/vit_b32_text_bank.npz and clip/coco_val2014_328_image_vectors.npz.
        objects: how they are generated.
        seed: of objects and queries.
        folder: to build the index in; default: a temporary one.
        json: print one JSON object.
    """
    source = {"around": Around, "mixes": Mixes, "clusters": Clusters}[objects](data)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        result = _measure(place / "db", source, rows, queries, seed)
    finally:
        shutil.rmtree(place)
    return emit(
        {"vectors": "real" if data else "random", "objects": objects, "seed": seed, **result}, json, show
    )


class Around:
    """Objects around labels.

    Args:
        data: folder with the label vectors; None: random ones.

    Attributes:
        labels: (K, 512) unit rows.
    """

    def __init__(self, data: Path | None) -> None:
        self.labels = _vectors(data, "vit_b32_text_bank.npz", 1600)

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count, 512) unit rows."""
        noise = rng.normal(size=(count, WIDTH)) / np.sqrt(WIDTH)
        return _unit(self.labels[rng.integers(len(self.labels), size=count)] + noise)


class Mixes(Around):
    """Objects between images, with noise along the axes in which labels differ."""

    def __init__(self, data: Path | None) -> None:
        super().__init__(data)
        self._images = _vectors(data, "coco_val2014_328_image_vectors.npz", 328)
        _, spread, self._axes = np.linalg.svd(self.labels - self.labels.mean(axis=0), full_matrices=False)
        self._spread = spread / np.linalg.norm(spread)

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count, 512) unit rows."""
        one, other = self._images[rng.integers(len(self._images), size=(2, count))]
        share = rng.random((count, 1))
        noise = 0.5 * (rng.normal(size=(count, len(self._spread))) * self._spread) @ self._axes
        return _unit(share * one + (1 - share) * other + noise)


class Clusters(Around):
    """Clusters of objects around a common direction, of unequal width, along the axes in which images differ."""

    def __init__(self, data: Path | None, count: int = 300) -> None:
        super().__init__(data)
        images = _vectors(data, "coco_val2014_328_image_vectors.npz", 328)
        self._mean = images.mean(axis=0)
        _, spread, axes = np.linalg.svd(images - self._mean, full_matrices=False)
        self._axes = axes * (spread / np.sqrt(len(images)))[:, None]
        rng = np.random.default_rng(count)
        self._centers = rng.normal(size=(count, len(axes))) @ self._axes
        self._widths = rng.uniform(0.5, 2.0, size=(count, 1))

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count, 512) unit rows."""
        one = rng.integers(len(self._centers), size=count)
        noise = self._widths[one] * (rng.normal(size=(count, len(self._axes))) @ self._axes)
        return _unit(self._mean + self._centers[one] + noise)


def _vectors(data: Path | None, name: str, count: int) -> NDArray[np.float32]:
    if data is None:
        return _unit(np.random.default_rng(count).normal(size=(count, WIDTH)))
    with np.load(data / "clip" / name, allow_pickle=False) as bank:
        return _unit(bank["embeddings"])


def _unit(rows: NDArray) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _measure(path: Path, source: Around, rows: int, queries: int, seed: int) -> dict[str, Any]:
    index = Index(path)
    seed <<= 40  # far from the numbers that tell blocks apart
    rng = np.random.default_rng(seed + 99)
    half = queries // 2
    # Noise of their own: with the noise of a stored object they would have neighbors of two kinds in distant partitions.
    new = source(queries - half, np.random.default_rng(seed + 2**32 + 1))
    asked = np.concatenate([source.labels[rng.integers(len(source.labels), size=half)], new])
    best = np.full((len(asked), 10), -2.0, np.float32)
    numbers = np.zeros((len(asked), 10), np.int64)
    began, number = time.perf_counter(), 0
    for first in range(0, rows, BLOCK):
        block = source(min(BLOCK, rows - first), np.random.default_rng(seed + first + 1))
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
    seconds, recalls, worked = [], [], time.process_time()
    for vector, exact in zip(asked, numbers, strict=True):
        start = time.perf_counter()
        hits = index.search(vector, SPACE, k=10)
        seconds.append(time.perf_counter() - start)
        recalls.append(len({hit.object.number for hit in hits} & set(exact.tolist())) / 10)
    worked = time.process_time() - worked
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "rows": rows,
        "recall_at_10_labels": round(float(np.mean(recalls[:half])), 4),
        "recall_at_10_objects": round(float(np.mean(recalls[half:])), 4),
        "p50_ms": round(1e3 * float(np.median(seconds)), 1),
        "p95_ms": round(1e3 * float(np.percentile(seconds, 95)), 1),
        "cpu_ms": round(1e3 * worked / len(asked), 1),
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
