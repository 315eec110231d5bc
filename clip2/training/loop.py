"""Training run: steps, evaluation, checkpoints and what is fitted at the end."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from clip2.checkpoint import read_config, save
from clip2.hub import write_model_card
from clip2.model_config import ModelConfig
from clip2.progress import StopRequest
from clip2.size_prior import SizeRange
from clip2.teacher.text_bank import TextBank
from clip2.training.augmentation import colors_seen
from clip2.training.calibration import calibrate, synthetic_manifests
from clip2.training.config import TrainConfig
from clip2.training.dataset import TrainingSet
from clip2.training.fabric import any_rank, create_fabric, environment, lost_ranks, peak_memory, reproducible
from clip2.training.fit_ood import MOST_OBJECTS, fit_from_objects
from clip2.training.learner import Learner
from clip2.training.log import RunLog, summary
from clip2.training.metrics import Meters, zero_shot
from clip2.training.packing import configured_training_set
from clip2.training.run_folder import (
    CONFIG_FILE,
    check_run,
    flat,
    load_state,
    read_facts,
    require_begun,
    save_state,
)
from clip2.training.sizes import trained_sizes
from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.lock import FolderLock

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_FEWEST_HELD_OUT = 40
# Number of batches for the BatchNorm statistics of the averaged weights, and an unused rank for their seeds.
_STATISTICS_BATCHES, _STATISTICS_RANK = 16, 1 << 30


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of :func:`train`.

    Attributes:
        run: the folder.
        step, total: steps done and requested.
        finished: False: interrupted; continue with ``resume=True``.
        metrics: training metrics in ``config.json``.
    """

    run: Path
    step: int
    total: int
    finished: bool
    metrics: dict[str, Any]


def train(
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    data: TrainingSet | None = None,
    console: Console | None = None,
) -> TrainingResult:
    """Train a model and write a folder that :func:`clip2.load` reads.

    A run that was killed at any moment and continued with ``resume=True`` ends with exactly the weights of an
    undisturbed run, on a CPU with the same number of threads.

    Args:
        config: configuration of the run.
        out: folder of the run; new, or one to continue.
        resume: continue the run in ``out``; begin if there is none.
        data: objects to train on; None: read ``config.data.folders``.
        console: for progress; None: show nothing.

    Raises:
        InputError: bad data, folder or configuration, or a loss that is not finite.

    >>> import tempfile
    >>> from clip2.training import pack
    >>> random = np.random.default_rng(0)
    >>> clouds = [(random.random((50, 3), np.float32), None) for _ in range(8)]
    >>> data = pack(clouds, [[0], [1]] * 4, ["ball", "box"], np.eye(2, dtype=np.float32), "my CLIP")
    >>> settings = {"loop": {"steps": 1, "batch_size": 4}, "model": {"encoder": {"name": "pointnet"}}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(TrainConfig.model_validate(settings), f"{folder}/run", data=data).finished
    True
    """
    run = Path(out)
    latest = check_run(run, config, resume)
    fabric = create_fabric(config.device)
    if data is None:
        data = configured_training_set(config.data, console if fabric.is_global_zero else None)
    run.mkdir(parents=True, exist_ok=True)
    writer = FolderLock(run) if fabric.is_global_zero else nullcontext()
    with reproducible(fabric.device), lost_ranks(fabric), writer:
        return TrainingRun(config, run, data, fabric, console, fresh=latest is None).go(latest)


