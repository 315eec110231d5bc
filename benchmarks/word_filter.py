"""How many wrong words the teacher finds in what an erring detector said, and how many right ones it costs.

    python -m benchmarks.word_filter [--json] [--frames N]

Procedural rooms and streets, a good and a weak simulated detector, the embedded teacher ``mini``, lifted and cut as
``clip2 prep`` does, judged as ``clip2 embed --drop-disagreeing 1`` does. A word is wrong where the box shows another
thing, or nothing.
"""

from __future__ import annotations

import json as json_format
import sys
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.association import procedural_case
from clip2.teacher import Teacher
from clip2.teacher.agreement import disagrees
from data_prep.labels import normalize_label


def main(json: bool = False, frames: int = 24, times_chance: float = 1.0) -> int:
    """Measure.

    Args:
        json: print one JSON object instead of a table.
        frames: of every scan, over a quarter as many worlds.
        times_chance: as in clip2 embed --drop-disagreeing.
    """
    teacher = Teacher.load("mini")
    result = {
        f"{setting}, {detector}": measure(teacher, setting, detector, frames, times_chance)
        for setting in ("room", "street")
        for detector in ("good", "weak")
    }
    if json:
        print(json_format.dumps(result, indent=2))
        return 0
    table = Table(
        "", "objects", "words", "wrong before", "wrong after", "wrong found", "right lost", "dropped"
    )
    for name, f in result.items():
        shares = ("wrong_before", "wrong_after", "wrong_found", "right_lost", "dropped")
        table.add_row(name, f"{f['objects']}", f"{f['words']}", *(f"{f[share]:.1%}" for share in shares))
    Console(width=110).print(table)
    return 0


def measure(
    teacher: Teacher, setting: str, detector: str, frames: int, times_chance: float
) -> dict[str, Any]:
    """Figures of one scan."""
    case = procedural_case(setting, detector, frames, seed=11, worlds=max(1, frames // 4))
    triplets = [triplet for frame in case.frames for triplet in frame]
    said = [normalize_label(triplet.provenance["label"]) for triplet in triplets]
    right = np.array(
        [word == case.words.get(case.ids[t.key]) for word, t in zip(said, triplets, strict=True)]
    )
    vocabulary = sorted(set(said))
    own = np.array([vocabulary.index(word) for word in said])
    images = teacher.encode_images(crop for triplet in triplets for crop in triplet.crops)
    wrong = disagrees(images, own, teacher.encode_texts(vocabulary), teacher.logit_scale, times_chance)
    return {
        "objects": len(said),
        "words": len(vocabulary),
        "wrong_before": float(np.mean(~right)),
        "wrong_after": float(np.mean(~right[~wrong])),
        "wrong_found": float(np.mean(wrong[~right])),
        "right_lost": float(np.mean(wrong[right])),
        "dropped": float(np.mean(wrong)),
    }


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
