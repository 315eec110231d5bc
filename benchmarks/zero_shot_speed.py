"""Naming 100 objects among 1156 words: vectors that travel with the model, beside the text tower each time.

The words are LVIS categories, the text tower is that of ``mini``, the CLIP that ships with the package: a real transformer, but
a small one. With a published CLIP the way without a cache is about ten times slower still. What happens after a restart is
looked at in a new process, which loads model and words from disk and says whether it loaded anything to embed text with.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.record import Row, compare, take_turns
from benchmarks.targets import TARGETS
from clip2.checkpoint import save
from clip2.evaluation import zero_shot_classify
from clip2.model import Clip2Model, ModelConfig
from clip2.teacher import Teacher, TextBank
from data_prep.detect.vocabulary import Vocabulary

OBJECTS, WORDS = 100, 1156

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
        quick: fewer words.
    """
    count = 100 if quick else WORDS
    words = Vocabulary.load("lvis").labels[:count]
    teacher = Teacher.load("mini")
    rng = np.random.default_rng(0)
    objects = rng.normal(size=(OBJECTS, teacher.width)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        bank = TextBank.from_teacher(teacher, words)
        bank.save(Path(folder) / "bank.npz")
        bank = TextBank.load(Path(folder) / "bank.npz")
        case = f"{OBJECTS} objects x {count} words"
        seconds = take_turns(
            {
                "ours": lambda: zero_shot_classify(objects, bank.embed_labels(words)),
                "text tower each time": lambda: zero_shot_classify(objects, teacher.encode_texts(words)),
            },
            1 if quick else min(repeats, 3),
        )
        targets = {
            "text tower each time": TARGETS[
                "zero_shot", f"{OBJECTS} objects x {WORDS} words", "text tower each time"
            ]
        }
        rows = compare("zero_shot", case, seconds, targets, note="text tower of mini")
        return [*rows, _restart(Path(folder) / "model", teacher, bank)]


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
