"""``clip2 check`` as it is called from a shell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.rgbd_twins import write_tum

from clip2.cli.main import main

ROOM = [
    "check",
    "procedural",
    "room",
    "--option",
    "frames=4",
    "--option",
    "image_size=96,72",
    "--frames",
    "4",
]


def test_tables_say_what_is_there_and_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ROOM) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "procedural room: 4 frames, 4 read" in out
    assert "images: 1 per frame, 96x72" in out
    assert "neighboring frames agree to" in out


def test_json_is_one_object_and_the_page_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "page.html"
    assert main([*ROOM, "--json", "--out", str(page)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is True
    assert record["frames"] == 4
    assert record["page"] == str(page)
    assert {f["check"] for f in record["findings"]} >= {"poses", "depth", "up", "projection"}
    assert record["motion"][0]["residuals"]["as given"] < 0.1
    assert "Agreement of neighboring frames" in page.read_text()


def test_what_is_wrong_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_tum(tmp_path / "scan"))
    assert main(["check", "tum", root, "--option", "up=z", "--json"]) == 0
    capsys.readouterr()
    assert main(["check", "tum", root, "--option", "up=z", "--option", "depth_scale=1", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is False
    assert record["findings"][0]["severity"] == "error"
    assert all(finding["fix"] for finding in record["findings"] if finding["severity"] == "error")


def test_a_scan_that_cannot_be_opened_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tum", str(write_tum(tmp_path))]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "up: is not stated" in error
    assert main(["check", "kitty", str(tmp_path)]) == 2
    assert main(["check", "tum", str(tmp_path), "--option", "up=z", "--out", str(tmp_path.parent)]) == 2
    assert "--out: is a folder" in capsys.readouterr().err


def test_it_runs_without_torch_and_open3d(tmp_path: Path) -> None:
    arguments = ["check", "tum", str(write_tum(tmp_path)), "--option", "up=z"]
    code = f"import sys; from clip2.cli.main import main; main({arguments!r}); sys.exit(bool({{'torch', 'open3d'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
