"""A set that a tiny network learns in seconds; each word has a random vector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.training_shapes import WORDS, surface, unit_rows

from clip2.training import TrainConfig, TrainingSet, load_config, pack

TINY = (
    "model.encoder.name=pointnet",
    "model.encoder.options={widths: [32, 64, 128]}",
    "model.preprocessing.num_points=64",
    "augmentation.tilt_degrees=5",
    "optimizer.lr=3e-3",
    "optimizer.ema=0.9",
    "loop.batch_size=24",
    "loop.steps=12",
    "loop.checkpoint_every=5",
    "loop.log_every=4",
    "loop.loggers=[]",
    "device.accelerator=cpu",
    "device.threads=1",
)


@pytest.fixture(scope="session")
def shapes() -> TrainingSet:
    """120 objects, one per frame; every other one has a picture (its word's vector and some noise) and color."""
    random = np.random.default_rng(0)
    words = np.arange(120) % 3
    pictures = unit_rows(3, seed=6)[words] + random.normal(size=(120, 16)).astype(np.float32) * 0.1
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    colored = [random.integers(0, 256, (150, 3), dtype=np.uint8) if i % 4 == 0 else None for i in range(120)]
    return pack(
        [(surface(word, random), colors) for word, colors in zip(words, colored, strict=True)],
        [[int(word)] for word in words],
        WORDS,
        unit_rows(3),
        "ViT-B-32/openai",
        images=pictures.astype(np.float16),
        image_present=np.arange(120) % 2 == 0,
    )


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainConfig]:
    """Configuration of a run of a second or two, with overrides."""
    return lambda *overrides: load_config(None, [*TINY, *overrides])
