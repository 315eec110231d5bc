"""Names for objects of a source that training never saw, in the space of real CLIP text vectors.

    python -m benchmarks.left_out_sources --world WORLD [--data DATA] [--seed 0] [--json]
    python -m benchmarks.left_out_sources --world WORLD --draws 5      # three classes of ModelNet10 each

Trained on: objects mined from the synthetic world (`python -m clip2.world.points mine WORLD`), ModelNet10's training
split, and the named clouds of all sources but one, every label by its text vectors alone. Measured on the source left
out: among its own names, and among all names of the bank. One model, trained without the first source, also names the
objects in the labeled boxes of real scans. Labels that the bank lacks are left out of training and of the questions.

With draws, three random classes of ModelNet10 are kept out instead, from every source and under each of their names. Their
test shapes are named among the three and among all ten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import clip2
from clip2.evaluation.class_lists import class_list
from clip2.evaluation.metrics import best_ranks, bootstrap_interval
from clip2.evaluation.objects import Cloud
from clip2.evaluation.protocol import Settings as Protocol
from clip2.evaluation.sets.named import read_named
from clip2.evaluation.sets.registry import OBJECT_SETS
from clip2.model import Clip2Model
from clip2.teacher import TextBank
from clip2.training import TrainingSet, load_config, pack, train
from clip2.training.clouds import sample_object
from data_prep.geometry import transform_points
from data_prep.labels import normalize_label
from data_prep.scans import open_scan
from data_prep.triplets import open_triplets

DATA = Path(os.environ.get("CLIP2_DATA", "../shared/data"))
# Further names of labels, as the bank spells them; each object draws one per step.
ALSO = {
    "sofa": ("couch", "loveseat"),
    "armchair": ("recliner",),
    "mug": ("coffee cup",),
    "lamp": ("table lamp", "floor lamp"),
    "night stand": ("nightstand",),
    "night_stand": ("nightstand",),
    "bookshelf": ("bookcase",),
    "monitor": ("computer monitor",),
    "garbage bin": ("trash can",),
    "garbagebin": ("trash can",),
    "television": ("tv", "television set"),
    "lamppost": ("street light", "streetlight"),
    "potted plant": ("houseplant", "flowerpot"),
    "dresser": ("chest of drawers",),
    "pedestrian": ("person", "man", "woman"),
    "construction vehicle": ("bulldozer",),
    "picture": ("painting",),
    "fridge": ("refrigerator",),
}
SCANS = {
    "sunrgbd37": "sunrgbd",
    "nuscenes10": "nuscenes",
    "kitti": "kitti_object",
}  # of benchmarks, below DATA
LEAST = 5  # points


def main(
    world: Path | None = None,
    data: Path = DATA,
    sources: tuple[str, ...] = (),
    draws: int = 0,
    config: Path = Path("configs/train/left_out_sources.yaml"),
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    seed: int = 0,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Train without one source after the other and name its objects.

    Args:
        world: triplet folders of the synthetic world; None: train without them.
        data: folder with ``clip/vit_b32_text_bank.npz``, ``objects/`` and the scans.
        sources: to leave out, one run each; none: all.
        draws: of three classes to keep out, one run each, instead of sources.
        config: training configuration.
        set: KEY=VALUE overrides of the configuration.
        seed: of initialization, order and augmentation.
        out: folder that keeps the runs; an interrupted one continues. Default: a temporary folder.
        json_: print one JSON object.
    """
    bank = TextBank.load(data / "clip/vit_b32_text_bank.npz", model="ViT-B-32/openai")
    named = NamedSources(data / "objects/named_objects.npz")
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as temporary:

        def trained(name: str, learn: TrainingSet) -> Clip2Model:
            run = (out or Path(temporary)) / name
            settings = load_config(config, [*set, f"seed={seed}"])
            if not train(settings, run, resume=True, data=learn, console=Console(stderr=True)).finished:
                raise KeyboardInterrupt  # asked to stop: half a training is no result
            return clip2.load(run)

        for place, source in enumerate(() if draws else sources or named.sources):
            learn = training_set(world, data, named, bank, source)
            model = trained(f"without-{source}-{seed}", learn)
            figures[source] = score(model, *named.of(source), bank, learn.texts)
            if place == 0:
                figures["scans"] = {
                    name: score(model, clouds, labels, bank, learn.texts, choices)
                    for name, clouds, labels, choices in boxed_objects(data)
                }
        shapes = OBJECT_SETS["modelnet10"].open(data / "objects", Protocol(), "test")
        for draw in range(draws):
            three = tuple(np.random.default_rng(draw).choice(shapes.labels, 3, replace=False).tolist())
            learn = training_set(world, data, named, bank, without=three)
            model = trained(f"draw-{draw}-{seed}", learn)
            rows = [i for i, target in enumerate(shapes.targets) if shapes.labels[target] in three]
            clouds, labels = [shapes.read(i) for i in rows], [shapes.labels[shapes.targets[i]] for i in rows]
            for choices in (three, shapes.labels):
                name = f"{', '.join(three)} of {len(choices)}"
                figures[name] = score(model, clouds, labels, bank, learn.texts, choices)
    if json_:
        print(json.dumps(figures))
        return
    table = Table("objects", "how many", "labels", "top-1", "top-5", "of labels not trained on")
    for source in figures:
        for name, row in figures["scans"].items() if source == "scans" else [(source, figures[source])]:
            for among in ("own", "all"):
                if among in row:
                    one = row[among]
                    unseen = f"{one['unseen']:.1%} of {row['unseen_objects']}" if "unseen" in one else ""
                    top1 = f"{one['top1']:.1%} ({one['low']:.0%} to {one['high']:.0%})"
                    table.add_row(
                        name, str(row["objects"]), str(one["labels"]), top1, f"{one['top5']:.1%}", unseen
                    )
    Console().print(table)


