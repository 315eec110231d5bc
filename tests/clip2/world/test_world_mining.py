"""Mining the synthetic world: one rendering gives what a file of boxes and two renderings give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2.world.points.data import WatchedDetector, detections_file, mine_world, world_scan
from data_prep.detect import CocoDetections
from data_prep.errors import BadDatasetError
from data_prep.triplets import MiningConfig, mine, open_triplets
from data_prep.world import Setting


@pytest.mark.parametrize("setting", ["room", "street"])
def test_boxes_from_memory_and_from_a_file_give_the_same_triplets(tmp_path: Path, setting: Setting) -> None:
    watched = mine_world(world_scan(setting, 2, seed=3), tmp_path / "watched")
    scan = world_scan(setting, 2, seed=3)
    scan.save_detections(tmp_path / "boxes.json")
    boxes = CocoDetections.load(tmp_path / "boxes.json")
    mine(scan, boxes, tmp_path / "read", MiningConfig(min_score=0.0))
    assert watched.totals["objects"] > 5
    a, b = list(open_triplets(tmp_path / "watched")), list(open_triplets(tmp_path / "read"))
    assert [t.texts for t in a] == [t.texts for t in b]  # keys differ: a file numbers its boxes throughout
    for one, other in zip(a, b, strict=True):
        # A file rounds its boxes, and large clouds are thinned by a choice that hangs on the key.
        assert len(other.points) == pytest.approx(len(one.points), rel=0.02)
        assert np.allclose(one.provenance.center, other.provenance.center, atol=0.02)


def test_a_killed_run_goes_on_to_the_same_end_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mine_world(world_scan("room", 3, seed=4), tmp_path / "whole", objects_per_shard=4)
    assert whole.root == "room"  # a setting, no path

    def kill(progress: object) -> None:
        if getattr(progress, "frames", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine_world(world_scan("room", 3, seed=4), tmp_path / "killed", kill, objects_per_shard=4)
    assert not open_triplets(tmp_path / "killed").manifest.finished
    monkeypatch.chdir(tmp_path)
    after = mine_world(world_scan("room", 3, seed=4), tmp_path / "killed", objects_per_shard=4)
    assert [shard.sha256 for shard in after.shards] == [shard.sha256 for shard in whole.shards]


def test_what_was_listened_to_is_written_down(tmp_path: Path) -> None:
    scan = world_scan("street", 4, seed=7, detector="weak")
    detector = WatchedDetector(scan, detections_file(tmp_path / "street"))
    assert detector.path.name == "street.detector.json"
    assert '"seed": 7' in detector.path.read_text()
    assert '"detector": "weak"' in detector.path.read_text()
    assert not detector.is_ground_truth
    assert detector.check(scan).matched == 4
    with pytest.raises(BadDatasetError, match="another scan"):
        detector.check(world_scan("street", 4, seed=7, detector="weak"))


def test_exact_boxes_are_said_to_be_labels(tmp_path: Path) -> None:
    scan = world_scan("room", 1, seed=1, detector="perfect")
    assert WatchedDetector(scan, tmp_path / "exact.json").is_ground_truth
