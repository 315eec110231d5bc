"""Damage any file: what reads it gives a result or one clear line, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from siege.damage import damaged
from siege.targets import HEAVY, TARGETS, check_frame
from siege.trial import Outcome, run_cases

NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in TARGETS]

# Cases that once ended in neither a result nor a line.
FAILED_ONCE = {
    "cloud text.pcd": (30054, 30339, 60039),
    "cloud scan.e57": (30426,),
    "cloud mesh.off": (30354,),
    "sunrgbd": (30012, 30015, 84559),
    "bag ros1": (40154,),
    "rgbd bag": (82084,),
    "bag sqlite3": (30092, 40010, 40126, 40191, 81009),
    "detections": (30210,),
    "triplets": (30057, 70024),
    "training set": (30057, 60567, 84342),
    "model": (60115,),
    "kitti-tracking": (61477,),
    "object sets": (30307, 30343, 30462, 40010, 84374),
    "detection journal": (30004, 30079, 30129, 30216, 30308, 30337, 30359, 30417, 40124),
    "text files": (30352, 84668),
    "text cache": (80307,),
    "hub folder": (40298, 81085),
    "export": (40005, 40033, 40101, 40206, 40268),
    "clip folder": (40061, 40163, 40191, 83309, 161, 545),
    "onnx detector": (40017,),
    "features": (40079, 84263),
    "public weights": (40037, 85131),
    "server": (80029, 80198),
    "training state": (40005, 40059, 40162),
    "index": (40010,),
    "result": (30010, 30210),
    "map": (30011, 30070, 30231, 84222),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_result_or_one_line(tmp_path: Path, name: str) -> None:
    assert failures(name, tmp_path, [*range(8), *FAILED_ONCE.get(name, ())]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_result_or_one_line_many_times(tmp_path: Path, name: str) -> None:
    assert failures(name, tmp_path, range(1000)) == []


def failures(name: str, folder: Path, cases: Sequence[int]) -> list[Outcome]:
    outcomes = list(run_cases(name, folder, cases))
    assert [outcome.case for outcome in outcomes] == list(cases)
    return [outcome for outcome in outcomes if outcome.kind == "failed"]


def test_a_case_is_the_same_whenever_it_is_run() -> None:
    sound = b"{" + b'"key": [1, 2, 3], ' * 20 + b'"last": 0}'
    first, again = ([damaged(sound, np.random.default_rng(seed)) for seed in range(50)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 40


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("raise_key_error", "KeyError: "),
        ("take_memory", "MemoryError"),
        ("crash", "the process ended (SIGSEGV)"),
        ("quote_everything", "an error line of 5000 characters"),
    ],
)
def test_what_is_neither_is_a_failure(tmp_path: Path, name: str, detail: str) -> None:
    outcomes = list(run_cases(name, tmp_path, range(3), "siege.bad_readers"))
    assert len(outcomes) == 3
    assert all(outcome.kind == "failed" and outcome.detail.startswith(detail) for outcome in outcomes)


def test_a_frame_of_another_contract_is_a_failure() -> None:
    from data_prep.scans import Frame

    frame = Frame("a", np.zeros((1, 3), np.float32), intensity=np.array([2.0], np.float32))
    with pytest.raises(AssertionError, match="intensity"):
        check_frame(frame)
