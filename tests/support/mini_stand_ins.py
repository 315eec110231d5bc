"""A teacher and a student small enough for tests, in the places of the two that ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_clip import make_tiny_clip

from clip2.checkpoint import add_familiarity, load, save
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood.detector import OODDetector
from clip2.teacher import Teacher, TextBank, bundled
from clip2.world.teacher.training import seal

WORDS = ("chair", "table", "box", "traffic light")
WIDTH = 16


def put_tiny_mini(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Teacher:
    """Make ``Teacher.load("mini")`` find a tiny CLIP with random weights, and load it."""
    make_tiny_clip(folder, width=WIDTH, seed=seed)
    seal(folder)
    monkeypatch.setattr(bundled, "FOLDER", folder)
    return Teacher.load("mini")


def save_tiny_student(folder: Path, teacher: Teacher) -> Clip2Model:
    """An untrained model that speaks the teacher's language, with :data:`WORDS` as its vocabulary."""
    torch.manual_seed(0)
    config = {
        "encoder": {"name": "pointnet2_ssg_small"},
        "preprocessing": {"num_points": 128, "size": True},
        "teacher": {"name": teacher.model, "width": teacher.width, "templates": "clip2"},
    }
    model = Clip2Model(ModelConfig.model_validate(config), TextBank.from_teacher(teacher, WORDS)).eval()
    save(model, folder)
    return model


def put_tiny_mini_points(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Clip2Model:
    """Make ``mini-points`` and its teacher ``mini`` tiny stand-ins below ``folder``."""
    model = save_tiny_student(folder / "points", put_tiny_mini(folder / "teacher", monkeypatch))
    monkeypatch.setattr("clip2.checkpoint.MINI_POINTS_FOLDER", folder / "points")
    return model


def make_everything_strange(folder: Path) -> None:
    """Give the stand-in below ``folder`` statistics of objects like none there are."""
    features = np.random.default_rng(0).normal(1e4, 1.0, (60, load(folder).encoder.width)).astype(np.float32)
    add_familiarity(folder, OODDetector.fit(features, None, features, kind="mahalanobis"))