class TrainingRun:
    """One run in progress: :meth:`go` does its steps."""

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
        # None: another rank writes.
        self.console = (console or Console(quiet=True)) if fabric.is_global_zero else None
        self.fingerprint = data.fingerprint()
        self.train_on, held_out = data.split(config.data.hold_out, config.seed)
        self.held_out = held_out[data.own_texts[held_out, 0] >= 0]  # the others have no correct answer
        self.colors_seen = colors_seen(data.has_color[self.train_on], config)
        if self.colors_seen == "present":
            self.held_out = self.held_out[data.has_color[self.held_out]]
        if len(self.train_on) < 2:
            raise BadDatasetError(f"leaves {len(self.train_on)} objects to train on", field="data")
        self.terms = self._terms()
        teacher = data.teacher
        self.bank = (
            TextBank(data.texts, data.text_vectors, teacher.name, teacher.templates) if data.texts else None
        )
        network = config.model
        described = ModelConfig(
            encoder=network.encoder,
            preprocessing=network.preprocessing,
            teacher=teacher,
            colors_seen=self.colors_seen,
            sizes=self._sizes() if network.preprocessing.size else {},
        )
        self.learner = Learner(config, data, self.train_on, described, fabric, fresh)
        self.total = self.learner.total
        self.latest_metrics: dict[str, float] = {}
        self.seconds = 0.0

    def go(self, latest: Path | None) -> TrainingResult:
        """Do all remaining steps."""
        first = self._restore(latest) if latest else 0
        if first == self.total and self._exported():
            self._say(f"nothing to do: {self.run} finished its {self.total} steps")
            return self._result(first)
        if self.fabric.is_global_zero:
            self.run.mkdir(parents=True, exist_ok=True)
            text = self.config.to_yaml()
            write_atomically(self.run / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
        self.fabric.barrier()
        self._summarize(first)
        loggers, config = self.config.loop.loggers, flat(self.config.model_dump())
        with (
            RunLog(self.run, first, self.total, self.console, loggers, config) as log,
            StopRequest() as stop,
        ):
            try:
                step = self._steps(first, log, stop)
            finally:
                self.learner.close()
            if step == self.total:
                self._evaluate(step, log)
                self._fit_ood(step, log)
                self._calibrate(step, log)
            self._checkpoint(step)
        return self._result(step)

    def _steps(self, first: int, log: RunLog, stop: StopRequest) -> int:
        loop = self.config.loop
        meters = Meters()
        for step in range(first, self.total):
            began = time.perf_counter()
            losses, data_seconds = self.learner.step(step)
            seconds = time.perf_counter() - began
            self.seconds += seconds
            meters.add(losses, data_seconds, seconds)
            done = step + 1
            log.advance(done)
            due = done % loop.checkpoint_every == 0
            stopping = any_rank(self.fabric, stop.requested)
            if done % loop.log_every == 0 or due or stopping or done == self.total:
                metrics = meters.compute(loop.batch_size)
                if not math.isfinite(metrics["train/loss"]):
                    raise InputError(
                        f"the loss is not finite near step {done}",
                        source=self.run,
                        field="optimizer.lr",
                        fix="lower it (--set optimizer.lr=...) and begin again in another folder",
                    )
                metrics["train/memory_gb"] = peak_memory(self.fabric.device) / 1e9
                metrics["train/lr"] = self.learner.optimizer.param_groups[0]["lr"]
                metrics["train/text_scale"] = self.learner.model.log_text_scale.exp().item()
                metrics["train/image_scale"] = self.learner.model.log_image_scale.exp().item()
                self.latest_metrics |= metrics
                log.write(done, metrics)
                meters = Meters()
            if stopping:
                return done
            if self._evaluation_due(done) and done < self.total:
                self._evaluate(done, log)
            if due and done < self.total:
                self._checkpoint(done)
        return self.total

    def _evaluation_due(self, done: int) -> bool:
        per_step = self.config.loop.batch_size / (len(self.train_on) * self.config.loop.evaluate_every)
        return math.floor(done * per_step) > math.floor((done - 1) * per_step)

    def _evaluate(self, step: int, log: RunLog) -> None:
        self.learner.average.collect()
        if len(self.held_out) and self.fabric.is_global_zero:
            self.learner.update_statistics()
            metrics = zero_shot(self.learner.average.model, self.data, self.held_out)
            named = {f"held_out/{name}": value for name, value in metrics.items()}
            self.latest_metrics |= named
            log.write(step, named)
            log.say(
                f"step {step}: {len(self.held_out)} held-out objects among {len(self.data.texts)} texts: "
                f"top-1 {metrics['top1']:.1%}, top-5 {metrics['top5']:.1%}, "
                f"class mean {metrics['top1_class_mean']:.1%}"
            )
        self.fabric.barrier()

    def _fit_ood(self, step: int, log: RunLog) -> None:
        """Fit the detector of objects that no label fits; half of the held-out objects score it."""
        if not self.config.data.ood or not self.fabric.is_global_zero:
            return
        if len(self.held_out) < _FEWEST_HELD_OUT:
            log.say(
                f"{len(self.held_out)} objects held out, {_FEWEST_HELD_OUT} are needed to fit a detector of unknown "
                "objects: the model will name everything (set data.hold_out=0.1)"
            )
            return
        self.learner.update_statistics()
        data, known, held_out = _in_memory(self.data, self.train_on, self.held_out, self.config.seed)
        detector, score = fit_from_objects(
            self.learner.average.model, data, known, held_out, self.config.seed
        )
        self.learner.average.model.ood_detector = detector
        self.latest_metrics["held_out/ood_auroc"] = score
        log.write(step, {"held_out/ood_auroc": score})
        log.say(f"unknown objects: AUROC {score:.3f} on held-out objects against outliers made from them")

    def _calibrate(self, step: int, log: RunLog) -> None:
        """Calibrate scores on new scenes of the synthetic worlds that objects are from."""
        frames = self.config.data.calibrate
        if not frames or self.bank is None or not self.fabric.is_global_zero:
            return
        manifests = synthetic_manifests(self.config.data.folders)
        if not manifests:
            log.say("no folder was mined from the synthetic world: scores are not calibrated")
            return
        self.learner.update_statistics()
        model = self.learner.average.model
        calibration, metrics = calibrate(model, self.bank, manifests, frames)
        model.config = model.config.model_copy(update={"calibration": calibration})
        named = {f"calibration/{name}": value for name, value in metrics.items()}
        self.latest_metrics |= named
        log.write(step, named)
        parts = ", ".join(f"{name.split('/')[1]} {value:.3f}" for name, value in named.items())
        log.say(
            f"scores calibrated on {frames} synthetic frames, measured in other worlds: {parts or 'too few names'}"
        )

    def _checkpoint(self, step: int) -> None:
        """Save the state first: the export can always be repeated from it."""
        learner = self.learner
        learner.average.collect()
        facts = {
            "total": self.total,
            "fingerprint": self.fingerprint,
            "seconds": round(self.seconds, 1),
            "metrics": self.latest_metrics,
        }
        first = self.fabric.is_global_zero
        if first or learner.sharded:
            state = learner.model, learner.average.model, learner.optimizer.optimizer
            save_state(self.run, step, *state, facts, write=first)
        if first:
            require_begun(self.run)
            learner.update_statistics()
            save(learner.average.model, self.run, self.bank, self._metrics(step))
            write_model_card(self.run)
        self.fabric.barrier()

    def _restore(self, latest: Path) -> int:
        facts = read_facts(latest)
        if facts["fingerprint"] != self.fingerprint:
            raise InputError(
                "the triplets or their features are not the ones it began with",
                source=self.run,
                field="--data",
                fix="give the same folders, or begin in another folder",
            )
        learner = self.learner
        load_state(latest, learner.model, learner.average.model, learner.optimizer.optimizer)
        learner.average.distribute()
        # Called `figures` until 0.1.0.
        self.seconds = facts["seconds"]
        self.latest_metrics = facts["metrics"] if "metrics" in facts else facts["figures"]
        return facts["step"]

    def _exported(self) -> bool:
        try:
            return read_config(self.run).training.get("step") == self.total
        except InputError:
            return False

    def _metrics(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "total_steps": self.total,
            "batch_size": self.config.loop.batch_size,
            "objects": len(self.train_on),
            "objects_held_out": len(self.held_out),
            "objects_with_image": int(self.data.image_present[self.train_on].sum()),
            "texts": len(self.data.texts),
            "seconds": round(self.seconds, 1),
            "colors_seen": self.colors_seen,
            "terms": self.terms,
            "data": [Path(folder).name for folder in self.config.data.folders],
            "data_digest": self.fingerprint[:16],
            "environment": environment(),
            **self.latest_metrics,
        }

    def _result(self, step: int) -> TrainingResult:
        return TrainingResult(self.run, step, self.total, step == self.total, self._metrics(step))

    def _sizes(self) -> dict[str, SizeRange]:
        if not self.fabric.is_global_zero:  # which alone saves them
            return {}
        data, rows, _ = _in_memory(self.data, self.train_on, self.held_out[:0], self.config.seed)
        return trained_sizes(data, rows)

    def _terms(self) -> str:
        """Terms of the objective that the data has targets for."""
        objective, data = self.config.objective, self.data
        distill = objective.regression_weight > 0 or objective.relation_weight > 0
        taught = data.point_targets is not None and bool(data.point_targets[self.train_on].any())
        if distill and not taught:
            raise BadDatasetError(
                "has no embeddings of a point teacher, and objective.regression_weight or relation_weight asks for them",
                field="--data",
                fix="run clip2 embed TRIPLETS --points NAME, or train with --teacher-points NAME",
            )
        present = {
            "text": objective.text_weight > 0 and (data.own_texts[self.train_on] >= 0).any(),
            "image": objective.image_weight > 0 and data.image_present[self.train_on].any(),
            "point teacher's": distill,
        }
        if not any(present.values()):
            raise BadDatasetError(
                "no object has a target of the objective",
                field="objective",
                fix="set text_weight above 0 for texts, image_weight for images",
            )
        return " and ".join(term for term, used in present.items() if used)

    def _summarize(self, first: int) -> None:
        for line in summary(self.data, self.train_on, len(self.held_out), self.colors_seen):
            self._say(line)
        if self.terms in ("text", "image"):
            missing = "images" if self.terms == "text" else "texts"
            self._say(f"no {missing} to learn from: training on the {self.terms} term alone")
        elif self.terms != "text and image":
            self._say(f"training on the {self.terms} term{'s' if ' and ' in self.terms else ''}")
        self._say(
            f"{self.config.model.encoder.name}, {self.learner.model.parameter_count() / 1e6:.2f} M parameters, on "
            f"{self.fabric.world_size} x {self.fabric.device.type} with {torch.get_num_threads()} threads; "
            f"{f'continuing at step {first} of' if first else 'beginning'} {self.total} steps"
        )

    def _say(self, line: str) -> None:
        if self.console is not None:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _in_memory(
    data: TrainingSet, train_on: NDArray[np.int64], held_out: NDArray[np.int64], seed: int
) -> tuple[TrainingSet, NDArray[np.int64], NDArray[np.int64]]:
    """A set with all points in memory, and the rows in it of the objects that are trained on and held out.

    Of a streamed set, that is those of some training shards, as reading them all takes as long as a pass.
    """
    if data.clouds.home != "shards":
        return data, train_on, held_out
    shard = data.clouds.block[train_on]
    shards = np.random.default_rng([seed, 0x5A3]).permutation(np.unique(shard))
    sizes = np.cumsum([(shard == one).sum() for one in shards])
    some = train_on[np.isin(shard, shards[: np.searchsorted(sizes, MOST_OBJECTS) + 1])]
    rows = np.concatenate([some, held_out])
    small = replace(data.select(rows), clouds=data.clouds.in_memory(rows))
    numbers = np.arange(len(rows))
    return small, numbers[: len(some)], numbers[len(some) :]
