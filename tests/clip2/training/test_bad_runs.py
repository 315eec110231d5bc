"""Runs that cannot go well: a full disk, a label with one object, nothing held out, fewer objects than ranks."""

from __future__ import annotations

import io
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.training import TrainConfig, TrainingSet, pack, train
from data_prep.errors import InputError
from data_prep.storage.lock import FolderLock

Tiny = Callable[..., TrainConfig]


def _with_little_room(config: TrainConfig, run: Path, data: TrainingSet) -> None:
    size = (run / "model.safetensors").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # the state holds four times the weights
    try:
        train(config, run, resume=True, data=data)
    except InputError as error:
        (run.parent / "error").write_text(str(error))


def test_a_disk_that_fills_is_one_line_and_loses_nothing(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", tiny()
    train(tiny(), tmp_path / "whole", data=shapes)
    train(config, run, data=shapes)
    (run / "state" / "step-000000012.safetensors").unlink()  # step 10 is the last; step 12 will find no room
    child = multiprocessing.get_context("fork").Process(target=_with_little_room, args=(config, run, shapes))
    child.start()
    child.join(300)
    assert (tmp_path / "error").read_text() == (
        f"{run}/state/step-000000012.safetensors: cannot be written (File too large). "
        "Fix: make room there, get the right to write, or choose another place, and run the same again"
    )
    clip2.load(run)  # whole, of the last checkpoint
    assert not list(run.rglob("*.part"))
    assert train(config, run, resume=True, data=shapes).finished
    assert (run / "model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


@pytest.mark.parametrize("negatives", ["batch", "vocabulary"])
def test_a_label_with_one_object_is_told_and_trained(tiny: Tiny, tmp_path: Path, negatives: str) -> None:
    random = np.random.default_rng(0)
    words = [0] * 15 + [1] * 14 + [2]
    data = pack(
        [(surface(word, random), None) for word in words],
        [[word] for word in words],
        WORDS,
        unit_rows(3),
        "x/y",
    )
    said = io.StringIO()
    result = train(
        tiny(f"objective.text_negatives={negatives}"),
        tmp_path,
        data=data,
        console=Console(file=said, width=200),
    )
    assert "1 texts have one object each and are hardly learned" in said.getvalue()
    assert np.isfinite(result.metrics["train/loss"])


def test_with_nothing_held_out_the_run_says_that_it_cannot_say_unknown(
    shapes: TrainingSet, tiny: Tiny, tmp_path: Path
) -> None:
    said = io.StringIO()
    result = train(tiny("loop.steps=2"), tmp_path, data=shapes, console=Console(file=said, width=200))
    assert "0 objects held out, 40 are needed to fit a detector of unknown objects" in said.getvalue()
    assert "held_out/top1" not in result.metrics
    assert clip2.load(tmp_path).ood_detector is None


def test_a_batch_smaller_than_the_ranks_is_refused(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="batch_size 2 does not divide by 3 devices"):
        tiny("loop.batch_size=2", "device.devices=3")


def test_two_runs_in_one_folder_are_one_line(shapes: TrainingSet, tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path, data=shapes)
    last = max((tmp_path / "state").iterdir())
    last.unlink()
    with FolderLock(tmp_path), pytest.raises(InputError, match="is being written"):
        train(tiny(), tmp_path, resume=True, data=shapes)
    assert not last.exists()
    assert train(tiny(), tmp_path, resume=True, data=shapes).finished
