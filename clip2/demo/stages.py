"""What ``clip2 demo`` does, step by step, with the same functions that the commands call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

import clip2
from clip2.demo.words import STAND_IN, stand_in_bank
from clip2.model import Clip2Model
from clip2.recognition import Instances3D, Recognizer
from clip2.teacher import TextBank
from clip2.teacher.features import embed_triplets
from clip2.training import load_config, train
from data_prep.detect import CocoDetections
from data_prep.lift import create_lifter
from data_prep.scans import open_scan
from data_prep.scans.procedural import ProceduralScan, list_categories
from data_prep.scans.procedural.registry import Setting
from data_prep.triplets import open_triplets
from data_prep.triplets.mine import mine

SETTINGS: tuple[Setting, ...] = ("room", "street")
DETECTOR = "good"


@dataclass(frozen=True)
class Plan:
    """How much of everything; ``quick`` is for tests.

    Attributes:
        frames: to mine, per setting; rooms hold more different things, and fewer of each.
        frames_per_world: a new room or street begins after this many.
        steps, batch_size, num_points: of the training.
        test_frames: of scenes never mined, per setting.
    """

    frames: Mapping[str, int] = field(default_factory=lambda: {"room": 64, "street": 24})
    frames_per_world: int = 2
    steps: int = 320
    batch_size: int = 32
    num_points: int = 256
    test_frames: int = 8

    def scan(self, setting: Setting, seed: int) -> ProceduralScan:
        """The scan to mine: frames of rooms or streets, with boxes of a detector that has flaws."""
        frames = self.frames[setting]
        worlds = frames // self.frames_per_world
        return ProceduralScan(setting, frames=frames, worlds=worlds, seed=seed, detector=DETECTOR)


QUICK = Plan(frames={"room": 4, "street": 4}, steps=12, batch_size=16, num_points=128, test_frames=1)


@dataclass
class DemoResult:
    """What the report shows.

    Attributes:
        out: the folder everything is in.
        seconds: duration of each stage.
        mined: counts of ``mine`` per setting.
        score: top-1 on objects of unseen scenes per setting, their number, and the share of the commonest word.
        confusion: (true word, given word) → count.
        scenes: recognised scans by setting.
        report: the HTML page.
    """

    out: Path
    seconds: dict[str, float] = field(default_factory=dict)
    mined: dict[str, dict[str, Any]] = field(default_factory=dict)
    score: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: dict[tuple[str, str], int] = field(default_factory=dict)
    scenes: dict[str, Instances3D] = field(default_factory=dict)
    report: Path = Path()

    def figures(self) -> dict[str, Any]:
        """The part that fits in JSON."""
        return {
            "out": str(self.out),
            "report": str(self.report),
            "stands_in_for_clip": STAND_IN,
            "mined": self.mined,
            "score": self.score,
            "recognised": {setting: len(scene) for setting, scene in self.scenes.items()},
            "seconds": {stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
        }


def run_demo(out: Path, seed: int, plan: Plan, console: Console) -> DemoResult:
    """Mine, embed, train, score and recognise; called again on the same folder, finished stages are not repeated.

    Args:
        out: folder for triplets, run and report.
        seed: of the world and the training.
        plan: how much of everything.
        console: where progress goes.

    Raises:
        InputError: ``out`` holds something else, or a demo of another seed or plan.
    """
    from clip2.demo.page import write_report

    result = DemoResult(out)
    words = sorted({word for setting in SETTINGS for word in list_categories(setting)})
    bank = stand_in_bank(words)
    folders = []
    for setting in SETTINGS:
        with _stage(result, f"mine {setting}", console):
            folders.append(_mine(setting, out, seed, plan, result, console))
    with _stage(result, "embed", console):
        for folder in folders:
            embed_triplets(folder, bank=bank)
    with _stage(result, "train", console):
        _train(folders, out / "run", seed, plan, console)
    model = clip2.load(out / "run")
    with _stage(result, "score", console):
        for setting in SETTINGS:
            _score(model, bank, setting, seed, plan, result)
    with _stage(result, "recognise", console):
        for setting in SETTINGS:
            scan = open_scan("procedural", setting, frames=1, seed=_unseen(seed))
            result.scenes[setting] = Recognizer(model, bank).set_scan(scan[0]).query(list_categories(setting))
            result.scenes[setting].to_json(out / f"{setting}.json")
            result.scenes[setting].to_ply(out / f"{setting}.ply")
    result.report = write_report(result, seed, plan, folders, out / "report.html")
    return result


@contextmanager
def _stage(result: DemoResult, name: str, console: Console) -> Iterator[None]:
    console.rule(f"[bold]{name}", align="left", style="dim")
    began = time.perf_counter()
    yield
    result.seconds[name] = time.perf_counter() - began


def _mine(setting: Setting, out: Path, seed: int, plan: Plan, result: DemoResult, console: Console) -> Path:
    scan = plan.scan(setting, seed)
    folder, detections = out / f"triplets-{setting}", detections_file(out, setting, seed, plan)
    out.mkdir(parents=True, exist_ok=True)
    if not detections.exists():
        console.print(f"drawing {scan.worlds} {setting}s, and boxes as a detector with flaws would draw them")
        scan.save_detections(detections)
    with console.status(f"lifting {setting} objects out of {len(scan)} frames"):
        manifest = mine(
            scan,
            CocoDetections.load(detections),
            create_lifter("auto"),
            folder,
            options={
                "scan": {"frames": len(scan), "worlds": scan.worlds, "seed": seed, "detector": DETECTOR}
            },
        )
    result.mined[setting] = {**manifest.totals, "refusals": manifest.refusals}
    console.print(f"{manifest.totals['objects']} objects from {len(scan)} frames → {folder}", highlight=False)
    return folder


def detections_file(out: Path, setting: str, seed: int, plan: Plan) -> Path:
    """Where the simulated detector's boxes of a setting are."""
    return out / f"detections-{setting}-{seed}-{plan.frames[setting]}.json"


