from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clip2.training import TrainConfig, TrainingSet, train
from clip2.training.loggers import read_metrics
from data_prep.errors import InputError

Tiny = Callable[..., TrainConfig]


def test_csv_and_tensorboard_hold_the_metrics_of_a_continued_run_once(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("loop.loggers=[csv, tensorboard]", "data.hold_out=0.2", "data.ood=false")
    train(config, tmp_path, data=shapes)
    # As if killed after step 10: later metrics are in the files, and the state of step 10 is the last.
    (tmp_path / "state" / "step-000000012.safetensors").unlink()
    (tmp_path / "metrics.csv").unlink()
    train(config, tmp_path, resume=True, data=shapes)
    records = read_metrics(tmp_path)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [record["step"] for record in records]
    losses = {record["step"]: record["train/loss"] for record in records if "train/loss" in record}
    assert {int(row["step"]): float(row["train/loss"]) for row in rows if row["train/loss"]} == losses
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = {event.step: event.value for event in board.Scalars("train/loss")}
    assert shown == pytest.approx(losses, rel=1e-6)


def test_curves_are_drawn(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    train(tiny("data.hold_out=0.2", "data.ood=false", "loop.loggers=[curves]"), tmp_path, data=shapes)
    with Image.open(tmp_path / "curves.png") as picture:
        colors = picture.convert("RGB").getcolors(1 << 20)
        assert picture.size[0] > 900
    assert colors is not None
    assert len(colors) > 50  # lines and letters on white


def test_without_matplotlib_the_run_says_so(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from rich.console import Console

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = io.StringIO()
    result = train(
        tiny("loop.steps=2", "loop.loggers=[curves]"),
        tmp_path,
        data=shapes,
        console=Console(file=said, width=200),
    )
    assert result.finished
    assert "the curves of the run: needs matplotlib" in said.getvalue()
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_is_one_line(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"loop.loggers: needs {name}, .* Fix: pip install {name}"):
        train(tiny(f"loop.loggers=[{name}]"), tmp_path, data=shapes)


def test_wandb_gets_every_metric_under_one_identity(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple] = []

    class Run:
        def log(self, metrics: dict, step: int) -> None:
            got.append((step, metrics))

        def finish(self) -> None:
            got.append(("finished",))

    stand_in = ModuleType("wandb")
    stand_in.init = lambda **given: got.append(("init", given)) or Run()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    for step in (2, 4):
        config = tiny("loop.loggers=[wandb]", f"loop.steps={step}", "loop.log_every=2")
        train(config, tmp_path / f"run{step}", data=shapes)
    (_, first), (_, metrics), *_ = got
    assert first["config"]["loop.steps"] == 2
    assert first["resume"] == "allow"
    assert metrics["train/loss"] > 0
    assert got[2] == ("finished",)
    ids = [given["id"] for name, given in (entry for entry in got if entry[0] == "init")]
    assert len(set(ids)) == 2


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow is not installed")
def test_mlflow_keeps_one_run_in_the_folder(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    import mlflow

    train(tiny("loop.loggers=[mlflow]"), tmp_path, data=shapes)
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert found.data.metrics["train/loss"] == pytest.approx(last["train/loss"])
