"""Machines that refuse; `python -m benchmarks.siege disk` tries every job against every hardship."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from pathlib import Path

import pytest
from siege.hardships import JOB_NAMES, run_hardships
from siege.kills import make_inputs
from siege.scale import measure
from siege.soak import JOBS, soak

from clip2.cli.main import main
from data_prep import open_scan
from data_prep.errors import InputError
from data_prep.scans.layout.save import save_layout
from data_prep.triplets.writer import TripletWriter

CONVERT = ["convert", "procedural", "room", "--option=frames=3", "--option=image_size=40,30"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("step", [0, 4])
def test_a_disk_that_refuses_is_one_line_and_the_same_command_continues(
    code: int, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, calls, fsync = tmp_path / "out", 0, os.fsync

    def refuse(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert main([*CONVERT, str(out)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("clip2: ")]
    assert len(lines) == 1
    assert f"cannot be written ({os.strerror(code)})" in lines[0]
    assert main([*CONVERT, str(out)]) == 0
    assert main([*CONVERT, str(tmp_path / "whole")]) == 0
    assert contents(out) == contents(tmp_path / "whole")


def test_a_right_that_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(command: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "scan")

    monkeypatch.setattr("clip2.cli.convert.Convert.run", refuse)
    assert main([*CONVERT, str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("clip2: scan: Permission denied. Fix: get the right")


def test_a_full_disk_is_told_as_the_system_tells_it_also_of_arrays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (4500, before[1])
    )  # an image has room, a depth of 1,200 floats has not
    try:
        assert main([*CONVERT, str(tmp_path / "out")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err
    assert "depth/" in error
    assert f"cannot be written ({os.strerror(errno.EFBIG)})" in error


def test_a_folder_that_is_removed_meanwhile_is_one_line(tmp_path: Path) -> None:
    scan, out = open_scan("procedural", "room", frames=3, image_size=(40, 30)), tmp_path / "out"

    def remove(done: int, total: int) -> None:
        if done == 2:
            shutil.rmtree(out)

    with pytest.raises(InputError, match=r"out: was removed while it was written\. Fix: run the same again"):
        save_layout(scan, out, on_frame=remove)
    assert not out.exists()
    assert save_layout(scan, out).written == 3


def test_a_manifest_does_not_tell_the_password_of_a_url(tmp_path: Path) -> None:
    with TripletWriter(tmp_path, source="kitti", root="sftp://me:secret@robot/data") as writer:
        assert writer.manifest.root == "sftp://…@robot/data"


def test_a_hundred_shards_in_ten_parts_are_joined(tmp_path: Path) -> None:
    steps = [step for step, _ in measure(tmp_path, shards=100, parts=10)]
    assert steps[-1] == "join all parts"


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_long_work_holds_no_more_than_short_work(name: str) -> None:
    held = soak(name, JOBS[name][1] // 20)
    assert held.flat, held


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOB_NAMES)
def test_every_job_survives_every_hardship(name: str, inputs: Path, tmp_path: Path) -> None:
    for hardship, problems in run_hardships(name, inputs, tmp_path / "job"):
        assert not problems, hardship
