import inspect as python_inspect
import subprocess
import sys

import pytest

from clip2.cli import main
from clip2.cli.main import COMMANDS, _load


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_flag_in_every_command(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "--json" in shown
    assert "--no-" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_promises_to_continue_only_if_it_does(name, capsys, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    command = _load(COMMANDS[name])
    monkeypatch.setattr(command, "run", stop)
    required = {
        "check": ["kitti", "root"],
        "detect": ["kitti", "root", "--vocabulary", "mug", "--out", "out.json"],
        "prep": ["kitti", "root", "--out", "out"],
        "inspect": ["set"],
        "embed": ["set"],
        "train": ["--out", "run"],
        "classify": ["a.ply", "--labels", "mug"],
        "recognize": ["a.ply", "--labels", "mug"],
        "export": ["kitti", "root", "out"],
    }
    assert main([name, *required.get(name, [])]) == 130
    said = capsys.readouterr().err
    assert "clip2: interrupted" in said
    promises = "same command continues" in " ".join((python_inspect.getdoc(command) or "").split())
    assert ("same command again" in said) == promises


def test_python_dash_m_is_the_command():
    command = [sys.executable, "-m", "clip2", "recognize", "nowhere.ply", "--labels", "mug", "--voxel", "0"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "clip2: --voxel: is 0.0. Fix: give meters above 0\n"
