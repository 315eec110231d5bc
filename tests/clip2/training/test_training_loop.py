from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.training import TrainConfig, TrainingSet, pack, train
from clip2.training.batches import BatchMaker
from clip2.training.optimizer import WeightAverage, create_optimizer
from clip2.training.sampler import step_seed
from data_prep.errors import BadDatasetError, InputError

Tiny = Callable[..., TrainConfig]


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_it_learns_to_name_objects_it_has_not_seen(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    result = train(tiny("data.hold_out=0.3", "loop.steps=60"), tmp_path, data=shapes)
    assert result.metrics["held_out/top1"] > 0.9
    random = np.random.default_rng(99)
    model = clip2.load(tmp_path)  # the run's folder alone can name things: it carries its words
    fresh = [surface(i % 3, random) for i in range(30)]
    best = model.classify(fresh, WORDS).best
    assert np.mean([name == WORDS[i % 3] for i, name in enumerate(best)]) > 0.9


def test_a_run_describes_itself(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("data.hold_out=0.2", "loop.evaluate_every=2", "loop.loggers=[tensorboard, curves]")
    result = train(config, tmp_path, data=shapes)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "config.yaml",
        "curves.png",
        "metrics.jsonl",
        "model.safetensors",
        "state",
        "tensorboard",
        "text_bank.npz",
    ]
    figures = json.loads((tmp_path / "config.json").read_text())["training"]
    assert figures["step"] == figures["total_steps"] == result.total == 12
    assert figures["objects"] == 96
    assert figures["objects_held_out"] == 24
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = [line["step"] for line in lines if "train/loss" in line]
    assert logged == [4, 5, 8, 10, 12]  # every 4 and at checkpoints
    assert [line["step"] for line in lines if "held_out/top1" in line] == [8, 12]  # 8 x 24 = two passes of 96
    assert all(line["train/image_loss"] > 0 for line in lines if "train/loss" in line)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_without_pictures_it_says_so(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    blind = replace(shapes, images=None, image_present=np.zeros(len(shapes), bool))
    said = io.StringIO()
    result = train(tiny("loop.steps=2"), tmp_path, data=blind, console=Console(file=said, width=200))
    assert "training on the text term alone" in said.getvalue()
    assert result.metrics["terms"] == "text"
    assert "train/image_loss" not in result.metrics


def test_objects_without_any_word_still_teach_by_their_picture(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path
) -> None:
    own = shapes.own_texts.copy()
    own[shapes.image_present] = -1
    result = train(tiny("loop.steps=2"), tmp_path, data=replace(shapes, own_texts=own))
    assert result.metrics["train/image_loss"] > 0


# -- killed and continued ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(
    shapes: TrainingSet, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, bytes]:
    config = tiny("data.hold_out=0.2")
    run = tmp_path_factory.mktemp("undisturbed")
    train(config, run, data=shapes)
    return config, weights(run)


def before_step(step: int, act: Callable[[], None]) -> Callable[..., object]:
    """``BatchMaker.make`` that calls ``act`` before it makes the batch of a step of a run with seed 0."""
    make = BatchMaker.make

    def acting(self: BatchMaker, objects: NDArray[np.int64], seed: int, *rest: object) -> object:
        if seed == step_seed(0, step):
            act()
        return make(self, objects, seed, *rest)

    return acting


def _train_until_killed(
    config: TrainConfig, run: Path, data: TrainingSet, here: multiprocessing.synchronize.Event
) -> None:
    def wait() -> None:  # the state of step 5 is on disk, steps 6 to 8 are lost
        here.set()
        signal.pause()

    BatchMaker.make = before_step(8, wait)  # type: ignore[method-assign,assignment]
    train(config, run, data=data)


def test_killed_and_resumed_it_ends_with_the_same_bytes(
    shapes: TrainingSet, undisturbed: tuple[TrainConfig, bytes], tmp_path: Path
) -> None:
    config, expected = undisturbed
    context = multiprocessing.get_context("fork")
    here = context.Event()
    child = context.Process(target=_train_until_killed, args=(config, tmp_path, shapes, here))
    child.start()
    assert here.wait(60)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-000000005.safetensors"]
    assert weights(tmp_path) != expected  # a usable model of step 5 is there already
    clip2.load(tmp_path)
    torch.manual_seed(12345)  # whatever the new process did before must not matter
    result = train(config, tmp_path, resume=True, data=shapes)
    assert result.finished
    assert weights(tmp_path) == expected
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps.count(8) == 2  # figures and evaluation, not doubled by the steps done twice


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(
    shapes: TrainingSet,
    undisturbed: tuple[TrainConfig, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    config, expected = undisturbed
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(BatchMaker, "make", before_step(6, lambda: os.kill(os.getpid(), number)))
        stopped = train(config, tmp_path, data=shapes)
    assert (stopped.step, stopped.finished) == (7, False)
    assert signal.getsignal(number) is before
    train(config, tmp_path, resume=True, data=shapes)
    assert weights(tmp_path) == expected


def test_a_finished_run_has_nothing_to_do(
    shapes: TrainingSet, undisturbed: tuple[TrainConfig, bytes], tmp_path: Path
) -> None:
    config, expected = undisturbed
    first = train(config, tmp_path, resume=True, data=shapes)  # --resume begins where nothing is
    changed = (tmp_path / "config.json").stat().st_mtime_ns
    said = io.StringIO()
    again = train(config, tmp_path, resume=True, data=shapes, console=Console(file=said, width=200))
    assert "nothing to do" in said.getvalue()
    assert again.finished
    assert again.metrics == first.metrics
    assert (tmp_path / "config.json").stat().st_mtime_ns == changed
    assert weights(tmp_path) == expected


def test_killed_between_the_last_state_and_the_export(
    shapes: TrainingSet, undisturbed: tuple[TrainConfig, bytes], tmp_path: Path
) -> None:
    config, expected = undisturbed
    train(config, tmp_path, data=shapes)
    (tmp_path / "config.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"half")
    train(config, tmp_path, resume=True, data=shapes)
    assert weights(tmp_path) == expected
    clip2.load(tmp_path)


def test_another_run_is_never_overwritten(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    train(tiny("loop.steps=2"), tmp_path / "run", data=shapes)
    before = weights(tmp_path / "run")
    with pytest.raises(InputError, match=r"already holds a run.*--resume"):
        train(tiny("loop.steps=2"), tmp_path / "run", data=shapes)
    with pytest.raises(InputError, match=r"optimizer.lr: was 0.003 .* is now 0.1"):
        train(tiny("loop.steps=2", "optimizer.lr=0.1"), tmp_path / "run", resume=True, data=shapes)
    other = replace(shapes, clouds=replace(shapes.clouds, scale=shapes.clouds.scale * 2))
    with pytest.raises(InputError, match="not the ones it began with"):
        train(tiny("loop.steps=2"), tmp_path / "run", resume=True, data=other)
    assert weights(tmp_path / "run") == before
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(InputError, match="holds other files"):
        train(tiny("loop.steps=2"), tmp_path, resume=True, data=shapes)


def test_a_damaged_state_is_named(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    train(tiny("loop.steps=2"), tmp_path, data=shapes)
    state = next((tmp_path / "state").iterdir())
    state.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is not a safetensors file"):
        train(tiny("loop.steps=2"), tmp_path, resume=True, data=shapes)


def test_a_loss_that_is_not_finite_stops_the_run(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    broken = replace(shapes, clouds=replace(shapes.clouds, scale=shapes.clouds.scale * np.float32(np.inf)))
    with pytest.raises(InputError, match="loss is not finite near step"):
        train(tiny("loop.steps=4"), tmp_path, data=broken)
    assert not (tmp_path / "model.safetensors").exists()


def test_one_object_is_not_enough(tiny: Tiny, tmp_path: Path) -> None:
    ball = surface(0, np.random.default_rng(0)), None
    lonely = pack([ball], [[0]], ["ball"], unit_rows(1), "x/y")
    with pytest.raises(BadDatasetError, match="1 objects to train on"):
        train(tiny(), tmp_path, data=lonely)


# -- the optimizer and the averaged weights ------------------------------------------------------------------------


def network_of(config: TrainConfig, data: TrainingSet) -> clip2.Clip2Model:
    return clip2.Clip2Model(clip2.model_config.ModelConfig(**config.model.model_dump(), teacher=data.teacher))


def test_only_matrices_decay(shapes: TrainingSet, tiny: Tiny) -> None:
    config = tiny()
    network = network_of(config, shapes)
    decayed, spared = create_optimizer(network, config.optimizer).param_groups
    assert {parameter.ndim for parameter in decayed["params"]} == {2}
    assert {parameter.ndim for parameter in spared["params"]} == {0, 1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(network.parameters()))


def test_statistics_of_the_average_are_the_mean_over_the_batches(shapes: TrainingSet, tiny: Tiny) -> None:
    average = WeightAverage(network_of(tiny(), shapes), decay=0.9)
    batches = BatchMaker(shapes, tiny().model.preprocessing, tiny().augmentation, torch.device("cpu"))
    inputs = [batches.make(np.arange(start, start + 30), start)[0] for start in (0, 30, 60)]
    norm = average.model.encoder.mlp.norms[0]
    means = []
    for batch in inputs:
        average.update_statistics([batch])
        means.append(norm.running_mean.clone())
    average.update_statistics(inputs)
    assert torch.allclose(norm.running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert not torch.allclose(norm.running_mean, means[0], atol=1e-5)
    assert not average.model.training
    assert norm.momentum == 0.1
