"""Naming 100 objects among 1156 words: vectors that travel with the model, beside a text tower each time.

The words are LVIS categories, with one prompt each. Two towers: one of the size of OpenAI's ViT-B/32, with random weights, as time
does not depend on them; it is timed on a part of the words, as its time is proportional to them. And that of ``mini``, the CLIP that
ships with the package, which is a real one but some thirty times smaller. What happens after a restart is looked at in a new
process, which loads model and words from disk and says whether it loaded anything to embed text with.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.record import Row, compare, take_turns
from benchmarks.targets import TARGETS
from clip2.checkpoint import save
from clip2.evaluation import zero_shot_classify
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.teacher import Teacher, TextBank
from data_prep.detect.vocabulary import Vocabulary

OBJECTS, WORDS, TIMED = 100, 1156, 64
MANY = 20  # times in a row: one alone is too short to time beside something a thousand times as long
LARGE = "text tower of ViT-B/32"

_RESTARTED = """
import sys
import numpy as np
import clip2
from clip2.teacher import Teacher

model = clip2.load(sys.argv[1])
words = model.text_bank.names
cloud = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
assert len(model.classify([cloud], words).labels) == len(words)
print(int("open_clip" in sys.modules))
"""


def measure(repeats: int, quick: bool) -> list[Row]:
    """Both ways in turns, and what a new process does.

    Args:
        repeats: turns of each.
        quick: the small tower alone, with fewer words.
    """
    words = Vocabulary.load("lvis").labels[: 100 if quick else WORDS]
    turns = 1 if quick else min(repeats, 3)
    teacher = Teacher.load("mini")
    with tempfile.TemporaryDirectory() as folder:
        bank = TextBank.from_teacher(teacher, words)
        rows = _rows(
            words, bank, "mini's text tower", lambda: teacher.encode_texts(words), 1, turns, Path(folder)
        )
        rows.append(_restart(Path(folder) / "model", teacher, bank))
        return rows if quick else [*_large(words, turns, Path(folder)), *rows]


def _large(words: tuple[str, ...], turns: int, folder: Path) -> list[Row]:
    import open_clip

    network = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    tokenize = open_clip.get_tokenizer("ViT-B-32")
    asked = [f"a point cloud of a {word}." for word in words[:TIMED]]

    def embed() -> NDArray[np.float32]:
        with torch.inference_mode():
            return network.encode_text(tokenize(asked)).numpy()

    width = embed().shape[1]
    vectors = np.random.default_rng(0).normal(size=(len(words), width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bank = TextBank(words, vectors, "ViT-B-32/openai")
    factor = len(words) / TIMED
    rows = _rows(words, bank, LARGE, embed, factor, turns, folder)
    return [replace(row, note=f"timed on {TIMED} words, times {factor:.1f}") for row in rows]


def _rows(
    words: tuple[str, ...],
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
            "ours": lambda: [zero_shot_classify(objects, kept.embed_labels(words)) for _ in range(MANY)],
            contender: lambda: zero_shot_classify(objects, embed()),
        },
        turns,
    )
    seconds["ours"] = [value / MANY for value in seconds["ours"]]
    seconds[contender] = [factor * value for value in seconds[contender]]
    case = f"{OBJECTS} objects x {len(words)} words"
    target = TARGETS.get(("zero_shot", case, contender))
    return compare("zero_shot", case, seconds, {} if target is None else {contender: target})


def _restart(folder: Path, teacher: Teacher, bank: TextBank) -> Row:
    config = {
        "encoder": {"name": "pointnet2_ssg_small"},
        "teacher": {"name": teacher.model, "width": teacher.width, "templates": "clip2"},
    }
    save(Clip2Model(ModelConfig.model_validate(config), bank).eval(), folder)
    said = subprocess.run(
        [sys.executable, "-c", _RESTARTED, str(folder)], capture_output=True, text=True, check=True
    )
    case = "text towers loaded after a restart"
    return Row("zero_shot", case, unit="", ours=float(said.stdout), target=TARGETS["zero_shot", case, ""])
