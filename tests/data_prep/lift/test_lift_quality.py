"""The lifting benchmark: what it prints, and what it says when there is nothing to measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIGURES = {"mean_iou", "share_above_half", "objects", "per_class"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.lift_quality", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_real_frames(real_data: Path) -> None:
    done = run(str(real_data), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # standard output is one JSON object and nothing else
    for part in (
        result,
        result["baseline"],
        result["frustum"],
        result["detector"],
        result["detector"]["baseline"],
    ):
        assert part.keys() >= FIGURES
    assert sum(figures["objects"] for figures in result["per_class"].values()) == result["objects"] == 62
    assert result["frustum"]["recall"] == 1  # the bare frustum holds all of the truth, by definition of it
    assert result["mean_iou"] > result["baseline"]["mean_iou"] + 0.2 > result["frustum"]["mean_iou"] + 0.2
    assert result["detector"]["mean_iou"] > result["detector"]["baseline"]["mean_iou"] + 0.1


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_a_folder_without_scans_is_an_error_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(str(tmp_path), *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "holds neither kitti_object/ nor kitti_tracking/" in done.stderr
