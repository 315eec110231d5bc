"""Training configuration: every option, its default and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import AliasChoices, Field, field_validator, model_validator

from clip2.model_config import EncoderConfig
from clip2.objectives import ObjectiveConfig
from clip2.preprocessing import Preprocessing
from clip2.training.loggers import LoggerName
from data_prep import config
from data_prep.config import TypedConfig

# Labels that class-agnostic detectors (SAM and others) give to everything. They match everything and name nothing.
NAMELESS = ("object",)
# Far beyond any real run: larger values are typing errors that would fail only after hours or for lack of memory.
MOST_OBJECTS_PER_STEP = 1 << 16  # their pairwise similarities alone take 16 GiB
MOST_CALIBRATION_FRAMES = 10_000
MOST_STEPS, MOST_EPOCHS = 1_000_000_000, 1_000_000
MOST_DEVICES, MOST_THREADS = 1024, 1024


class DataConfig(TypedConfig):
    """Training data.

    Attributes:
        folders: triplet folders with cached features; ``--data`` sets this.
        clip: CLIP model whose cached features to use; needed only if a folder has those of several.
        hold_out: share of *frames* whose objects are not trained on but named zero-shot after each pass.
        max_points: points kept per object, a uniform sample.
        cache: map the points from float16 files beside the shards, written on first use (the coordinates' error is at
            most a 4096th of the object's size); false: hold them in memory as float32.
        views: of associated objects, learn from each kept view's cloud as well as from their union. A scene's clouds
            are whole from all sides or seen from one, and the encoder must know both.
        stream: shards to read at once, over all devices: each pass reads every shard anew, from its folder or URL, and
            nothing is written to disk (:mod:`clip2.training.stream`). 0: use ``cache``. Held out are then whole shards.
        balance: ``sqrt``: a label that is 100 times as frequent is drawn 10 times as often; ``none``: no balancing.
        ood: fit a detector of unknown objects at the end, if objects are held out (:mod:`clip2.training.fit_ood`).
        calibrate: at the end, calibrate scores on this many new frames of each synthetic world that ``folders`` were mined
            from (:mod:`clip2.training.calibration`); 0: a score stays the product of its parts.
        nameless: labels that name nothing, such as the one label of a class-agnostic detector. They are excluded from
            targets and negatives; an object without another text trains by its image alone, and is left out if it
            has none.
    """

    folders: tuple[str, ...] = ()
    clip: str | None = None
    hold_out: float = Field(default=0.0, ge=0, le=0.5)
    max_points: int = Field(default=4096, ge=16)
    cache: bool = True
    views: bool = False
    stream: int = Field(default=0, ge=0, le=MOST_DEVICES)
    balance: Literal["sqrt", "none"] = "sqrt"
    ood: bool = True
    calibrate: int = Field(default=0, ge=0, le=MOST_CALIBRATION_FRAMES)
    nameless: tuple[str, ...] = NAMELESS


class NetworkConfig(TypedConfig):
    """Encoder and preprocessing. The teacher is the CLIP model of the features."""

    encoder: EncoderConfig = EncoderConfig()
    preprocessing: Preprocessing = Preprocessing()


class AugmentationConfig(TypedConfig):
    """Random changes of the training clouds. Lengths are in encoder units: radii of a unit sphere, or meters.

    Attributes:
        rotate_z: rotate by any angle about the vertical.
        tilt_degrees: largest tilt about a random horizontal axis.
        scale: smallest and largest factor, after normalizing.
        shift: largest displacement along each axis.
        jitter: standard deviation of the noise on each coordinate, cut at three.
        point_dropout: largest share of points to remove.
        cut: share of the samples of which a random plane takes up to three quarters away, as occlusion and wrong
            proposals do.
        color_drop: share of the colored samples shown without their color. A model that never saw clouds without
            color rejects them, and one that saw only such clouds ignores color; see ``ModelConfig.colors_seen``.
        recolor: share of the samples shown in other colors, so that a class seen only in red is still recognized in
            blue. They keep their texts but not their image vector, which shows the true color. Not for texts that
            mention colors.
    """

    rotate_z: bool = True
    tilt_degrees: float = Field(default=0.0, ge=0, le=180)
    scale: tuple[float, float] = (0.8, 1.25)
    shift: float = Field(default=0.05, ge=0)
    jitter: float = Field(default=0.01, ge=0)
    point_dropout: float = Field(default=0.5, ge=0, lt=1)
    cut: float = Field(default=0.0, ge=0, le=1)
    color_drop: float = Field(default=0.2, ge=0, le=1)
    recolor: float = Field(default=0.0, ge=0, le=1)

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("must be (smallest, largest), both above 0")
        return scale


class OptimizerConfig(TypedConfig):
    """AdamW with warm-up and cosine decay; the averaged weights are evaluated and exported.

    Attributes:
        lr: peak learning rate.
        weight_decay: for matrices only, not for norms, biases or temperatures.
        betas: AdamW's betas.
        warmup: share of all steps in which the rate rises linearly.
        final_lr: rate at the end, as a share of ``lr``.
        clip: largest gradient norm.
        ema: decay of the weight average per step, reached gradually; 0: no averaging.
    """

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    final_lr: float = Field(default=0.01, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)

    @field_validator("betas")
    @classmethod
    def _below_one(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("both must be at least 0 and below 1")
        return betas


class LoopConfig(TypedConfig):
    """Length of the run, and intervals between its side tasks.

    Attributes:
        batch_size: objects per step over all devices together.
        part: objects per device that are in memory at once; None: all. The gradient is that of the whole batch
            (:mod:`clip2.training.accumulation`), for one more forward pass.
        epochs: passes over the training objects, unless ``steps`` is set.
        steps: optimizer steps.
        checkpoint_every: steps between saved states.
        evaluate_every: passes between evaluations on the held-out frames.
        log_every: steps between logged metrics.
        loggers: what receives the metrics besides ``metrics.jsonl`` (:mod:`clip2.training.loggers`); ``curves``: a
            picture at the end.
    """

    batch_size: int = Field(default=128, ge=2, le=MOST_OBJECTS_PER_STEP)
    part: int | None = Field(default=None, ge=2)
    epochs: float = Field(default=100, gt=0, le=MOST_EPOCHS)
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    checkpoint_every: int = Field(default=500, ge=1)
    evaluate_every: float = Field(default=1, gt=0)
    log_every: int = Field(default=10, ge=1)
    loggers: tuple[LoggerName, ...] = ("tensorboard", "curves")


class DeviceConfig(TypedConfig):
    """Devices, for Lightning Fabric. Start several devices with torchrun.

    Attributes:
        workers: processes per device that read shards, with ``data.stream``; 0: the training process itself.
        strategy: how several devices share the work. ``ddp``: each holds the whole model; ``fsdp``: each holds a part of
            the encoder's weights, gradients and moments, for encoders that do not fit otherwise
            (:mod:`clip2.training.sharding`).
        precision: ``auto``: bf16-mixed on a GPU that supports it, otherwise 32-true.
        threads: CPU threads per process; None: ``OMP_NUM_THREADS`` if set, otherwise one per physical core.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(default=1, ge=1, le=MOST_DEVICES)
    nodes: int = Field(default=1, ge=1, le=MOST_DEVICES)
    strategy: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    workers: int = Field(default=2, ge=0, le=MOST_THREADS)


class TrainConfig(TypedConfig):
    """One training run.

    Attributes:
        init_from: checkpoint with the same encoder to take initial weights from, as accepted by :func:`clip2.load`;
            None: random weights.
    """

    seed: int = Field(default=0, ge=0, lt=1 << 63)
    # Called `start` until 0.1.0.
    init_from: str | None = Field(default=None, validation_alias=AliasChoices("init_from", "start"))
    data: DataConfig = DataConfig()
    model: NetworkConfig = NetworkConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loop: LoopConfig = LoopConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _even_batches(self) -> TrainConfig:
        world = self.device.devices * self.device.nodes
        if self.loop.batch_size % world:
            raise ValueError(f"loop.batch_size {self.loop.batch_size} does not divide by {world} devices")
        if self.device.strategy == "fsdp" and self.loop.part is not None:
            raise ValueError("loop.part works with device.strategy ddp only")
        lanes = self.data.stream
        if lanes and self.data.views:
            raise ValueError("data.views needs the cache: set data.stream to 0")
        if lanes and (self.loop.batch_size % lanes or lanes % world):
            raise ValueError(
                f"data.stream {lanes} must be a multiple of {world} devices and divide loop.batch_size "
                f"{self.loop.batch_size}"
            )
        return self

    def to_yaml(self) -> str:
        """YAML text of all values, defaults included; :func:`load_config` reads it back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: str | Path | None, overrides: Sequence[str] = ()) -> TrainConfig:
    """Training configuration from a YAML file and overrides; see :func:`data_prep.config.load_config`."""
    return config.load_config(TrainConfig, path, overrides)
