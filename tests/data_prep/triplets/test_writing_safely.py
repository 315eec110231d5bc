"""Killed, repeated, doubled and misdirected runs."""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.process
import os
import time
from pathlib import Path

import pytest
from support.killing import PROCESSES, contents, dies_at, kill_and_continue
from support.triplet_stand_ins import mine_stand_ins

from data_prep.errors import BadDatasetError, InputError


def start_mining(out: Path, frames: int, pause: float) -> multiprocessing.process.BaseProcess:
    process = PROCESSES.Process(target=mine_stand_ins, args=(out, frames, pause))
    process.start()
    return process


def killed_and_continued(tmp_path: Path, frames: int, pause: float, kills: int, seed: int) -> None:
    mine_stand_ins(tmp_path / "whole", count=frames)
    out = tmp_path / "killed"
    kill_and_continue(tmp_path / "whole", out, mine_stand_ins, (frames, pause), pause, kills, seed)


def test_a_run_killed_eight_times_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    killed_and_continued(tmp_path, frames=60, pause=0.01, kills=8, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_a_run_killed_forty_times_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path, seed: int) -> None:
    killed_and_continued(tmp_path, frames=300, pause=0.004, kills=40, seed=seed)


@pytest.mark.parametrize("step", range(12))
def test_stopping_at_any_flush_or_rename_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Random moments rarely fall between two system calls; this stops before each of the first ones in turn."""
    mine_stand_ins(tmp_path / "whole")
    out = tmp_path / "stopped"
    with dies_at(step, monkeypatch):
        mine_stand_ins(out)
    mine_stand_ins(out)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_finished_run_called_again_changes_nothing(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    assert mine_stand_ins(tmp_path).finished
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"margin": 0.2}, "margin: was 0.1, is 0.2 now"),
        ({"objects_per_shard": 7}, "objects_per_shard: was 5, is 7 now"),
        ({"reach": 2.0}, "lifter.reach: was 1.0, is 2.0 now"),
        ({"min_score": 0.5}, "mining.min_score: was 0.3, is 0.5 now"),
        ({"count": 11}, "frames.count: was 12, is 11 now"),
        (
            {"scan_options": {"list_sha256": "0a1b"}},
            r"scan.list_sha256: was '\(not set\)', is|is not what it was\. Fix",
        ),
    ],
)
def test_other_options_in_the_same_folder_are_rejected_by_name(
    tmp_path: Path, settings: dict[str, object], name: str
) -> None:
    mine_stand_ins(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(BadDatasetError, match=name) as caught:
        mine_stand_ins(tmp_path, **settings)  # type: ignore[arg-type]
    assert "another folder" in str(caught.value)
    assert contents(tmp_path) == before


def test_leftovers_of_a_killed_run_are_removed_and_other_files_are_not(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "whole")
    out = tmp_path / "out"
    mine_stand_ins(out)
    for stray in (".shard-000009.tar.part", "shard-000009.tar", ".manifest.json.part"):
        (out / stray).write_text("half")
    (out / "notes.txt").write_text("mine")
    mine_stand_ins(out)
    assert contents(out) == {**contents(tmp_path / "whole"), "notes.txt": b"mine"}


def test_a_folder_of_something_else_is_rejected_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shard-000000.tar").write_text("somebody's own shards")
    with pytest.raises(BadDatasetError, match=r"holds 'shard-000000\.tar' and no manifest"):
        mine_stand_ins(tmp_path)
    assert contents(tmp_path) == {"shard-000000.tar": b"somebody's own shards"}


def test_a_file_in_place_of_the_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadDatasetError, match="out: is a file"):
        mine_stand_ins(tmp_path / "out")


def test_a_listed_shard_that_lost_bytes_stops_the_continuation(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path)
    (tmp_path / "shard-000001.tar").write_bytes(b"")
    with pytest.raises(BadDatasetError, match=r"shard-000001\.tar: has 0 bytes, the manifest says"):
        mine_stand_ins(tmp_path)


def test_two_processes_never_write_one_folder(tmp_path: Path) -> None:
    process = start_mining(tmp_path, frames=2000, pause=0.01)
    try:
        while not (tmp_path / "manifest.json").exists():  # it is written under the lock
            time.sleep(0.005)
        since = r"since \d{4}-\d\d-\d\d \d\d:\d\d UTC"
        who = f"is being written by process {process.pid} on this machine, {since}"
        with pytest.raises(InputError, match=rf"{who}\. Fix: wait for it, or stop it \(kill {process.pid}\)"):
            mine_stand_ins(tmp_path, count=2000)
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("call", [0, 3, 4])
def test_a_full_disk_is_one_line_and_the_run_continues_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    mine_stand_ins(tmp_path / "whole")
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(
            InputError, match=r"out: cannot be written \(No space left on device\)\. Fix: make room"
        ):
            mine_stand_ins(tmp_path / "out")
    mine_stand_ins(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/out: cannot be written"):
        mine_stand_ins(tmp_path / "file" / "out")
