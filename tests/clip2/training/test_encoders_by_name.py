"""Encoders of every family are trained by naming them in an ordinary configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import clip2
from clip2.training import TrainConfig, TrainingSet, train


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pointnext_s", "{width: 8}"),
        ("pointnext_b", "{width: 8}"),
        ("pointmlp_elite", "{width: 8}"),
        ("pointbert", "{num_patches: 8, patch_size: 8, dim: 24, depth: 1, heads: 2, patch_width: 16}"),
        ("uni3d", "{num_patches: 8, patch_size: 8, depth: 1, patch_width: 16}"),
        ("openshape_pointbert", "{num_patches: 8, dim: 24, depth: 1, heads: 2, hidden: 24}"),
    ],
)
def test_a_short_run_learns_and_its_checkpoint_loads(
    name: str, options: str, shapes: TrainingSet, tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = tiny(
        f"model.encoder.name={name}",
        f"model.encoder.options={options}",
        "loop.steps=2",
        "loop.batch_size=4",
        "loop.log_every=1",
    )
    result = train(config, tmp_path, data=shapes)
    assert np.isfinite(result.metrics["train/loss"])
    model = clip2.load(tmp_path)
    assert model.config.encoder.name == name
    embeddings = model.encode([np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)])
    assert embeddings.isfinite().all()
