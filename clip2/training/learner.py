"""Model, optimizer and batches of a training run: what one optimizer step changes."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.encoders import weights_follow
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.objectives import ContrastiveObjective, Losses
from clip2.training.accumulation import backward_in_parts
from clip2.training.batches import BatchMaker
from clip2.training.clouds import Clouds
from clip2.training.config import TrainConfig
from clip2.training.dataset import TrainingSet
from clip2.training.optimizer import WeightAverage, create_optimizer, learning_rate
from clip2.training.run_folder import init_weights
from clip2.training.sampler import ObjectSampler, balancing_weights, step_seed
from clip2.training.sharding import agree, clip_gradients, share_buffers
from clip2.training.stream import StreamedBatches

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Number of batches for the BatchNorm statistics of the averaged weights, and an unused rank for their seeds.
_STATISTICS_BATCHES, _STATISTICS_RANK = 16, 1 << 30


class Learner:
    """Everything that learns, on this rank.

    Args:
        config: of the run.
        data: all objects.
        rows: (n,) those to train on.
        described: what the model is made of.
        fabric: devices and ranks.
        fresh: False: weights follow from a saved state.

    Attributes:
        total: number of steps.
        sampler: which objects are in which batch.
        model: the model as it is trained; ``average`` follows it, and is what is saved for use.
        optimizer: with its state.
        sharded: whether ranks hold parts of the weights.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingSet,
        rows: NDArray[np.int64],
        described: ModelConfig,
        fabric: Fabric,
        fresh: bool,
    ) -> None:
        self.config, self.data, self.fabric = config, data, fabric
        size = config.loop.batch_size
        self.total = config.loop.steps or max(1, math.ceil(config.loop.epochs * len(rows) / size))
        texts = data.own_texts[rows, 0]
        weights = balancing_weights(texts) if config.data.balance == "sqrt" else np.ones(len(texts))
        lanes = config.data.stream
        shards = data.clouds.block[rows] if lanes else None
        self.sampler = ObjectSampler(rows, weights, size, config.seed, shards, lanes or 1)
        self._stream: Generator[Clouds] | None = None
        torch.manual_seed(config.seed)
        with nullcontext() if fresh else weights_follow():
            self.model = Clip2Model(described)
        if config.init_from is not None and fresh:
            init_weights(self.model, config.init_from)
        self.model.to(fabric.device)
        self.average = WeightAverage(self.model, config.optimizer.ema)
        self.network = fabric.setup_module(self.model)
        optimizer = fabric.setup_optimizers(create_optimizer(self.model, config.optimizer))
        assert not isinstance(optimizer, tuple)  # one goes in
        self.optimizer = optimizer
        self.average.follow(self.model)
        self.sharded = fabric.world_size > 1 and config.device.strategy == "fsdp"
        self.objective = ContrastiveObjective(config.objective)
        self.batches = BatchMaker(data, config.model.preprocessing, config.augmentation, fabric.device)

    def step(self, step: int) -> tuple[Losses, float]:
        """Losses of one optimizer step, and the seconds spent on its data."""
        config, rank, world = self.config, self.fabric.global_rank, self.fabric.world_size
        seed = step_seed(config.seed, step, rank)
        torch.manual_seed(seed)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.total, config.optimizer)
        began = time.perf_counter()
        share = config.loop.batch_size // world
        objects = self.sampler.batch(step)[rank * share : (rank + 1) * share]
        if self._stream is None and self.data.clouds.home == "shards":
            batches = StreamedBatches(self.data.clouds, self.sampler, rank, world, (step, self.total))
            self._stream = batches.loader(config.device.workers)
        read = None if self._stream is None else next(self._stream)
        clouds, targets = self.batches.make(objects, seed, read)
        data_seconds = time.perf_counter() - began
        self.optimizer.zero_grad()
        part = config.loop.part
        if part is None or part >= share:
            losses = self.objective(self.network(clouds), targets)
            self.fabric.backward(losses.total)
        else:
            losses = backward_in_parts(self.fabric, self.network, self.objective, clouds, targets, part, seed)
        if self.sharded:
            agree(self.model)
            clip_gradients(self.model.parameters(), config.optimizer.clip)
            share_buffers(self.model)
        else:
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=config.optimizer.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.model.clamp_scales()
        self.average.update(self.model, step)
        return losses.detach(), data_seconds

    def update_statistics(self) -> None:
        """BatchNorm statistics from fixed batches, so that they depend on the averaged weights only."""
        share = self.config.loop.batch_size // self.fabric.world_size
        self.average.update_statistics(
            self.batches.make(
                self.sampler.batch(step)[:share], step_seed(self.config.seed, step, _STATISTICS_RANK)
            )[0]
            for step in range(_STATISTICS_BATCHES)
        )

    def close(self) -> None:
        """End the processes that read ahead."""
        if self._stream is not None:
            self._stream.close()
