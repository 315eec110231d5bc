import inspect as python_inspect
import os
import subprocess
import sys

import pytest

from clip2.cli import main
from clip2.cli.main import COMMANDS, load_command

# What each command needs before it can run.
REQUIRED = {
    "check": ["kitti", "root"],
    "auto": ["kitti", "root", "--out", "out"],
    "detect": ["kitti", "root", "--vocabulary", "mug", "--out", "out.json"],
    "prep": ["kitti", "root", "--out", "out"],
    "label": ["kitti", "root", "--format", "kitti", "--out", "out"],
    "inspect": ["set"],
    "embed": ["set"],
    "train": ["--out", "run"],
    "classify": ["a.ply", "--labels", "mug"],
    "recognize": ["a.ply", "--labels", "mug"],
    "convert": ["kitti", "root", "out"],
    "index": ["result.json", "--out", "index"],
    "search": ["index", "mug"],
    "map": ["rgbd", "root", "--labels", "mug", "--out", "map"],
    "fetch": ["uni3d-ti"],
    "labels": ["build", "--vocabulary", "mug", "--out", "bank.npz"],
    "export": ["run", "--onnx", "graphs"],
    "eval": ["run", "--benchmark", "modelnet10", "--root", "data"],
    "view": ["a.ply"],
    "push": ["run", "hf-hub:lab/run", "--license", "mit"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_flag_in_every_command(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: clip2 {name} " in shown
    assert "--json" in shown or name == "serve"  # it answers in JSON over HTTP and prints no result
    assert "--no-" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_promises_to_continue_only_if_it_does(name, capsys, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    command = load_command(name)
    monkeypatch.setattr(command, "run", stop)
    assert main([name, *REQUIRED.get(name, [])]) == 130
    said = capsys.readouterr().err
    assert "clip2: interrupted" in said
    promises = "same command continues" in " ".join((python_inspect.getdoc(command) or "").split())
    assert ("same command again" in said) == promises


def test_a_reader_that_went_away_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    asked = [sys.executable, "-m", "clip2", "label", "--help"]
    gone = subprocess.run(asked, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert gone.stderr == ""
    assert gone.returncode in (141, 0)  # 0: tyro before 1.0 prints through rich, which ends quietly itself


def test_the_overview_lists_every_command_with_one_line(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, entry in COMMANDS.items():
        assert f"  {name:<9}  {entry.summary}" in lines
    assert max(map(len, lines)) <= 80


def test_no_command_is_a_usage_error(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: clip2 COMMAND")


@pytest.mark.parametrize(
    ("typed", "advice"),
    [("clasify", "did you mean clip2 classify?"), ("xyz", "use one of demo, auto, check, ")],
)
def test_a_misspelt_command_is_one_line(typed, advice, capsys):
    assert main([typed, "--json"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"clip2: command: '{typed}' is unknown. Fix: {advice}")
    assert said.count("\n") == 1


def test_python_dash_m_is_the_command():
    command = [sys.executable, "-m", "clip2", "recognize", "nowhere.ply", "--labels", "mug", "--voxel", "0"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "clip2: --voxel: is 0.0. Fix: give meters above 0\n"
