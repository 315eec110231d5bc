"""Speed of reading training objects: mapped float16 files against a pickled ``.npy`` per object.

The contender is the layout that public 3D-text training sets come in: one file per object with a pickled dict of float32
arrays (points, colors in 0..1, the vectors of its picture and of each of its labels). Both give (1024, 3) float32 points, their
colors, and the picture's vector, of the same objects in the same random order; both read from the page cache, on one thread.

- *mined objects*: 100 to 4096 points each, every number of points equally likely on a logarithmic scale; one picture and three labels.
- *dense shapes*: 10,000 colored points each, one picture and three labels.

Bytes are those of the files: points, colors, the picture's vectors and the labels' vectors. Our format stores each label's vector
once per 2000 objects.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.record import Row, Settings, row, take_turns
from clip2.teacher import TextBank, embed_triplets
from clip2.training.clouds import CloudTensors
from clip2.training.point_cache import open_point_cache
from data_prep.triplets import Provenance, Triplet, open_triplets, write_triplets

BATCH, SHOWN, WIDTH, VOCABULARY, WORDS_EACH = 64, 1024, 512, 1156, 3


@dataclass(frozen=True)
class Case:
    """So many objects with so many points."""

    name: str
    objects: int
    low: int
    high: int


CASES = (Case("mined objects", 800, 100, 4096), Case("dense shapes", 128, 10_000, 10_000))
# Label vectors are stored once per set. An object's share of them is computed for a set of this size.
SET = 2000


def rows(settings: Settings) -> Iterator[Row]:
    """Samples per second and bytes of both."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                count = case.objects // 4 if settings.quick else case.objects
                yield from measure(case, count, Path(folder), settings.repeats)
    finally:
        torch.set_num_threads(before)


def measure(case: Case, count: int, folder: Path, repeats: int) -> list[Row]:
    """Rows of one case with ``count`` objects, written to ``folder``."""
    rng = np.random.default_rng(0)
    pictures = _unit(rng.normal(size=(count, WIDTH)))
    labels = _unit(rng.normal(size=(VOCABULARY, WIDTH)))
    own = rng.integers(0, VOCABULARY, (count, WORDS_EACH))
    names = tuple(f"word {row}" for row in range(VOCABULARY))
    (folder / "pickled").mkdir()
    write_triplets(folder / "ours", _objects(case, count, own, names), source="benchmark")
    for i, triplet in enumerate(_objects(case, count, own, names)):
        record = {
            "xyz": triplet.points,
            "rgb": (triplet.colors / np.float32(255)).astype(np.float32)
            if triplet.colors is not None
            else None,
            "image_feat": pictures[i],
            "text_feat": [labels[row] for row in own[i]],
            "text": list(triplet.texts),
        }
        np.save(folder / "pickled" / f"{i}.npy", np.array(record, dtype=object), allow_pickle=True)
    embed_triplets(folder / "ours", bank=TextBank(names, labels, "ViT-B-32/openai"))
    stored = open_point_cache(open_triplets(folder / "ours"), max(4096, case.high))
    tensors = CloudTensors(stored.clouds, torch.device("cpu"))
    small = torch.from_numpy(pictures.astype(np.float16))
    order = rng.permutation(count)

    def ours() -> None:
        for start in range(0, count, BATCH):
            rows = torch.from_numpy(order[start : start + BATCH])
            sizes = tensors.count[rows][:, None]
            place = (torch.rand(len(rows), SHOWN) * sizes).long()
            tensors.draw(rows, place, colors=True)
            small[rows].float()

    def pickled() -> None:
        for start in range(0, count, BATCH):
            batch = [_read(folder / "pickled" / f"{i}.npy", rng) for i in order[start : start + BATCH]]
            for arrays in zip(*batch, strict=True):
                torch.from_numpy(np.stack(arrays))

    seconds = take_turns({"ours": ours, "pickled npy": pickled}, repeats)
    per_second = {name: [count / value for value in times] for name, times in seconds.items()}
    ratios = [a / b for a, b in zip(per_second["ours"], per_second["pickled npy"], strict=True)]
    fast, slow = (float(np.median(per_second[name])) for name in ("ours", "pickled npy"))
    theirs = _bytes(folder / "pickled")
    mine = _bytes(folder / "ours" / "cache") + small.nbytes + labels.nbytes * count / SET
    mine += own.nbytes
    kept = "all 10,000 points kept: 9 bytes for 24; data.max_points keeps 4096 of them by default"
    return [
        row(
            "loader",
            f"{case.name}: samples/s",
            "pickled npy",
            "1/s",
            ours=fast,
            theirs=slow,
            ratio=fast / slow,
            spread=(min(ratios), max(ratios)),
        ),
        row(
            "loader",
            f"{case.name}: bytes",
            "pickled npy",
            "kB/object",
            ours=mine / count / 1e3,
            theirs=theirs / count / 1e3,
            ratio=mine / theirs,
            note=kept if case.low == case.high else "",
        ),
    ]


def _objects(case: Case, count: int, own: NDArray, names: tuple[str, ...]) -> Iterator[Triplet]:
    for i in range(count):
        rng = np.random.default_rng([1, i])
        size = int(np.exp(rng.uniform(np.log(case.low), np.log(case.high))))
        points = rng.normal(size=(size, 3)).astype(np.float32)
        colors = rng.integers(0, 256, (size, 3), dtype=np.uint8)
        texts = tuple(names[row] for row in own[i])
        yield Triplet(
            f"t{i:05d}", points, colors, None, texts, Provenance(frame=f"{i}", center=(0.0, 0.0, 0.0))
        )


def _read(path: Path, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    # The files were written a moment ago by this very process.
    record: Any = np.load(path, allow_pickle=True).item()
    rows = rng.integers(0, len(record["xyz"]), SHOWN)
    return record["xyz"][rows], record["rgb"][rows], record["image_feat"]


def _bytes(folder: Path) -> int:
    return sum(os.path.getsize(path) for path in folder.rglob("*") if path.is_file())


def _unit(values: NDArray) -> NDArray[np.float32]:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
