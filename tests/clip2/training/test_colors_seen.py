"""Color: what was never seen in training is never used."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from support.training_shapes import WORDS, surface

import clip2
from clip2.training import TrainConfig, TrainingSet, train
from clip2.training.augmentation import colors_seen
from data_prep.errors import InputError

Tiny = Callable[..., TrainConfig]


def colored(data: TrainingSet, share: float) -> TrainingSet:
    """The same objects, the first ``share`` of them with random colors."""
    (block,) = data.clouds.blocks
    colors = np.random.default_rng(7).integers(0, 256, block.points.shape, dtype=np.uint8)
    clouds = replace(data.clouds, blocks=(replace(block, colors=colors if share else None),))
    return replace(data, clouds=clouds, has_color=np.arange(len(data)) < share * len(data))


def test_trained_without_color_it_ignores_colors(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    said = io.StringIO()
    train(tiny("loop.steps=40"), tmp_path, data=colored(shapes, 0), console=Console(file=said, width=200))
    assert "the model will ignore colors" in said.getvalue()
    model = clip2.load(tmp_path)
    assert model.config.colors_seen == "absent"
    random = np.random.default_rng(99)
    fresh = [surface(i % 3, random) for i in range(30)]
    paint = [random.integers(0, 256, cloud.shape, dtype=np.uint8) for cloud in fresh]
    assert torch.equal(model.encode(fresh, paint), model.encode(fresh))
    best = model.classify(fresh, WORDS, colors=paint).best
    assert np.mean([name == WORDS[i % 3] for i, name in enumerate(best)]) > 0.9


def test_trained_with_color_only_it_refuses_clouds_without(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path
) -> None:
    said = io.StringIO()
    train(
        tiny("augmentation.color_drop=0.0", "loop.steps=2"),
        tmp_path,
        data=colored(shapes, 1),
        console=Console(file=said, width=200),
    )
    assert "shown with color only" in said.getvalue()
    model = clip2.load(tmp_path)
    ball = surface(0, np.random.default_rng(0))
    paint = np.zeros(ball.shape, np.uint8)
    assert model.encode([ball], [paint]).shape == (1, 16)
    with pytest.raises(InputError, match=r"cloud 1: colors: are missing for 1 of 2 clouds.*color_drop"):
        model.encode([ball, ball], [paint, None])
    with pytest.raises(InputError, match="are missing for 2 of 2 clouds"):
        model.encode([ball, ball])


@pytest.mark.parametrize(
    ("share", "drop", "color", "seen"),
    [
        (1, 0.2, True, "both"),
        (0.5, 0.0, True, "both"),
        (1, 1.0, True, "absent"),
        (1, 0.0, True, "present"),
        (0, 0.2, True, "absent"),
        (1, 0.0, False, "absent"),
    ],
)
def test_the_checkpoint_says_which_colors_were_seen(
    shapes: TrainingSet, tiny: Tiny, share: float, drop: float, color: bool, seen: str
) -> None:
    config = tiny(f"augmentation.color_drop={drop}", f"model.preprocessing.color={str(color).lower()}")
    assert colors_seen(colored(shapes, share).has_color, config) == seen


def test_what_cannot_be_named_is_not_held_out(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    """Trained on color alone; held-out frames may still hold objects without."""
    config = tiny("data.hold_out=0.5", "augmentation.color_drop=0.0", "loop.steps=2")
    _, held_out = shapes.split(0.5, config.seed)
    has_color = np.ones(len(shapes), bool)
    has_color[held_out[:7]] = False
    result = train(config, tmp_path, data=replace(colored(shapes, 1), has_color=has_color))
    assert result.metrics["colors_seen"] == "present"
    assert result.metrics["objects_held_out"] == len(held_out) - 7