class NamedSources:
    """Named clouds, by source."""

    def __init__(self, file: Path) -> None:
        self.objects = read_named(file)
        with np.load(file, allow_pickle=False) as arrays:
            self._source = arrays["source"][arrays["bank_name"] != ""].astype(str)
        self.sources = tuple(np.unique(self._source).tolist())

    def of(self, source: str) -> tuple[list[Cloud], list[str]]:
        """Clouds and names of one source."""
        rows = np.flatnonzero(self._source == source)
        return [self.objects.read(i) for i in rows], [
            self.objects.labels[self.objects.targets[i]] for i in rows
        ]


def training_set(
    world: Path | None,
    data: Path,
    named: NamedSources,
    bank: TextBank,
    left_out: str = "",
    without: Sequence[str] = (),
) -> TrainingSet:
    """Everything but a source and some labels, each object with all names of its label that the bank has."""
    unwanted = {name for label in without for name in phrases(label, bank)}
    clouds, labels = [], []
    for cloud, label in _examples(world, data, named, left_out):
        if (names := phrases(label, bank)) and unwanted.isdisjoint(names):
            clouds.append((cloud, None))
            labels.append(label)
    texts = sorted({name for label in set(labels) for name in phrases(label, bank)})
    row = {name: number for number, name in enumerate(texts)}
    rows = [[row[name] for name in phrases(label, bank)] for label in labels]
    return pack(clouds, rows, texts, bank.lookup(texts), bank.model, max_points=1024)


