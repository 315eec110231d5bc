"""A run can begin from the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.training_shapes import unit_rows

import clip2
from clip2.model_config import TeacherSpec
from clip2.training import TrainConfig, TrainingSet, train
from data_prep.errors import InputError

Tiny = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def taught(shapes: TrainingSet, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    train(tiny(), folder, data=shapes)
    return folder


def untrained(*overrides: str) -> tuple[str, ...]:
    """One step too small to change anything."""
    return ("loop.steps=1", "optimizer.lr=1e-30", "optimizer.ema=0", *overrides)


def test_a_run_begins_where_the_checkpoint_ended(
    shapes: TrainingSet, tiny: Tiny, taught: Path, tmp_path: Path
) -> None:
    train(tiny(*untrained(f"init_from={taught}")), tmp_path, data=shapes)
    before, after = clip2.load(taught).state_dict(), clip2.load(tmp_path).state_dict()
    kept = [key for key in before if "running_" not in key and "num_batches" not in key]
    assert all(torch.equal(before[key], after[key]) for key in kept)


def test_another_clip_model_takes_the_encoder_alone(
    shapes: TrainingSet, tiny: Tiny, taught: Path, tmp_path: Path
) -> None:
    other = replace(
        shapes,
        teacher=TeacherSpec(name="ViT-B-16/openai", width=16),
        text_vectors=unit_rows(3, seed=3),
    )
    train(tiny(*untrained(f"init_from={taught}")), tmp_path, data=other)
    before, after = clip2.load(taught), clip2.load(tmp_path)
    assert torch.equal(before.encoder.mlp.linears[0].weight, after.encoder.mlp.linears[0].weight)
    assert not torch.equal(before.projection.weight, after.projection.weight)


def test_a_resumed_run_needs_its_start_no_more(
    shapes: TrainingSet, tiny: Tiny, taught: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    start.symlink_to(taught)
    config = tiny("loop.steps=4", f"init_from={start}")
    whole = train(config, tmp_path / "run", data=shapes)
    start.unlink()
    assert train(config, tmp_path / "run", resume=True, data=shapes).step == whole.step == 4
    with pytest.raises(InputError, match="is not a folder"):
        train(config, tmp_path / "again", data=shapes)


def test_a_checkpoint_of_another_encoder_is_refused(
    shapes: TrainingSet, tiny: Tiny, taught: Path, tmp_path: Path
) -> None:
    config = tiny("model.encoder.options={widths: [32, 64, 96]}", f"init_from={taught}")
    with pytest.raises(
        InputError,
        match=r"init_from .*mlp\.linears\.2\.weight: is \(128, 64\), the encoder of this run has \(96, 64\)",
    ):
        train(config, tmp_path, data=shapes)
