"""One object that two cameras of one moment see: one triplet with two views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.associate import AssociationConfig
from data_prep.detect import CocoDetections
from data_prep.lift import LiftConfig
from data_prep.scans import open_scan
from data_prep.triplets import MiningConfig, mine, open_triplets
from data_prep.triplets.triplet import Triplet
from data_prep.world import scan as procedural

PLAIN = MiningConfig(min_score=0.0, lift=LiftConfig(name="lidar"))
ASSOCIATED = PLAIN.model_copy(update={"associate": AssociationConfig(enabled=True)})


def things(triplet: Triplet, name: str) -> Iterator[str]:
    """Identity of the detections of a triplet, by an attribute that association must not read."""
    for view in triplet.provenance.views or (triplet.provenance,):
        yield str(view.attributes[name])


def test_cameras_that_overlap_see_one_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        procedural._FIELDS_OF_VIEW, "street", 120.0
    )  # four cameras, each sees 30° of the next
    scan = open_scan(
        "procedural", "street", frames=1, cameras=("front", "left", "back", "right"), noise=False
    )
    scan.save_detections(tmp_path / "boxes.json")  # type: ignore[attr-defined]
    found = CocoDetections.load(tmp_path / "boxes.json")
    mine(scan, found, tmp_path / "plain", PLAIN)
    mine(scan, found, tmp_path / "objects", ASSOCIATED)
    plain = Counter(name for t in open_triplets(tmp_path / "plain") for name in things(t, "track_id"))
    doubled = {name for name, count in plain.items() if count > 1}
    assert len(doubled) >= 5
    holders = Counter()
    for triplet in open_triplets(tmp_path / "objects"):
        names = set(things(triplet, "track_id"))
        assert len(names) == 1
        holders.update(names)
    apart = {name for name in doubled if holders[name] > 1}
    assert len(apart) <= 0.2 * len(doubled)  # far things, of which each camera has a few points
    for triplet in open_triplets(tmp_path / "objects"):
        (name,) = set(things(triplet, "track_id"))
        if name in doubled - apart:
            assert len(triplet.crops) == len({view.view_index for view in triplet.provenance.views}) > 1


def test_real_cameras_see_one_object(real_data: Path, tmp_path: Path) -> None:
    scan = open_scan("nuscenes", real_data / "nuscenes")
    found = CocoDetections.load(real_data / "detections" / "nuscenes_gt.json")
    mine(scan, found, tmp_path / "plain", PLAIN)
    mine(scan, found, tmp_path / "objects", ASSOCIATED)
    name = "sample_annotation_token"
    plain = Counter(token for t in open_triplets(tmp_path / "plain") for token in things(t, name))
    assert plain.total() - len(plain) >= 3  # stand where two images overlap, and both show enough of them
    merged = [set(things(t, name)) for t in open_triplets(tmp_path / "objects")]
    assert sorted(map(len, merged)) == [1] * len(plain)
    assert set.union(*merged) == set(plain)
