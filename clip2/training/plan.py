"""Plan of a run from a few measured steps: steps, time, memory and disk, before anything is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from clip2.training.config import TrainConfig
from clip2.training.dataset import TrainingSet
from clip2.training.fabric import create_fabric, peak_memory, reproducible
from clip2.training.loop import TrainingRun
from clip2.training.packing import configured_training_set

# A step or two to warm up; then steps for this long, or until the run itself would end.
_WARM_UP, _SECONDS = 2, 5.0
# A saved state holds weights, their average and two moments each; two states are kept, and the exported model.
_COPIES_ON_DISK = 2 * 4 + 1


@dataclass(frozen=True)
class TrainingPlan:
    """Cost of a run on this machine.

    Attributes:
        objects, steps: objects trained on, and optimizer steps.
        objects_per_second: measured over a few steps.
        seconds: estimated duration of all steps.
        memory: bytes, highest so far: of the process on a CPU, of the tensors on a GPU.
        disk: bytes of the run's folder at its largest, without TensorBoard's files.
    """

    objects: int
    steps: int
    objects_per_second: float
    seconds: float
    memory: int
    disk: int

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:.0f} minutes" if self.seconds >= 90 else f"{self.seconds:.0f} seconds"
        return (
            f"{self.steps} steps over {self.objects} objects: about {minutes} at "
            f"{self.objects_per_second:.0f} objects/s, {self.memory / 1e9:.1f} GB of memory, "
            f"{self.disk / 1e6:.0f} MB of disk"
        )


def plan_training(config: TrainConfig, data: TrainingSet | None = None) -> TrainingPlan:
    """Measure a few steps of a run and estimate the rest; writes nothing.

    Args:
        config: configuration of the run.
        data: objects to train on; None: read ``config.data.folders``.

    Raises:
        InputError: as for :func:`clip2.training.train`.

    >>> import numpy as np
    >>> from clip2.training import pack
    >>> random = np.random.default_rng(0)
    >>> clouds = [(random.random((50, 3), np.float32), None) for _ in range(8)]
    >>> data = pack(clouds, [[0], [1]] * 4, ["ball", "box"], np.eye(2, dtype=np.float32), "my CLIP")
    >>> settings = {"loop": {"steps": 3, "batch_size": 4}, "model": {"encoder": {"name": "pointnet"}}}
    >>> plan = plan_training(TrainConfig.model_validate(settings), data)
    >>> plan.objects, plan.steps
    (8, 3)
    """
    fabric = create_fabric(config.device)
    if data is None:
        data = configured_training_set(config.data)
    with reproducible(fabric.device):
        run = TrainingRun(config, Path(), data, fabric, None)
        warm = min(_WARM_UP, run.total - 1)
        for step in range(warm):
            run.learner.step(step)
        began, done = time.perf_counter(), 0
        while done == 0 or (warm + done < run.total and time.perf_counter() - began < _SECONDS):
            run.learner.step(warm + done)
            done += 1
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        per_step = (time.perf_counter() - began) / done
    weights = sum(value.numel() * value.element_size() for value in run.learner.model.state_dict().values())
    return TrainingPlan(
        objects=len(run.train_on),
        steps=run.total,
        objects_per_second=config.loop.batch_size / per_step,
        seconds=run.total * per_step,
        memory=peak_memory(fabric.device),
        disk=_COPIES_ON_DISK * weights,
    )
