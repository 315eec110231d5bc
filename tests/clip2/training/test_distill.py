"""Distillation: a small encoder learns the embeddings of a public one, from files alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.training_shapes import surface

import clip2
from clip2.cli.main import main
from clip2.pretrained import convert_checkpoint
from clip2.teacher import load_features
from data_prep.triplets import Triplet, write_triplets
from tests.support.public_twins import TWINS

TINY = (
    *("--set", "model.encoder.name=pointnet", "--set", "model.encoder.options={widths: [32, 64, 128]}"),
    *("--set", "model.preprocessing.num_points=64", "--set", "loop.steps=20", "--set", "loop.batch_size=16"),
    *("--set", "device.accelerator=cpu", "--config", "configs/train/distill.yaml"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 colored clouds of three shapes without labels or pictures."""
    random = np.random.default_rng(0)
    triplets = []
    for number in range(24):
        points = surface(number % 3, random)
        colors = random.integers(0, 256, (len(points), 3), dtype=np.uint8)
        triplets.append(Triplet(f"t-{number}", points.astype(np.float32), colors, None, ("object",)))
    write_triplets(tmp_path / "set", triplets, source="test", objects_per_shard=10)
    return tmp_path / "set"


def test_a_public_encoder_teaches_unlabeled_clouds(folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "teacher.pt"
    TWINS["uni3d-ti"].write(checkpoint, TWINS["uni3d-ti"].state(1))
    public = tmp_path / "public"
    clip2.save(convert_checkpoint(checkpoint), public)
    teacher = clip2.load(str(public))
    assert main(["embed", str(folder), "--points", str(public)]) == 0
    features = load_features(folder)
    assert features.points is not None
    first = next(iter(_triplets(folder)))
    own = teacher.encode([first.points], [first.colors])[0].numpy()
    assert features.points[0].astype(np.float32) @ own > 0.999

    run = tmp_path / "run"
    assert main(["train", "--out", str(run), "--data", str(folder), *TINY]) == 0
    student = clip2.load(str(run))
    assert student.teacher == teacher.teacher


def test_mini_points_teaches_by_name(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["--out", str(run), "--data", str(folder), *TINY]
    assert main(["train", *arguments, "--teacher-points", "mini-points"]) == 0
    clouds = _triplets(folder)
    points, colors = [one.points for one in clouds], [one.colors for one in clouds]
    taught = clip2.load("mini-points").encode(points, colors).numpy()
    learned = clip2.load(str(run)).encode(points, colors).numpy()
    assert (taught * learned).sum(1).mean() > 0.8  # two untrained networks: about 0


def test_features_without_a_point_teacher_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = tmp_path / "bank.npz"
    np.savez(bank, names=["ball"], embeddings=np.array([[1, 0]], np.float32), model="ViT-B-32/openai")
    balls = [replace(one, texts=("ball",)) for one in _triplets(folder)]
    write_triplets(tmp_path / "balls", balls, source="test")
    folder = tmp_path / "balls"
    assert main(["embed", str(folder), "--bank", str(bank)]) == 0
    assert main(["train", "--out", str(tmp_path / "run"), "--data", str(folder), *TINY]) == 2
    assert "--teacher-points NAME" in " ".join(capsys.readouterr().err.split())


def test_vectors_of_another_clip_model_beside_it_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = tmp_path / "bank.npz"
    np.savez(bank, names=["ball"], embeddings=np.array([[1, 0]], np.float32), model="ViT-B-32/openai")
    assert main(["embed", str(folder), "--points", "mini-points", "--bank", str(bank)]) == 2
    assert "ViT-B-32/openai" in capsys.readouterr().err


def _triplets(folder: Path) -> list[Triplet]:
    from data_prep.triplets import open_triplets

    triplets = open_triplets(folder)
    return [triplet for shard in triplets.shards for triplet in triplets.iter_shard(shard.name)]
