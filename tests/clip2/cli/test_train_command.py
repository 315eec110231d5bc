"""``clip2 train`` as it is called from a shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.tiny_clip import make_tiny_clip
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.cli.main import main
from clip2.cli.model_options import ModelOptions
from clip2.teacher import TextBank, embed_triplets
from data_prep.triplets import Provenance, Triplet, write_triplets


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    """Twelve objects with words; their features come from a bank."""
    random = np.random.default_rng(0)
    objects = [
        Triplet(
            f"o{i}",
            surface(i % 3, random, 60),
            None,
            None,
            (WORDS[i % 3],),
            Provenance(source="test", frame=str(i)),
        )
        for i in range(12)
    ]
    write_triplets(tmp_path / "triplets", objects, source="test")
    embed_triplets(tmp_path / "triplets", bank=TextBank(WORDS, unit_rows(3), "ViT-B-32/openai"))
    return tmp_path / "triplets"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "model: {encoder: {name: pointnet, options: {widths: [16, 32]}}, preprocessing: {num_points: 32}}\n"
        "loop: {batch_size: 6, steps: 3}\n"
        "device: {accelerator: cpu, threads: 1}\n"
    )
    return path


def test_train_then_use(
    triplets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["train", "--config", str(config), "--data", str(triplets), "--out", str(run), "--json"]
    assert main([*arguments, "--set", "loop.steps=4", "--set", "data.hold_out=0.25"]) == 0
    output = capsys.readouterr()
    figures = json.loads(output.out)
    assert figures["finished"] is True
    assert (figures["step"], figures["objects"], figures["objects_held_out"]) == (4, 9, 3)
    assert "training on the text term alone" in output.err
    model = clip2.load(run)
    assert model.classify([surface(0, np.random.default_rng(1))], WORDS).scores.shape == (1, 3)


def test_prompts_travel_from_the_features_to_the_words_asked_for(
    triplets: Path, config: Path, tmp_path: Path
) -> None:
    clip = make_tiny_clip(tmp_path / "clip")
    shutil.rmtree(triplets / "features")
    assert main(["embed", str(triplets), "--clip", clip, "--templates", "ulip-64", "--device", "cpu"]) == 0
    run = tmp_path / "run"
    assert main(["train", "--config", str(config), "--data", str(triplets), "--out", str(run)]) == 0
    model = clip2.load(run)
    assert model.teacher.templates == "ulip-64"
    assert model.text_bank is not None
    assert model.text_bank.templates == "ulip-64"
    asked = ModelOptions(labels="ball", clip=clip, device="cpu").text_source(model)
    assert np.abs(asked.embed_labels(WORDS) - model.text_bank.lookup(WORDS)).max() < 1e-5


def test_resume_needs_the_folder_alone(
    triplets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "--config", str(config), "--data", str(triplets), "--out", str(run)]) == 0
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--set", "optimizer.lrr=1"], "--set: optimizer.lrr: is not a known key. Fix: did you mean lr?"),
        (["--set", "loop.steps=many"], "--set: loop.steps: 'many' is not possible"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    triplets: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    said: str,
) -> None:
    data = [] if "--data" in extra else ["--data", str(triplets)]
    code = main(["train", "--config", str(config), *data, "--out", str(tmp_path / "run"), *extra])
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_folder_is_refused(
    triplets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--config", str(config), "--data", str(triplets), "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["file", "file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "file").touch()
    if out.startswith("/proc") and sys.platform != "linux":
        pytest.skip("a folder where not even root can write")
    # The triplets are not there either: reading them would be the first work.
    assert main(["train", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert f"{out}: --out: " in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.slow
def test_two_processes_under_torchrun(triplets: Path, config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "clip2", "train"]
    command += ["--config", str(config), "--data", str(triplets), "--set", "device.devices=2"]
    command += ["--set", "loop.checkpoint_every=2", "--set", "loop.steps=4", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for run in ("a", "b"):
        subprocess.run([*command, str(tmp_path / run)], check=True, env=environment)
    # Continue one of them from the middle: both processes must take up the same state.
    (tmp_path / "b" / "state" / "step-000000004.safetensors").unlink()
    subprocess.run([*command, str(tmp_path / "b"), "--resume"], check=True, env=environment)
    clip2.load(tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_a_dry_run_says_the_cost_and_writes_nothing(
    triplets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--config", str(config), "--data", str(triplets), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 3
    assert main([*arguments, "--dry-run"]) == 0
    assert "3 steps over 12 objects" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