def _train(folders: list[Path], run: Path, seed: int, plan: Plan, console: Console) -> None:
    here = Path(__file__).parent / "train.yaml"
    overrides = [
        f"seed={seed}",
        f"loop.steps={plan.steps}",
        f"loop.batch_size={plan.batch_size}",
        f"model.preprocessing.num_points={plan.num_points}",
        f"data.folders={json.dumps([str(folder) for folder in folders])}",
    ]
    train(load_config(here, overrides), run, resume=True, console=console)


def _score(
    model: Clip2Model, bank: TextBank, setting: Setting, seed: int, plan: Plan, result: DemoResult
) -> None:
    """Name objects of scenes never mined, cut out by exact 2D boxes: this measures the encoder alone."""
    scan = ProceduralScan(setting, frames=plan.test_frames, worlds=plan.test_frames, seed=_unseen(seed))
    lifter, words = create_lifter("auto"), list_categories(setting)
    clouds, colors, truth = [], [], []
    for index in track(range(len(scan)), f"cutting objects out of unseen {setting}s", transient=True):
        frame, exact = scan[index], scan.ground_truth(index)
        for cloud in lifter.lift(frame, exact.detections).objects:
            truth.append(exact.detections[cloud.view].labels[cloud.detection])
            clouds.append(cloud.points @ frame.T_world_points[:3, :3].T.astype(np.float32))
            colors.append(cloud.colors)
    named = model.classify(clouds, words, bank, colors).best
    counts = [truth.count(word) for word in words]
    result.score[setting] = {
        "top1": float(np.mean([a == b for a, b in zip(named, truth, strict=True)])),
        "commonest_word": max(counts) / len(truth),
        "objects": len(truth),
        "words": len(words),
    }
    for pair in zip(truth, named, strict=True):
        result.confusion[pair] = result.confusion.get(pair, 0) + 1


def _unseen(seed: int) -> int:
    return seed + 1_000_000


def mined_examples(folder: Path, count: int) -> list[Any]:
    """A spread of ``count`` triplets of a folder, as many different words as possible."""
    seen: dict[str, list[Any]] = {}
    for triplet in open_triplets(folder):
        seen.setdefault(triplet.texts[0], []).append(triplet)
    # The largest cloud of each word first, then the second largest …
    ranked = [sorted(group, key=lambda t: -len(t.points)) for group in seen.values()]
    rows = [group[depth] for depth in range(count) for group in ranked if depth < len(group)]
    return rows[:count]
