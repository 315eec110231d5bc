"""ModelNet10 accuracy after training against real CLIP text vectors.

    python -m benchmarks.modelnet10 --bank DATA/clip/vit_b32_text_bank.npz [--data FOLDER] [--seed 0] [--json]
    python -m benchmarks.modelnet10 --bank BANK --validation --set loop.epochs=40    # settings are chosen on this

The shapes are 24^3 occupancy grids, so peers are voxel networks; a nearest neighbor on pooled voxels reaches 85.7 %.
71 test grids repeat a training grid bit for bit: the score is given with and without them. Training and measuring are
those of the commands: triplets on disk, `embed` with a text bank, `train` from a config, `eval --benchmark modelnet10`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.record import Row, Settings
from data_prep.errors import InputError
from data_prep.triplets import Provenance, Triplet, write_triplets

if TYPE_CHECKING:
    from clip2.evaluation.objects import ObjectSet
    from clip2.teacher import TextBank

OBJECTS = Path(os.environ.get("CLIP2_DATA", "../shared/data")) / "objects"


def bank_names(shapes: ObjectSet, bank: TextBank) -> tuple[str, ...]:
    """The first name of each label that the bank has."""
    synonyms = shapes.synonyms or {}
    return tuple(next(n for n in (label, *synonyms.get(label, ())) if n in bank) for label in shapes.labels)


def as_triplets(shapes: ObjectSet, names: tuple[str, ...]) -> Iterator[Triplet]:
    """The split as text-only triplets: no image ever saw these shapes."""
    for index, target in enumerate(shapes.targets):
        cloud = shapes.read(index).points.astype(np.float32)
        center = cloud.mean(axis=0)
        provenance = Provenance(source="modelnet10", frame=f"{index:05d}", center=tuple(center.tolist()))
        yield Triplet(f"modelnet10-{index:05d}", cloud - center, None, None, (names[target],), provenance)


def main(
    bank: Path,
    data: Path = OBJECTS,
    bank_model: str = "ViT-B-32/openai",
    config: Path = Path("configs/train/modelnet10.yaml"),
    seed: int = 0,
    validation: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Train and score.

    Args:
        bank: text bank that holds the ten labels.
        data: folder with ModelNet10 as grids (modelnet10.npz) or meshes; default: under the folder that CLIP2_DATA names.
        bank_model: the CLIP model the bank was made with.
        config: training configuration.
        seed: of initialization, order and augmentation.
        validation: keep a seventh of the training shapes out and score these; the test split is not read.
        set: KEY=VALUE overrides of the configuration.
        out: folder that keeps the triplets and the run; an interrupted run continues. Default: a temporary folder.
        json_: print one JSON object.
    """
    with TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        figures = run(data, bank, bank_model, config, seed, folder, validation=validation, overrides=set)
    if json_:
        print(json.dumps(figures))
    else:
        table = Table("figure", "value", title="ModelNet10, ten-way by text similarity")
        for name, value in figures.items():
            if not isinstance(value, dict):
                table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in figures.get("per_class", {}).items():
            table.add_row(f"  {name}", f"{value:.3f}")
        Console().print(table)


def rows(settings: Settings) -> Iterator[Row]:
    """Ten-way accuracy by text."""
    assert settings.data is not None
    objects, bank = settings.data / "objects", settings.data / "clip/vit_b32_text_bank.npz"
    for file in (objects, bank):
        if not file.exists():
            raise InputError("is not there", source=file, fix="name a folder that has it with --data")
    config = Path(__file__).parents[1] / "configs/train/modelnet10.yaml"
    with TemporaryDirectory() as folder:
        found = run(objects, bank, "ViT-B-32/openai", config, 0, Path(folder))
    note = f"{found['test_shapes']} shapes, {found['train_seconds']:.0f} s of training"
    yield Row("modelnet10", "ten-way top-1 by text", unit="", ours=found["top1"], note=note)


def run(
    data: Path,
    bank_file: Path,
    bank_model: str,
    config_file: Path,
    seed: int,
    folder: Path,
    *,
    validation: bool = False,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Train on the training split in ``folder`` and return the figures of the test split, or of shapes kept out of it."""
    import clip2
    from clip2.evaluation.protocol import Settings as Protocol
    from clip2.evaluation.sets.registry import OBJECT_SETS
    from clip2.teacher import TextBank
    from clip2.teacher.embed import embed_triplets
    from clip2.training import load_config, train

    shapes = OBJECT_SETS["modelnet10"].open(data, Protocol(), "train")
    whole = TextBank.load(bank_file, model=bank_model)
    names = bank_names(shapes, whole)
    bank = whole.select(names)
    triplets = folder / "triplets"
    write_triplets(triplets, as_triplets(shapes, names), source="modelnet10")
    embed_triplets(triplets, bank=bank)
    asked = [f"seed={seed}", f"data.folders={json.dumps([str(triplets)])}", *overrides]
    if validation:
        asked += [f"data.hold_out={1 / 7}", "data.ood=false", "loop.evaluate_every=1000"]
    began = time.perf_counter()
    result = train(load_config(config_file, asked), folder / "run", resume=True, console=Console(stderr=True))
    if not result.finished:
        raise KeyboardInterrupt  # asked to stop: half a training is no result
    seconds = time.perf_counter() - began
    if validation:
        kept_out = ("objects_held_out", "held_out/top1", "held_out/top1_class_mean")
        return {name: result.metrics[name] for name in kept_out} | {"train_seconds": seconds, "seed": seed}

    model = clip2.load(folder / "run")
    (found,) = clip2.evaluate(model, "modelnet10", data, text=bank, settings=Protocol(trained_on=(data,)))
    return {
        "top1": found.metrics["top-1"].value,
        "top1_without_repeats": found.metrics["top-1 without repeats"].value,
        "top1_class_mean": found.metrics["class mean"].value,
        "train_seconds": seconds,
        "test_seconds": found.seconds,
        "seed": seed,
        "test_shapes": found.count,
        "notes": "; ".join(found.notes),
        "parameters": model.parameter_count(),
        "per_class": {row.label: row.values["top-1"] for row in found.classes},
    }


if __name__ == "__main__":
    tyro.cli(main)
