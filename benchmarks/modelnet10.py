"""ModelNet10 accuracy after training against real CLIP text vectors.

    python -m benchmarks.modelnet10 --bank DATA/clip/vit_b32_text_bank.npz [--data FILE] [--seed 0] [--json]

The shapes are 30^3 occupancy grids, so peers are voxel networks; a nearest neighbor on pooled voxels reaches 85.7 %.
71 test grids repeat a training grid bit for bit: the score is given with and without them. It uses the ordinary
commands: triplets on disk, `embed` with a text bank, `train` from a config, `clip2.load`, similarity to ten labels.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import binary_erosion

from benchmarks.record import Row, Settings
from data_prep.errors import InputError
from data_prep.triplets import Provenance, Triplet, write_triplets

CLASSES = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night stand", "sofa", "table", "toilet")
GRIDS = Path(os.environ.get("CLIP2_DATA", "../shared/data")) / "objects/modelnet10.npz"
# Classes that the bank knows by a synonym.
SYNONYMS = {"night stand": "nightstand", "monitor": "computer monitor"}


@dataclass(frozen=True)
class Shapes:
    """One split.

    Attributes:
        clouds: surface voxel centers of each shape, (n, 3) float32, in voxels, z-up.
        classes: (M,) int64 into ``CLASSES``.
        grids: (M,) bytes of each packed grid, to find repeats.
    """

    clouds: list[NDArray[np.float32]]
    classes: NDArray[np.int64]
    grids: list[bytes]


def read_split(file: Path, split: str) -> Shapes:
    """Surface voxels of every non-empty shape of ``train`` or ``test``.

    Voxels are jittered by up to half their size with a fixed seed, so that clouds are not lattices.
    """
    with np.load(file, allow_pickle=False) as data:
        missing = {f"X_{split}", f"y_{split}"} - set(data.files)
        if missing:
            raise InputError(
                f"lacks {sorted(missing)}", source=file, fix="give the ModelNet10 grids as X_train … y_test"
            )
        grids, labels = data[f"X_{split}"].astype(bool), data[f"y_{split}"]
    rng = np.random.default_rng(0)
    clouds, classes, packed = [], [], []
    for grid, label in zip(grids, labels, strict=True):
        surface = np.argwhere(grid & ~binary_erosion(grid)).astype(np.float32)  # axis 2 of the grid is up
        if len(surface) == 0:
            continue
        clouds.append(surface + rng.uniform(-0.5, 0.5, surface.shape).astype(np.float32))
        classes.append(int(label))
        packed.append(np.packbits(grid).tobytes())
    return Shapes(clouds, np.array(classes), packed)


def as_triplets(shapes: Shapes, labels: tuple[str, ...]) -> Iterator[Triplet]:
    """The split as text-only triplets: no image ever saw these shapes."""
    for index, (cloud, label) in enumerate(zip(shapes.clouds, shapes.classes, strict=True)):
        center = cloud.mean(axis=0)
        provenance = Provenance(source="modelnet10", frame=f"{index:05d}", center=tuple(center.tolist()))
        yield Triplet(f"modelnet10-{index:05d}", cloud - center, None, None, (labels[label],), provenance)


def main(
    bank: Path,
    data: Path = GRIDS,
    bank_model: str = "ViT-B-32/openai",
    config: Path = Path("configs/train/modelnet10.yaml"),
    seed: int = 0,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Train and score.

    Args:
        bank: text bank that holds the ten labels.
        data: npz with X_train, y_train, X_test, y_test; default: under the folder that CLIP2_DATA names.
        bank_model: the CLIP model the bank was made with.
        config: training configuration.
        seed: of initialization, order and augmentation.
        out: folder that keeps the triplets and the run; an interrupted run continues. Default: a temporary folder.
        json_: print one JSON object.
    """
    with TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        figures = run(data, bank, bank_model, config, seed, folder)
    if json_:
        print(json.dumps(figures))
    else:
        table = Table("figure", "value", title="ModelNet10, ten-way by text similarity")
        for name, value in figures.items():
            if not isinstance(value, dict):
                table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in figures["per_class"].items():
            table.add_row(f"  {name}", f"{value:.3f}")
        Console().print(table)


def rows(settings: Settings) -> Iterator[Row]:
    """Ten-way accuracy by text."""
    assert settings.data is not None
    grids, bank = settings.data / "objects/modelnet10.npz", settings.data / "clip/vit_b32_text_bank.npz"
    for file in (grids, bank):
        if not file.exists():
            raise InputError("is not there", source=file, fix="name a folder that has it with --data")
    config = Path(__file__).parents[1] / "configs/train/modelnet10.yaml"
    with TemporaryDirectory() as folder:
        found = run(grids, bank, "ViT-B-32/openai", config, 0, Path(folder))
    note = f"{found['test_shapes']} shapes, {found['train_seconds']:.0f} s of training"
    yield Row("modelnet10", "ten-way top-1 by text", unit="", ours=found["top1"], note=note)


def run(
    data: Path, bank_file: Path, bank_model: str, config_file: Path, seed: int, folder: Path
) -> dict[str, Any]:
    """Train on the training split in ``folder`` and return the figures of the test split."""
    import clip2
    from clip2.teacher import TextBank
    from clip2.teacher.embed import embed_triplets
    from clip2.training import load_config, train

    labels = tuple(SYNONYMS.get(name, name) for name in CLASSES)
    bank = TextBank.load(bank_file, model=bank_model).select(labels)
    shapes, test = read_split(data, "train"), read_split(data, "test")
    triplets = folder / "triplets"
    write_triplets(triplets, as_triplets(shapes, labels), source="modelnet10")
    embed_triplets(triplets, bank=bank)
    config = load_config(config_file, [f"seed={seed}", f"data.folders={json.dumps([str(triplets)])}"])
    began = time.perf_counter()
    if not train(config, folder / "run", resume=True, console=Console(stderr=True)).finished:
        raise KeyboardInterrupt  # asked to stop: half a training is no result
    seconds = time.perf_counter() - began

    model = clip2.load(folder / "run")
    began = time.perf_counter()
    named = model.classify(test.clouds, labels, bank).scores.argmax(axis=1)
    right = named == test.classes
    training_grids = set(shapes.grids)
    new = np.array([grid not in training_grids for grid in test.grids])
    return {
        "top1": float(right.mean()),
        "top1_without_repeats": float(right[new].mean()),
        "top1_class_mean": float(
            np.mean([right[test.classes == label].mean() for label in range(len(CLASSES))])
        ),
        "train_seconds": seconds,
        "test_seconds": time.perf_counter() - began,
        "seed": seed,
        "train_shapes": len(shapes.clouds),
        "test_shapes": len(test.clouds),
        "repeated_test_shapes": int((~new).sum()),
        "parameters": model.parameter_count(),
        "per_class": {name: float(right[test.classes == label].mean()) for label, name in enumerate(CLASSES)},
    }


if __name__ == "__main__":
    tyro.cli(main)
