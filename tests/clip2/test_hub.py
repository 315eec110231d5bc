"""Checkpoints pushed to a local stand-in of a hub's API by the real huggingface_hub, and loaded from there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.hub_server import Hub, running_hub

import clip2
from clip2.hub import model_card, push
from data_prep.errors import InputError


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clip2.save(
        clip2.load("mini-points"), tmp_path / "run", training={"steps": 3, "environment": {"torch": "2"}}
    )
    (tmp_path / "run" / "state").mkdir()
    (tmp_path / "run" / "state" / "step-000000003.safetensors").write_bytes(b"private")
    return tmp_path / "run"


def run(hub: Hub, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | hub.environment(tmp_path / "home")
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120
    )


def test_a_pushed_model_is_loaded_by_its_name(hub: Hub, folder: Path, tmp_path: Path) -> None:
    pushed = run(
        hub, tmp_path, "-m", "clip2", "push", str(folder), "hf-hub:lab/chairs", "--license", "apache-2.0"
    )
    assert (pushed.returncode, pushed.stderr) == (0, "")
    assert "hf-hub:lab/chairs" in pushed.stdout
    stored = hub.repositories["lab/chairs"]
    expected = {path.name for path in folder.iterdir() if path.is_file()}
    assert set(stored) == expected  # the state of the training stays at home
    assert b"license: apache-2.0" in stored["README.md"]
    script = (
        "import clip2, numpy as np; model = clip2.load('hf-hub:lab/chairs'); "
        "print(model.encode([np.random.default_rng(0).random((50, 3))]).tolist())"
    )
    loaded = run(hub, tmp_path, "-c", script)
    assert loaded.returncode == 0, loaded.stderr
    cloud = np.random.default_rng(0).random((50, 3))
    assert loaded.stdout.strip() == str(clip2.load(folder).encode([cloud]).tolist())


def test_a_hub_that_refuses_is_one_line(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.refuse = 403
    pushed = run(hub, tmp_path, "-m", "clip2", "push", str(folder), "lab/chairs", "--license", "mit")
    assert pushed.returncode == 2
    assert len(pushed.stderr.strip().splitlines()) == 1
    assert "the hub refuses (" in pushed.stderr


def test_what_cannot_be_pushed_is_refused_before_any_request(hub: Hub, folder: Path, tmp_path: Path) -> None:
    asked = run(hub, tmp_path, "-m", "clip2", "push", str(folder), "lab/chairs")
    assert asked.returncode == 2
    assert "--license" in asked.stderr
    with pytest.raises(InputError, match="is not hf-hub:ORG/NAME"):
        push(folder, "chairs", "mit")
    with pytest.raises(InputError, match="license"):
        push(folder, "lab/chairs", " ")
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(InputError, match="differs from the checksum"):
        push(folder, "lab/chairs", "mit")
    assert not hub.requests


def test_the_card_tells_what_a_user_must_know(folder: Path) -> None:
    card = model_card(folder)
    model = clip2.load(folder)
    for fact in (model.teacher.name, str(model.preprocessing.num_points), "| axes | z up |", "| torch | 2 |"):
        assert fact in card
    assert "license" not in card  # nobody has chosen one yet
