"""Several processes of one run: streaming, kills, restarts, sharding.

What ranks read is tested faster in test_stream.py, two whole ranks in tests/clip2/cli/test_train_command.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.ranks import elastic, ranks
from support.stream_twin import make_triplets

import clip2
from clip2.training import TrainConfig, train
from clip2.training.batches import BatchMaker
from clip2.training.learner import Learner
from clip2.training.loggers import read_metrics
from data_prep.errors import InputError

Tiny = Callable[..., TrainConfig]


def job(config: TrainConfig, run: Path, dies_at: int | None = None) -> str:
    """Train; write down the objects of each step; rank 1 dies once before a step."""
    rank = int(os.environ["RANK"])
    make, step_of = BatchMaker.make, Learner.step
    now = 0

    def step(self: Learner, number: int) -> object:
        nonlocal now
        now = number
        if number == dies_at and rank == 1 and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return step_of(self, number)

    def noted(self: BatchMaker, objects: np.ndarray, seed: int, clouds: object = None) -> object:
        if clouds is not None:
            with (run.parent / f"{run.name}-{rank}.jsonl").open("a") as file:
                file.write(json.dumps([now, objects.tolist()]) + "\n")
        return make(self, objects, seed, clouds)

    Learner.step, BatchMaker.make = step, noted  # type: ignore[method-assign,assignment]
    try:
        return str(train(config, run, resume=True).finished)
    except InputError as error:
        (run.parent / f"{run.name}-{rank}.error").write_text(str(error))
        raise SystemExit(2) from None


@pytest.fixture(scope="module")
def triplets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_triplets(tmp_path_factory.mktemp("ranks") / "triplets"))


def settings(tiny: Tiny, triplets: Path) -> TrainConfig:
    return tiny(
        f"data.folders=['{triplets}']",
        "data.stream=6",
        "device.devices=3",
        "device.workers=2",
        "loop.steps=10",
        "loop.checkpoint_every=3",
    )


def passes(folder: Path, name: str) -> list[list[int]]:
    """The objects of each pass; of a step done twice, the second time counts."""
    steps: dict[int, dict[int, list[int]]] = {}
    for rank in range(3):
        for line in (folder / f"{name}-{rank}.jsonl").read_text().splitlines():
            step, objects = json.loads(line)
            steps.setdefault(step, {})[rank] = objects
    drawn = [row for step in range(10) for rank in range(3) for row in steps[step][rank]]
    return [drawn[start : start + 89] for start in range(0, len(drawn) - 88, 89)]


@pytest.mark.slow
def test_three_ranks_with_two_readers_each_killed_and_restarted(
    tiny: Tiny, triplets: Path, tmp_path: Path
) -> None:
    config = settings(tiny, triplets)
    config = config.model_copy(update={"data": config.data.model_copy(update={"balance": "none"})})
    assert elastic(3, job, config, tmp_path / "whole") == {0: "True", 1: "True", 2: "True"}
    found = elastic(3, job, config, tmp_path / "killed", 7, restarts=1)
    assert set(found.values()) == {"True"}
    whole, killed = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "killed"))
    assert whole == killed
    for name in ("whole", "killed"):
        for objects in passes(tmp_path, name):  # 10 x 24 objects are two passes and a part of the third
            assert sorted(objects) == list(range(89))
    steps = [json.loads(line)[0] for line in (tmp_path / "killed-0.jsonl").read_text().splitlines()]
    assert steps.count(6) == 2  # done again from the checkpoint after step 6
    assert steps.count(5) == 1


@pytest.mark.slow  # three processes with two readers each: on a busy machine one may give up before the loss
def test_a_lost_rank_is_one_line_and_no_hang(tiny: Tiny, triplets: Path, tmp_path: Path) -> None:
    processes = ranks(3, job, settings(tiny, triplets), tmp_path / "run", 7)
    for process in processes:
        process.join(300)
    lines = {path.name: path.read_text() for path in tmp_path.glob("run-*.error")}
    assert [process.exitcode for process in processes] == [2, -9, 2], lines
    for rank in (0, 2):
        line = lines[f"run-{rank}.error"]
        assert f"rank {rank} lost another of the 3 processes of this run. Fix:" in line
        assert "--resume" in line


# -- sharded encoders ----------------------------------------------------------------------------------------------


def large(tiny: Tiny, triplets: Path, strategy: str) -> TrainConfig:
    """A transformer over patches; a large one differs by its numbers only."""
    return tiny(
        f"data.folders=['{triplets}']",
        "data.hold_out=0.2",
        "data.ood=false",
        "data.cache=false",
        "model.encoder.name=uni3d",
        "model.encoder.options={num_patches: 6, patch_size: 8, patch_width: 16, dim: 16, depth: 2, hidden: 24, heads: 2}",
        "device.devices=2",
        f"device.strategy={strategy}",
        "loop.steps=6",
        "loop.checkpoint_every=3",
        "optimizer.lr=1e-3",
    )


def together(world: int, *arguments: object) -> None:
    for process in (processes := ranks(world, job, *arguments)):
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * world


@pytest.mark.slow
def test_a_sharded_run_learns_what_a_whole_one_learns_and_continues_as_either(
    tiny: Tiny, triplets: Path, tmp_path: Path
) -> None:
    sharded, plain = large(tiny, triplets, "fsdp"), large(tiny, triplets, "ddp")
    together(2, sharded, tmp_path / "sharded")
    together(2, plain, tmp_path / "plain")
    weights = {name: load_file(tmp_path / name / "model.safetensors") for name in ("sharded", "plain")}
    assert weights["sharded"].keys() == weights["plain"].keys()
    for name, value in weights["plain"].items():
        # AdamW moves a weight by the sign of its gradient, so tiny gradients differ visibly; the losses do not.
        torch.testing.assert_close(weights["sharded"][name], value, rtol=1e-2, atol=1e-3)
    losses = [
        [record["train/loss"] for record in read_metrics(tmp_path / name) if "train/loss" in record]
        for name in ("sharded", "plain")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert clip2.load(tmp_path / "sharded").parameter_count() > 0
    whole = (tmp_path / "sharded" / "model.safetensors").read_bytes()
    for again, config in (("same", sharded), ("other", plain)):
        shutil.copytree(tmp_path / "sharded", tmp_path / again)
        (tmp_path / again / "state" / "step-000000006.safetensors").unlink()
        (tmp_path / again / "model.safetensors").unlink()
        together(2, config, tmp_path / again)
        if again == "same":
            assert (tmp_path / again / "model.safetensors").read_bytes() == whole
        for name, value in load_file(tmp_path / again / "model.safetensors").items():
            torch.testing.assert_close(weights["sharded"][name], value, rtol=1e-2, atol=1e-3)
