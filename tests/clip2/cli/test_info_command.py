"""``clip2 info`` as it is called from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.mini_stand_ins import WORDS, put_tiny_mini_points

import clip2
from clip2 import checkpoint
from clip2.cli.main import main
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.teacher import TextBank


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = ModelConfig(
        encoder=EncoderConfig(name="pointnet", options={"widths": (8, 16)}),
        teacher=TeacherSpec(name="ViT-B-32/openai", width=4),
    )
    bank = TextBank(("mug", "chair"), np.eye(2, 4, dtype=np.float32), "ViT-B-32/openai")
    checkpoint.save(Clip2Model(config), tmp_path / "run", bank, {"step": 12, "train/loss": 0.25})
    return tmp_path / "run"


def test_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["clip2"] == clip2.__version__
    assert facts["devices"]["cpu cores"] >= 1
    assert "farthest_point_sample on cpu" in facts["backends"]
    assert "pointnet2_ssg" in facts["encoders"]["names"]


def test_a_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    # PointNet 6→8→16 without biases, each layer's norm 2 per channel, 3 for absent color; 16→4 with biases; 2 scales.
    assert facts["checkpoint"]["parameters"] == (6 * 8 + 16) + (8 * 16 + 32) + 3 + (16 * 4 + 4) + 2
    assert facts["encoder"] == {"name": "pointnet", "widths": [8, 16]}
    assert facts["teacher"] == {"name": "ViT-B-32/openai", "width": 4, "templates": None}
    assert facts["preprocessing"]["num_points"] == 1024
    assert facts["words"] == {"count": 2, "names": ["mug", "chair"]}
    assert facts["training"] == {"step": 12, "train/loss": 0.25}


def test_the_shipped_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = put_tiny_mini_points(tmp_path, monkeypatch)
    card = {"seen": 0.93, "draws": [{"seen": 0.9}]}
    (tmp_path / "points" / "score_card.json").write_text(json.dumps(card))
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    points, teacher = facts["shipped mini-points"], facts["shipped teacher mini"]
    assert points["state"] == teacher["state"] == "checksums match"
    assert points["taught by"] == model.teacher.name
    assert points["score: seen"] == 0.93
    assert "score: draws" not in points
    size = sum(file.stat().st_size for file in (tmp_path / "points").iterdir())
    assert points["size"] == f"{size / 1e6:.1f} MB"
    assert main(["info", "mini-points", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"]["names"] == list(WORDS)


def test_a_shipped_model_that_is_altered_or_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_tiny_mini_points(tmp_path, monkeypatch)
    with (tmp_path / "points" / "text_bank.npz").open("ab") as file:
        file.write(b"x")
    (tmp_path / "teacher" / "open_clip_model.safetensors").unlink()
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert "sha256" in facts["shipped mini-points"]["state"]
    assert "is missing" in facts["shipped teacher mini"]["state"]


def test_tables_for_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run)]) == 0
    assert "ViT-B-32/openai" in capsys.readouterr().out
    assert main(["info"]) == 0
    assert "open_clip_torch" in capsys.readouterr().out


def test_no_such_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err
