from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clip2.training import TrainConfig, TrainingSet, plan_training, train
from data_prep.errors import InputError


def test_a_plan_has_the_run_s_steps_and_disk(
    tmp_path: Path, shapes: TrainingSet, tiny: Callable[..., TrainConfig]
) -> None:
    config = tiny("loop.steps=12", "loop.checkpoint_every=1")
    plan = plan_training(config, shapes)
    result = train(config, tmp_path / "run", data=shapes)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    written = sum(path.stat().st_size for path in files if "tensorboard" not in path.parts)
    assert (plan.objects, plan.steps) == (result.metrics["objects"], result.total)
    assert written == pytest.approx(plan.disk, rel=0.2)
    assert plan.seconds == pytest.approx(plan.steps * 24 / plan.objects_per_second)
    assert 1e8 < plan.memory < 1e11  # bytes, not kilobytes: torch alone takes hundreds of megabytes


def test_a_plan_of_an_impossible_run_is_refused(
    shapes: TrainingSet, tiny: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(InputError, match="device"):
        plan_training(tiny("device.accelerator=cuda", "device.devices=9"), shapes)
