"""Mining with association: nothing lost, nothing doubled, whoever kills it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.killing import contents, dies_at, kill_and_continue
from support.triplet_stand_ins import WORDS, mine_stand_ins

from data_prep.associate import AssociationConfig
from data_prep.errors import InputError
from data_prep.triplets import Manifest, Triplet, open_triplets


def mine_objects(out: Path, count: int = 12, pause: float = 0.0, **config: float) -> Manifest:
    """The stand-in scan: three things in the same places in every frame, 3 and 8 are bad."""
    return mine_stand_ins(out, count, pause, associate=AssociationConfig(enabled=True, **config))  # type: ignore[arg-type]


def detections_in(triplets: list[Triplet]) -> list[tuple[str, int, int]]:
    return [row for one in triplets for row in one.provenance.sightings or (one.provenance.place,)]


def test_three_things_in_ten_frames_are_three_objects(tmp_path: Path) -> None:
    manifest = mine_objects(tmp_path)
    triplets = list(open_triplets(tmp_path))
    assert manifest.totals["objects"] == len(triplets) == 3
    assert manifest.merged == 27
    assert manifest.rejections == {"too-few-points": 10}
    assert [triplet.provenance.label for triplet in triplets] == list(WORDS)
    assert all(len(triplet.crops) == 4 for triplet in triplets)
    assert all(triplet.provenance.motion == "standing" for triplet in triplets)


def test_every_detection_is_in_exactly_one_object(tmp_path: Path) -> None:
    mine_objects(tmp_path, segment=4)
    rows = detections_in(list(open_triplets(tmp_path)))
    expected = [(f"f{frame:03d}", 0, 11 + k) for frame in range(12) if frame % 5 != 3 for k in range(3)]
    assert sorted(rows) == sorted(expected)


def test_a_segment_ends_all_objects_and_its_shard(tmp_path: Path) -> None:
    manifest = mine_objects(tmp_path, segment=4)
    assert [shard.count for shard in manifest.shards] == [3, 3, 3]
    assert manifest.frames_done == 12


def test_without_association_nothing_changes(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "plain")
    assert all(not triplet.views for triplet in open_triplets(tmp_path / "plain"))


def test_other_settings_in_the_same_folder_are_rejected_by_name(tmp_path: Path) -> None:
    mine_objects(tmp_path)
    with pytest.raises(InputError, match=r"associate\.views: was 4, is 2 now"):
        mine_objects(tmp_path, views=2)
    with pytest.raises(InputError, match="associate"):
        mine_stand_ins(tmp_path)


def test_objects_in_a_webdataset_keep_their_first_crop_where_old_readers_look(tmp_path: Path) -> None:
    import webdataset

    mine_objects(tmp_path)
    first = next(
        iter(webdataset.WebDataset(str(tmp_path / "shard-000000.tar"), shardshuffle=False).decode("rgb8"))
    )
    mine = next(iter(open_triplets(tmp_path)))
    assert first["__key__"] == mine.key
    np.testing.assert_array_equal(first["points.npy"], mine.points)
    assert first["jpg"].shape == mine.crop.shape  # type: ignore[union-attr]
    assert first["2.jpg"].shape == mine.views[1].crop.shape  # type: ignore[union-attr]
    np.testing.assert_array_equal(first["2.points.npy"], mine.views[1].points)


@pytest.mark.parametrize("step", range(0, 12, 2))
def test_stopping_at_any_flush_or_rename_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    mine_objects(tmp_path / "whole", segment=4)
    out = tmp_path / "stopped"
    with dies_at(step, monkeypatch):
        mine_objects(out, segment=4)
    mine_objects(out, segment=4)
    assert contents(out) == contents(tmp_path / "whole")


def mine_short_segments(out: Path, frames: int, pause: float) -> Manifest:
    return mine_objects(out, frames, pause, segment=6, max_gap=0.15)


def killed_and_continued(tmp_path: Path, frames: int, pause: float, kills: int, seed: int) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    mine_short_segments(whole, frames, 0.0)
    kill_and_continue(whole, out, mine_short_segments, (frames, pause), pause, kills, seed)
    rows = detections_in(list(open_triplets(out)))
    assert len(rows) == len(set(rows)) == 3 * sum(frame % 5 != 3 for frame in range(frames))


@pytest.mark.slow
def test_a_run_killed_four_times_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    killed_and_continued(tmp_path, frames=36, pause=0.005, kills=4, seed=0)


@pytest.mark.slow
def test_a_run_killed_twenty_times_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    killed_and_continued(tmp_path, frames=150, pause=0.004, kills=20, seed=1)
