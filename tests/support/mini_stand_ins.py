"""A teacher and a student small enough for tests, in the places of the two that ship with the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_clip import make_tiny_clip

from clip2.checkpoint import add_ood_detector, load, save
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood.detector import OODDetector
from clip2.ood.exposure import OutlierExposureHead
from clip2.teacher import Teacher, TextBank
from clip2.teacher.bundled import BUNDLED
from clip2.world.teacher.training import seal

WORDS = ("chair", "table", "box", "traffic light")
WIDTH = 16


def put_tiny_mini(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Teacher:
    """Make ``Teacher.load("mini")`` find a tiny CLIP with random weights, and load it."""
    make_tiny_clip(folder, width=WIDTH, seed=seed)
    seal(folder)
    monkeypatch.setitem(BUNDLED, "mini", replace(BUNDLED["mini"], folder=folder))
    return Teacher.load("mini")


def save_tiny_encoder(folder: Path, teacher: Teacher) -> Clip2Model:
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
    model = save_tiny_encoder(folder / "points", put_tiny_mini(folder / "teacher", monkeypatch))
    monkeypatch.setattr("clip2.checkpoint.MINI_POINTS_FOLDER", folder / "points")
    return model


def make_everything_strange(folder: Path) -> None:
    """Give the stand-in below ``folder`` a detector that rejects every object."""
    width = load(folder).encoder.width
    one, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    head = OutlierExposureHead(
        center=np.zeros(width, np.float32),
        scale=np.ones(width, np.float32),
        hidden_weight=np.zeros((1, width), np.float16),
        hidden_bias=none,
        out_weight=none,
        out_bias=-one,  # logit 1, beyond a limit of 0
    )
    add_ood_detector(folder, OODDetector(head, np.zeros(1001, np.float32)))
