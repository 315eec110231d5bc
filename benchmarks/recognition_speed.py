"""Speed of recognition by step, and of classification among 1156 labels.

The sweeps are KITTI's if ``--data`` names a folder that holds ``kitti_object/``, otherwise those of a synthetic street. The
model is ``mini-points``, which ships with the package, with its own labels.

Classification with the text vectors stored in the model is compared with running a text tower each time. The labels are LVIS
categories, with one prompt each. Two towers are timed. One has the size of OpenAI's ViT-B/32 and random weights; it is timed on
some of the labels and scaled up, because its time is proportional to their number. The other is that of ``mini``, which ships
with the package and is about thirty times smaller. A new process, which loads model and labels from disk, reports whether it loaded
anything to embed text with.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

import clip2
from benchmarks.record import Row, Settings, compare, row, take_turns
from clip2.checkpoint import save
from clip2.classification import zero_shot_classify
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.teacher import Teacher, TextBank
from data_prep.detect.vocabulary import Vocabulary
from data_prep.scans import Frame, open_scan

OBJECTS, LABELS, TIMED = 100, 1156, 64
MANY = 20  # times in a row: once is too short to time beside something a thousand times as long
LARGE = "text tower of ViT-B/32"

_RESTARTED = """
import sys
import numpy as np
import clip2
from clip2.teacher import Teacher

model = clip2.load(sys.argv[1])
labels = model.text_bank.names
cloud = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
assert len(model.classify([cloud], labels).labels) == len(labels)
print(int("open_clip" in sys.modules))
"""
STEPS = {
    "propose": "proposals",
    "boxes": "boxes around them",
    "encode": "encoding",
    "query": "naming",
}


def rows(settings: Settings) -> list[Row]:
    """Milliseconds per sweep, in total and by step; every sweep is recognized once to warm up, then ``repeats`` times."""
    source, frames = _frames(settings.data)
    found = list(islice(frames, 1 if settings.quick else 4))
    recognizer = clip2.Recognizer(clip2.load("mini-points"))
    steps: dict[str, list[float]] = {name: [] for name in STEPS}
    whole: list[float] = []
    objects, points = 0, 0
    for turn in range(settings.repeats + 1):
        for frame in found:
            began = time.perf_counter()
            recognizer.set_scan(frame, proposals="lidar")
            asked = time.perf_counter()
            recognizer.query()
            ended = time.perf_counter()
            if turn == 0:
                objects, points = objects + len(recognizer.boxes), points + len(frame.points)
                continue
            whole.append(1e3 * (ended - began))
            for name, seconds in {**recognizer.seconds, "query": ended - asked}.items():
                steps[name].append(1e3 * seconds)
    case = "whole sweep: proposals, encode, label"
    about = (
        f"{len(found)} sweeps of {source}, {points // len(found):,} points and {objects / len(found):.0f} objects each, "
        f"{torch.get_num_threads()} threads; from {min(whole):.0f} to {max(whole):.0f} ms"
    )
    return [
        row("recognition", case, ours=median(whole), note=about),
        *(
            row("recognition", f"  of it {said}", ours=median(steps[name]), note=_share(steps[name], whole))
            for name, said in STEPS.items()
        ),
    ]


def _share(part: list[float], whole: list[float]) -> str:
    return f"{median(a / b for a, b in zip(part, whole, strict=True)):.0%} of the time"


def _frames(data: Path | None) -> tuple[str, Iterator[Frame]]:
    if data is not None and (data / "kitti_object").is_dir():
        return "KITTI", iter(open_scan("kitti", data / "kitti_object"))
    return "a synthetic street", iter(open_scan("procedural", "street", frames=4, worlds=4, seed=5))


def zero_shot_rows(settings: Settings) -> list[Row]:
    """Both ways in turns, and the behavior of a new process; a quick run takes the small tower and fewer labels."""
    quick, turns = settings.quick, min(settings.turns, 3)
    labels = Vocabulary.load("lvis").labels[: 100 if quick else LABELS]
    teacher = Teacher.load("mini")
    with tempfile.TemporaryDirectory() as folder:
        bank = TextBank.from_teacher(teacher, labels)
        rows = _naming(
            labels, bank, "mini's text tower", lambda: teacher.encode_texts(labels), 1, turns, Path(folder)
        )
        rows.append(_restart(Path(folder) / "model", teacher, bank))
        return rows if quick else [*_large(labels, turns, Path(folder)), *rows]


def _large(labels: tuple[str, ...], turns: int, folder: Path) -> list[Row]:
    import open_clip

    network = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    tokenize = open_clip.get_tokenizer("ViT-B-32")
    asked = [f"a point cloud of a {label}." for label in labels[:TIMED]]

    def embed() -> NDArray[np.float32]:
        with torch.inference_mode():
            return network.encode_text(tokenize(asked)).numpy()

    width = embed().shape[1]
    vectors = np.random.default_rng(0).normal(size=(len(labels), width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bank = TextBank(labels, vectors, "ViT-B-32/openai")
    factor = len(labels) / TIMED
    rows = _naming(labels, bank, LARGE, embed, factor, turns, folder)
    return [replace(row, note=f"timed on {TIMED} labels, times {factor:.1f}") for row in rows]


def _naming(
    labels: tuple[str, ...],
    bank: TextBank,
    contender: str,
    embed: Callable[[], NDArray[np.float32]],
    factor: float,
    turns: int,
    folder: Path,
) -> list[Row]:
    bank.save(folder / "bank.npz")
    kept = TextBank.load(folder / "bank.npz")
    objects = np.random.default_rng(0).normal(size=(OBJECTS, kept.width)).astype(np.float32)
    seconds = take_turns(
        {
            "ours": lambda: [zero_shot_classify(objects, kept.embed_labels(labels)) for _ in range(MANY)],
            contender: lambda: zero_shot_classify(objects, embed()),
        },
        turns,
    )
    seconds["ours"] = [value / MANY for value in seconds["ours"]]
    seconds[contender] = [factor * value for value in seconds[contender]]
    return compare("zero_shot", f"{OBJECTS} objects x {len(labels)} words", seconds)


def _restart(folder: Path, teacher: Teacher, bank: TextBank) -> Row:
    config = {
        "encoder": {"name": "pointnet2_ssg_small"},
        "teacher": {"name": teacher.model, "width": teacher.width, "templates": "clip2"},
    }
    save(Clip2Model(ModelConfig.model_validate(config), bank).eval(), folder)
    said = subprocess.run(
        [sys.executable, "-c", _RESTARTED, str(folder)], capture_output=True, text=True, check=True
    )
    return row("zero_shot", "text towers loaded after a restart", unit="", ours=float(said.stdout))
