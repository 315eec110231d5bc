"""A set is the same whoever mined it, and whoever died meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.deadly_stand_ins import DeadlyScan
from support.killing import PROCESSES, contents, kill_and_continue
from support.triplet_stand_ins import StandInDetections, StandInLifter, mine_stand_ins

from data_prep.errors import BadDatasetError, InputError
from data_prep.scale import create_engine
from data_prep.storage.store import open_store
from data_prep.triplets import Manifest, MiningConfig, mine, open_triplets
from data_prep.triplets.folder import Part, join_parts


def mine_with_workers(out: Path, count: int, pause: float, workers: int) -> Manifest:
    return mine_stand_ins(out, count, pause, engine=create_engine(workers=workers))


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path, workers: int) -> None:
    mine_stand_ins(tmp_path / "one")
    seen: list[int] = []
    engine = create_engine(workers=workers)
    mine_stand_ins(tmp_path / "many", engine=engine, on_frame=lambda progress: seen.append(progress.frames))
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert seen == list(range(1, 13))


def test_a_finished_set_needs_no_workers(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path)
    before = contents(tmp_path)
    assert mine_stand_ins(tmp_path, engine=create_engine(workers=2)).finished
    assert contents(tmp_path) == before


def test_frames_of_a_killed_worker_are_mined_again(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "whole")
    (tmp_path / "marks").mkdir()
    scan = DeadlyScan(Path("/nowhere"), tmp_path / "marks")
    out, engine = tmp_path / "out", create_engine(workers=2)
    config = MiningConfig(objects_per_shard=5)
    mine(scan, StandInDetections(), out, config, lifter=StandInLifter(), engine=engine)  # type: ignore[arg-type]
    assert {path.name for path in (tmp_path / "marks").iterdir()} == {"4", "9"}
    assert contents(out) == contents(tmp_path / "whole")


def killed_and_continued(tmp_path: Path, frames: int, pause: float, kills: int, seed: int) -> int:
    mine_stand_ins(tmp_path / "whole", count=frames)
    arguments = (frames, pause, 2)
    return kill_and_continue(
        tmp_path / "whole", tmp_path / "killed", mine_with_workers, arguments, pause, kills, seed
    )


def test_a_run_with_workers_killed_thrice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert killed_and_continued(tmp_path, frames=60, pause=0.02, kills=3, seed=0) == 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_with_workers_killed_thirty_times_gives_the_same_bytes(tmp_path: Path, seed: int) -> None:
    assert killed_and_continued(tmp_path, frames=300, pause=0.01, kills=30, seed=seed) >= 20


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Else every killed run would leave two behind."""
    process = PROCESSES.Process(target=mine_with_workers, args=(tmp_path / "out", 5000, 0.01, 2))
    process.start()
    while not list((tmp_path / "out").glob("shard-*.tar")):
        time.sleep(0.01)
    workers = _children_of(process.pid)
    process.kill()
    process.join()
    deadline = time.monotonic() + 30
    while any(map(_lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert workers
    assert not any(map(_lives, workers))


def test_parts_mined_into_one_folder_make_the_whole(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "whole")
    out = tmp_path / "parts"
    for number in (3, 1):
        mine_stand_ins(out, part=Part(number, 3))
        with pytest.raises(BadDatasetError, match="is split and not whole yet"):
            open_triplets(out)
    mine_stand_ins(out, part=Part(2, 3))
    joined, whole = open_triplets(out), open_triplets(tmp_path / "whole")
    joined.verify()
    assert [triplet.key for triplet in joined] == [triplet.key for triplet in whole]
    for name in ("rejections", "bad_frames", "config_hash", "finished", "versions"):
        assert getattr(joined.manifest, name) == getattr(whole.manifest, name)
    assert joined.manifest.totals["objects"] == whole.manifest.totals["objects"]
    assert joined.manifest.frames_done == 12


def test_a_part_is_continued_and_repeated_like_a_whole(tmp_path: Path) -> None:
    for number in (1, 2):
        mine_stand_ins(tmp_path, part=Part(number, 2))
    before = contents(tmp_path)
    (tmp_path / "manifest.json").unlink()
    mine_stand_ins(tmp_path, part=Part(1, 2))
    assert contents(tmp_path) == before


def test_more_parts_than_frames_leaves_some_empty(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        mine_stand_ins(tmp_path, count=2, part=Part(number, 3))
    assert len(open_triplets(tmp_path)) == 6


@pytest.mark.parametrize(
    ("part", "settings", "problem"),
    [
        (Part(1, 3), {}, "holds part 1 of 2, this is part 1 of 3. Fix: give --part K/2"),
        (Part(), {}, "holds part 1 of 2, this is a set in one piece"),
        (Part(1, 2), {"margin": 0.3}, "margin: was 0.1, is 0.3 now"),
    ],
)
def test_a_set_split_otherwise_is_refused(
    tmp_path: Path, part: Part, settings: dict[str, float], problem: str
) -> None:
    mine_stand_ins(tmp_path, part=Part(1, 2))
    before = contents(tmp_path)
    with pytest.raises(BadDatasetError, match=problem):
        mine_stand_ins(tmp_path, part=part, **settings)
    assert contents(tmp_path) == before


def test_a_part_does_not_go_into_a_set_in_one_piece(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path)
    with pytest.raises(BadDatasetError, match="holds a set in one piece, this is part 1 of 2"):
        mine_stand_ins(tmp_path, part=Part(1, 2))


def test_a_part_of_other_options_is_refused_before_it_is_mined(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, part=Part(1, 2))
    before = contents(tmp_path)
    with pytest.raises(BadDatasetError, match=r"margin: was 0.1, is 0.2 now"):
        mine_stand_ins(tmp_path, part=Part(2, 2), margin=0.2)
    assert contents(tmp_path) == before


def test_parts_that_became_different_are_not_joined(tmp_path: Path) -> None:
    for number in (1, 2):
        mine_stand_ins(tmp_path / str(number), part=Part(number, 2), margin=number / 10)
    for path in (tmp_path / "2").iterdir():
        path.rename(tmp_path / "1" / path.name)
    with pytest.raises(BadDatasetError, match=r"margin: is 0.1 in part 1 and 0.2 in part 2"):
        join_parts(open_store(tmp_path / "1"), 2)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, part=Part(2, 3))
    with pytest.raises(BadDatasetError, match=r"2 of them not finished \(1, 3\)\. Fix: .* --part 1/3"):
        join_parts(open_store(tmp_path), 3)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/2"])
def test_parts_that_do_not_exist(text: str) -> None:
    with pytest.raises(InputError, match="part: is"):
        Part.parse(text)


def test_parts_are_contiguous_and_miss_nothing() -> None:
    for of in range(1, 20):
        pieces = [Part(number, of).of_frames(range(13)) for number in range(1, of + 1)]
        assert [frame for piece in pieces for frame in piece] == list(range(13))
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def _children_of(pid: int | None) -> list[int]:
    """Workers belong to the forkserver that their parent started, so grandchildren are looked at too."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found = {pid}
    for _ in range(4):
        found |= {child for child, parent in parents.items() if parent in found}
    return sorted(child for child in found if child is not None and child != pid)


def _lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
