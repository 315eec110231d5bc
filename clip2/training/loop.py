"""The training loop."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console

from clip2.checkpoint import read_config, save
from clip2.encoders import weights_follow
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.objectives import ContrastiveObjective, Losses
from clip2.teacher.text_bank import TextBank
from clip2.training.batches import BatchMaker
from clip2.training.colors import colors_seen
from clip2.training.config import TrainConfig
from clip2.training.dataset import TrainingSet
from clip2.training.devices import any_rank, create_fabric, reproducible
from clip2.training.folders import load_training_set
from clip2.training.init_from import start_from
from clip2.training.interrupt import StopRequest
from clip2.training.log import RunLog
from clip2.training.meters import Tally
from clip2.training.normalization import has_batch_norm, settle_statistics
from clip2.training.optimizer import WeightAverage, create_optimizer, learning_rate
from clip2.training.run_folder import CONFIG_FILE, check_run
from clip2.training.sampler import ObjectOrder, balancing_weights, step_seed
from clip2.training.state import load_state, read_facts, save_state
from clip2.training.summary import introduction
from clip2.training.zero_shot import zero_shot
from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.files import write_atomically

# Batches that set the normalization statistics of the averaged weights, and a rank no process has to seed them.
_SETTLING_BATCHES, _SETTLING_RANK = 16, 1 << 30


@dataclass(frozen=True)
class TrainingResult:
    """How a call of :func:`train` ended.

    Attributes:
        run: the folder.
        step, total: steps done and asked for.
        finished: False: interrupted, continue with ``resume=True``.
        figures: what ``config.json`` says about the training.
    """

    run: Path
    step: int
    total: int
    finished: bool
    figures: dict[str, Any]


def train(
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    data: TrainingSet | None = None,
    console: Console | None = None,
) -> TrainingResult:
    """Train a model and leave a folder that :func:`clip2.load` reads.

    Killed at any moment and called again with ``resume=True`` it ends, on a CPU with the same number of threads,
    with the very bytes it would have ended with undisturbed.

    Args:
        config: everything about the run.
        out: folder of the run; new, or one to continue.
        resume: continue what is there; begin where nothing is.
        data: objects to train on; None: read ``config.data.folders``.
        console: where progress goes; None: nowhere.

    Raises:
        InputError: the data, the folder or the configuration do not allow it; a loss that is not finite.
    """
    run = Path(out)
    latest = check_run(run, config, resume)
    fabric = create_fabric(config.device)
    if data is None:
        wanted = config.data
        data = load_training_set(
            wanted.folders,
            wanted.clip,
            wanted.max_points,
            wanted.nameless,
            wanted.cache,
            console if fabric.is_global_zero else None,
        )
    with reproducible(fabric.device):
        return _Training(config, run, data, fabric, console, fresh=latest is None).go(latest)


class _Training:
    """One run in progress."""

    def __init__(
        self,
        config: TrainConfig,
        run: Path,
        data: TrainingSet,
        fabric: Fabric,
        console: Console | None,
        fresh: bool = True,
    ) -> None:
        self.config, self.run, self.data, self.fabric = config, run, data, fabric
        quiet = Console(quiet=True)
        self.console = (console or quiet) if fabric.is_global_zero else None  # None: another rank writes
        self.fingerprint = data.fingerprint()
        self.train_on, held_out = data.split(config.data.hold_out, config.seed)
        self.held_out = held_out[data.own_texts[held_out, 0] >= 0]  # those that can be named right
        self.colors_seen = colors_seen(data.has_color[self.train_on], config)
        if self.colors_seen == "present":
            self.held_out = self.held_out[data.has_color[self.held_out]]
        if len(self.train_on) < 2:
            raise BadDatasetError(f"leaves {len(self.train_on)} objects to train on", field="data")
        size = config.loop.batch_size
        self.total = config.loop.steps or max(1, math.ceil(config.loop.epochs * len(self.train_on) / size))
        words = data.own_texts[self.train_on, 0]
        weights = balancing_weights(words) if config.data.balance == "sqrt" else np.ones(len(words))
        self.order = ObjectOrder(self.train_on, weights, size, config.seed)
        self.terms = self._terms()
        teacher = data.teacher
        self.bank = (
            TextBank(data.texts, data.text_vectors, teacher.name, teacher.templates) if data.texts else None
        )
        torch.manual_seed(config.seed)
        network = config.model
        described = ModelConfig(
            encoder=network.encoder,
            preprocessing=network.preprocessing,
            teacher=data.teacher,
            colors_seen=self.colors_seen,
        )
        with nullcontext() if fresh else weights_follow():
            self.model = Clip2Model(described)
        if config.start is not None and fresh:
            start_from(self.model, config.start)
        self.model.to(fabric.device)
        self.average = WeightAverage(self.model, config.optimizer.ema)
        self.network, self.optimizer = fabric.setup(
            self.model, create_optimizer(self.model, config.optimizer)
        )
        self.objective = ContrastiveObjective(config.objective)
        self.batches = BatchMaker(data, network.preprocessing, config.augmentation, fabric.device)
        self.latest_figures: dict[str, float] = {}
        self.seconds = 0.0

    def go(self, latest: Path | None) -> TrainingResult:
        """All steps that are left."""
        first = self._restore(latest) if latest else 0
        if first == self.total and self._exported():
            self._say(f"nothing to do: {self.run} finished its {self.total} steps")
            return self._result(first)
        if self.fabric.is_global_zero:
            self.run.mkdir(parents=True, exist_ok=True)
            text = self.config.to_yaml()
            write_atomically(self.run / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
        self.fabric.barrier()
        self._introduce(first)
        with RunLog(self.run, first, self.total, self.console) as log, StopRequest() as stop:
            step = self._steps(first, log, stop)
            if step == self.total:
                self._evaluate(step, log)
            self._checkpoint(step)
        return self._result(step)

    def _steps(self, first: int, log: RunLog, stop: StopRequest) -> int:
        loop = self.config.loop
        tally = Tally()
        for step in range(first, self.total):
            began = time.perf_counter()
            losses, making = self._step(step)
            self.seconds += time.perf_counter() - began
            tally.add(losses, making, time.perf_counter() - began)
            done = step + 1
            log.advance(done)
            due = done % loop.checkpoint_every == 0
            stopping = any_rank(self.fabric, stop.requested)
            if done % loop.log_every == 0 or due or stopping or done == self.total:
                figures = tally.figures(loop.batch_size)
                if not math.isfinite(figures["train/loss"]):
                    raise InputError(
                        f"the loss is not finite near step {done}",
                        source=self.run,
                        field="optimizer.lr",
                        fix="lower it (--set optimizer.lr=...) and begin again in another folder",
                    )
                figures["train/lr"] = self.optimizer.param_groups[0]["lr"]
                figures["train/text_scale"] = self.model.log_text_scale.exp().item()
                figures["train/image_scale"] = self.model.log_image_scale.exp().item()
                self.latest_figures |= figures
                log.figures(done, figures)
                tally = Tally()
            if stopping:
                return done
            if self._evaluation_due(done) and done < self.total:
                self._evaluate(done, log)
            if due and done < self.total:
                self._checkpoint(done)
        return self.total

    def _step(self, step: int) -> tuple[Losses, float]:
        """One optimizer step, and the seconds its data took."""
        config, rank, world = self.config, self.fabric.global_rank, self.fabric.world_size
        seed = step_seed(config.seed, step, rank)
        torch.manual_seed(seed)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.total, config.optimizer)
        began = time.perf_counter()
        share = config.loop.batch_size // world
        objects = self.order.batch(step)[rank * share : (rank + 1) * share]
        clouds, targets = self.batches.make(objects, seed)
        making = time.perf_counter() - began
        losses = self.objective(self.network(clouds), targets)
        self.optimizer.zero_grad()
        self.fabric.backward(losses.total)
        self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=config.optimizer.clip, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.model.clamp_scales()
        self.average.update(self.model, step)
        return losses.detach(), making

    def _evaluation_due(self, done: int) -> bool:
        per_step = self.config.loop.batch_size / (len(self.train_on) * self.config.loop.evaluate_every)
        return math.floor(done * per_step) > math.floor((done - 1) * per_step)

    def _evaluate(self, step: int, log: RunLog) -> None:
        if len(self.held_out) and self.fabric.is_global_zero:
            self._settle_average()
            figures = zero_shot(self.average.model, self.data, self.held_out)
            named = {f"held_out/{name}": value for name, value in figures.items()}
            self.latest_figures |= named
            log.figures(step, named)
            log.say(
                f"step {step}: of {len(self.held_out)} held-out objects among {len(self.data.texts)} words "
                f"top-1 {figures['top1']:.1%}, top-5 {figures['top5']:.1%}, mean over words {figures['top1_per_word']:.1%}"
            )
        self.fabric.barrier()

    def _checkpoint(self, step: int) -> None:
        """State first: the export can always be made again from it."""
        if self.fabric.is_global_zero:
            facts = {
                "total": self.total,
                "fingerprint": self.fingerprint,
                "seconds": round(self.seconds, 1),
                "figures": self.latest_figures,
            }
            save_state(self.run, step, self.model, self.average.model, self.optimizer.optimizer, facts)
            self._settle_average()
            save(self.average.model, self.run, self.bank, self._figures(step))
        self.fabric.barrier()

    def _settle_average(self) -> None:
        """Always the same batches, so that the outcome depends on nothing but the averaged weights."""
        if has_batch_norm(self.average.model):
            share = self.config.loop.batch_size // self.fabric.world_size
            seeds = [step_seed(self.config.seed, step, _SETTLING_RANK) for step in range(_SETTLING_BATCHES)]
            inputs = (
                self.batches.make(self.order.batch(step)[:share], seed)[0] for step, seed in enumerate(seeds)
            )
            settle_statistics(self.average.model, inputs)

    def _restore(self, latest: Path) -> int:
        facts = read_facts(latest)
        if facts["fingerprint"] != self.fingerprint:
            raise InputError(
                "the triplets or their features are not the ones it began with",
                source=self.run,
                field="--data",
                fix="give the same folders, or begin in another folder",
            )
        load_state(latest, self.model, self.average.model, self.optimizer.optimizer)
        self.seconds, self.latest_figures = facts["seconds"], facts["figures"]
        return facts["step"]

    def _exported(self) -> bool:
        try:
            return read_config(self.run).training.get("step") == self.total
        except InputError:
            return False

    def _figures(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "total_steps": self.total,
            "batch_size": self.config.loop.batch_size,
            "objects": len(self.train_on),
            "objects_held_out": len(self.held_out),
            "objects_with_picture": int(self.data.image_present[self.train_on].sum()),
            "words": len(self.data.texts),
            "seconds": round(self.seconds, 1),
            "colors_seen": self.colors_seen,
            "terms": self.terms,
            **self.latest_figures,
        }

    def _result(self, step: int) -> TrainingResult:
        return TrainingResult(self.run, step, self.total, step == self.total, self._figures(step))

    def _terms(self) -> str:
        """Those of the objective that have something to learn from."""
        objective, data = self.config.objective, self.data
        present = {
            "text": objective.text_weight > 0 and (data.own_texts[self.train_on] >= 0).any(),
            "image": objective.image_weight > 0 and data.image_present[self.train_on].any(),
        }
        if not any(present.values()):
            raise BadDatasetError(
                "no object has what the objective learns from",
                field="objective",
                fix="give text_weight a value above 0 for words, image_weight for pictures",
            )
        return " and ".join(term for term, used in present.items() if used)

    def _introduce(self, first: int) -> None:
        for line in introduction(self.data, self.train_on, len(self.held_out), self.colors_seen):
            self._say(line)
        if self.terms != "text and image":
            missing = "pictures" if self.terms == "text" else "words"
            self._say(f"no {missing} to learn from: training on the {self.terms} term alone")
        self._say(
            f"{self.config.model.encoder.name}, {self.model.parameter_count() / 1e6:.2f} M parameters, on "
            f"{self.fabric.world_size} x {self.fabric.device.type} with {torch.get_num_threads()} threads; "
            f"{f'continuing at step {first} of' if first else 'beginning'} {self.total} steps"
        )

    def _say(self, line: str) -> None:
        if self.console is not None:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