def _examples(
    world: Path | None, data: Path, named: NamedSources, left_out: str
) -> Iterator[tuple[NDArray[np.float32], str]]:
    shapes = OBJECT_SETS["modelnet10"].open(data / "objects", Protocol(), "train")
    for index, target in enumerate(shapes.targets):
        yield shapes.read(index).points.astype(np.float32), shapes.labels[target]
    for source in named.sources:
        for cloud, label in zip(*named.of(source), strict=True) if source != left_out else ():
            yield cloud.points.astype(np.float32), label
    for folder in sorted(path.parent for path in world.glob("*/manifest.json")) if world else ():
        if folder.name.startswith(("eval", "fresh")):
            continue
        triplets = open_triplets(folder)
        for shard in triplets.shards:
            for triplet in triplets.iter_shard(shard.name, crops=False):
                looks = (triplet.points, *(view.points for view in triplet.views))
                for points in (look for look in looks if look is not None and len(look) >= LEAST):
                    yield sample_object(points, None, 1024, triplet.key)[0], triplet.texts[0]


def phrases(label: str, bank: TextBank) -> list[str]:
    """The names of a label that the bank has, the label itself first.

    >>> from clip2.teacher import TextBank
    >>> bank = TextBank(("couch", "sofa"), np.eye(2, dtype=np.float32), "my CLIP")
    >>> phrases("sofa", bank), phrases("barrier", bank)
    (['sofa', 'couch'], [])
    """
    return [name for name in dict.fromkeys((label, *ALSO.get(label, ()))) if name in bank]


def score(
    model: Clip2Model,
    clouds: Sequence[Cloud],
    labels: Sequence[str],
    bank: TextBank,
    trained: Sequence[str],
    choices: Sequence[str] = (),
) -> dict[str, Any]:
    """Top-1 and top-5 among ``choices`` (none: the objects' own labels) and among all names of the bank.

    Objects and choices without a vector do not count. An answer is right if it is one of the label's names. ``unseen``
    counts the objects of labels without any training object.
    """
    own = sorted({name for label in choices or labels for name in phrases(label, bank)[:1]})
    kept = [i for i, label in enumerate(labels) if set(phrases(label, bank)) & set(own)]
    clouds, labels = [clouds[i] for i in kept], [labels[i] for i in kept]
    vectors = model.encode([cloud.points for cloud in clouds]).numpy()
    new = np.array([not set(phrases(label, bank)) & set(trained) for label in labels])
    found: dict[str, Any] = {"objects": len(labels), "unseen_objects": int(new.sum())}
    for among, names in (("own", own), ("all", bank.names)):
        right = np.array([[name in phrases(label, bank) for name in names] for label in labels])
        ranks = best_ranks(vectors @ bank.lookup(names).T, right)
        low, high = bootstrap_interval(ranks < 1, seed=0)
        found[among] = {
            "labels": len(names),
            "top1": float((ranks < 1).mean()),
            "top5": float((ranks < 5).mean()),
            "low": low,
            "high": high,
        }
        if new.any():
            found[among] |= {"unseen": float((ranks[new] < 1).mean())}
    return found


def boxed_objects(data: Path) -> Iterator[tuple[str, list[Cloud], list[str], tuple[str, ...]]]:
    """Name, objects, their labels, and class list of each real scan; the objects are the points in its labeled boxes."""
    for name, folder in SCANS.items():
        objects = OBJECT_SETS[name].open(data / folder, Protocol(), "test")
        labels = [objects.labels[target] for target in objects.targets]
        yield name, [objects.read(i) for i in range(len(objects))], labels, objects.labels
    scan = open_scan("scannet", data / "scannet/scans")
    points = transform_points(scan[0].T_world_points, scan[0].points, np.float64)
    boxes = json.loads((data / "scannet/scene0000_00_boxes.json").read_text(encoding="utf-8"))
    clouds, labels = [], []
    for box in boxes["instances"]:
        inside = (np.abs(points - np.array(box["centre"])) <= np.array(box["size"]) / 2).all(axis=1)
        clouds.append(Cloud(points[inside]))
        labels.append(normalize_label(box["name"]))
    yield "scannet18", clouds, labels, class_list("scannet18").labels


if __name__ == "__main__":
    tyro.cli(main)
