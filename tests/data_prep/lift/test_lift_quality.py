"""The lifting benchmark: what it prints, and what it says when there is nothing to measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lift_cases import synthetic_cases

ROOT = Path(__file__).resolve().parents[3]
FIGURES = {"mean_iou", "share_above_half", "objects", "per_class"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.lift_quality", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_real_frames(real_data: Path) -> None:
    done = run(str(real_data), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # standard output is one JSON object and nothing else
    assert set(result) == {"KITTI", "nuScenes", "SUN RGB-D"}
    for found in result.values():
        for contenders in found.values():
            for figures in contenders.values():
                assert figures.keys() >= FIGURES
                assert (
                    sum(one["objects"] for one in figures["per_class"].values())
                    == figures["objects"]
                    == contenders["clip2"]["objects"]
                )
            # The bare frustum holds all of the truth, by definition of it.
            assert contenders["bare frustum"]["recall"] == 1
            assert all(figures["seam_iou"] >= figures["mean_iou"] for figures in contenders.values())
    kitti = result["KITTI"]["boxes"]
    assert kitti["clip2"]["objects"] == 62
    recipe = kitti["frustum-dbscan (CLIP²)"]["mean_iou"]
    assert kitti["clip2"]["mean_iou"] > recipe + 0.2 > kitti["bare frustum"]["mean_iou"] + 0.2
    detected = result["KITTI"]["detector"]
    assert detected["clip2"]["mean_iou"] > detected["frustum-dbscan (CLIP²)"]["mean_iou"] + 0.1


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_a_folder_without_scans_is_an_error_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(str(tmp_path), *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "holds none of kitti_object/" in done.stderr


def test_a_longer_street_holds_distant_objects_whose_hidden_share_is_known() -> None:
    (case,) = synthetic_cases("street", 1, "perfect", (320, 94), beams=16, ahead=20)
    ranges = [np.linalg.norm(box.center) for box in case.boxes if box is not None]
    assert max(ranges) > 50
    assert len(case.occluded) == len(case.labels)
    assert 0 <= min(case.occluded) < max(case.occluded) <= 1
