"""Point-cloud model in the embedding space of a frozen CLIP."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from clip2.cuda_graphs import GraphedInference
from clip2.encoders import create_encoder
from clip2.model_config import ModelConfig
from clip2.object_model import Description as Description
from clip2.object_model import ObjectModel
from clip2.objectives import Embeddings
from clip2.ood.detector import OODDetector
from clip2.preprocessing import PreparedClouds
from clip2.teacher.text_bank import TextBank
from clip2.teacher.text_with_tower import own_text_source
from data_prep.errors import InputError

# CLIP (Radford et al. 2021): initial temperature 0.07, logit scale at most 100.
INITIAL_LOGIT_SCALE, LARGEST_LOGIT_SCALE = 1 / 0.07, 100.0
# A batch has a fixed cost of milliseconds on a CPU, so the one or two hundred objects of a sweep are one batch. That many
# points take a few hundred MB in the largest encoder.
_POINTS_PER_BATCH = 1 << 17


class SizeMixer(nn.Module):
    """Adds the object size to the embedding of a scaled shape.

    Args:
        width: W, channels of the embedding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width + 1, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, pooled: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        """(B, W) from an embedding (B, W) and radii (B,) in meters, which enter as logarithms."""
        size = radii.clamp_min(1e-3).log().to(pooled.dtype)[:, None]
        mixed: torch.Tensor = pooled + self.layers(torch.cat([pooled, size], dim=1))
        return mixed


class Clip2Model(nn.Module, ObjectModel):
    """Point encoder, projection to the teacher's width, and the two learned temperatures.

    Args:
        config: encoder, preprocessing and teacher.
        text_bank: label vectors that travel with the model, so that :meth:`classify` needs no text tower.
        ood_detector: detector fitted to the training objects; objects that it rejects get the label ``unknown``.

    Attributes:
        text: default source of label vectors: the bank, with the text tower of a bundled teacher behind it; None if
            the model has neither.

    Raises:
        InputError: unknown encoder or options, a bank of another CLIP model, or a detector of another encoder.

    >>> import clip2
    >>> model = clip2.load("mini-points")
    >>> cloud = np.random.default_rng(0).normal(size=(500, 3))
    >>> model.encode([cloud]).shape
    torch.Size([1, 128])
    >>> model.classify([cloud], "chair, table").scores.shape
    (1, 2)
    """

    def __init__(
        self,
        config: ModelConfig,
        text_bank: TextBank | None = None,
        ood_detector: OODDetector | None = None,
    ) -> None:
        super().__init__()
        if text_bank is not None:
            config.teacher.require(text_bank)
        self.config = config
        self.text_bank = text_bank
        self.text = own_text_source(
            config.teacher.name, config.teacher.width, text_bank, config.teacher.templates
        )
        self.ood_detector = ood_detector
        channels = 3 if config.preprocessing.color else 0
        options = {"feature_channels": channels, **config.encoder.options}
        try:
            self.encoder = create_encoder(config.encoder.name, **options)
        except (ValueError, TypeError) as error:
            raise InputError(str(error), field="model.encoder") from error
        if self.encoder.feature_channels != channels:
            raise InputError(
                f"takes {self.encoder.feature_channels} channels, preprocessing.color gives {channels}",
                source=f"encoder {config.encoder.name}",
                field="feature_channels",
                fix="leave it out of encoder.options",
            )
        if ood_detector is not None and ood_detector.width != self.encoder.width:
            raise InputError(
                f"is {ood_detector.width} wide, the encoder is {self.encoder.width} wide",
                field="ood_detector",
                fix="fit it to features of this model",
            )
        self.size_mixer = SizeMixer(self.encoder.width) if config.preprocessing.size else None
        self.projection = nn.Linear(self.encoder.width, config.teacher.width)
        self.graphs = GraphedInference()
        self.log_text_scale = nn.Parameter(torch.tensor(math.log(INITIAL_LOGIT_SCALE)))
        self.log_image_scale = nn.Parameter(torch.tensor(math.log(INITIAL_LOGIT_SCALE)))

    @property
    def logit_scale(self) -> float:
        """Learned factor of the cosines before the softmax over labels."""
        return self.log_text_scale.exp().item()

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.projection.weight.device

    def forward(self, batch: PreparedClouds) -> Embeddings:
        """Embeddings of a preprocessed batch and the logit scales, with gradients."""
        points = self._project(self._pool(batch))
        return Embeddings(points, self.log_text_scale.exp(), self.log_image_scale.exp())

    def _pool(self, batch: PreparedClouds) -> torch.Tensor:
        """(B, W) encoder output with the object size mixed in."""
        pooled: torch.Tensor = self.encoder(
            batch.points, batch.features, features_present=batch.features_present, lengths=batch.lengths
        )
        if self.size_mixer is not None:
            assert batch.radii is not None
            pooled = self.size_mixer(pooled, batch.radii)
        return pooled

    def _project(self, pooled: torch.Tensor) -> torch.Tensor:
        # Half precision is too coarse for unit vectors that are multiplied by 100 before the softmax.
        return functional.normalize(self.projection(pooled).float(), dim=-1)

    def _infer(self, batch: PreparedClouds) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (B, D) and features (B, W)."""
        pooled = self._pool(batch)
        return self._project(pooled), pooled.float()

    @torch.no_grad()
    def clamp_scales(self) -> None:
        """Limit both logit scales to 100; called after every optimizer step."""
        for scale in (self.log_text_scale, self.log_image_scale):
            scale.clamp_(max=math.log(LARGEST_LOGIT_SCALE))

    def encode(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> torch.Tensor:
        """Embeddings of objects, in the teacher's space.

        Args:
            clouds: B arrays (n, 3) float, meters, z-up, one object each; also one (B, n, 3) array.
            colors: B arrays (n, 3) uint8 RGB, or None for clouds without color; None: no cloud has color. Ignored by
                models trained without color (``config.colors_seen``).
            batch_size: clouds per forward pass; None: 64 on a GPU, 131,072 points on a CPU.

        Returns:
            (B, D) float32 unit rows, on the CPU.

        Raises:
            InputError: a cloud that is empty, not finite or of the wrong shape, or that lacks color although the model
                was trained on colored clouds only.
        """
        return torch.from_numpy(self.describe(clouds, colors, batch_size).embeddings)

    def _batch_size(self) -> int:
        if self.device.type != "cpu":
            return 64  # small enough to prepare the next batch meanwhile
        return max(1, _POINTS_PER_BATCH // self.preprocessing.num_points)

    @torch.no_grad()
    def describe(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Description:
        """Embeddings and features of objects; arguments and errors as in :meth:`encode`.

        On a GPU, repeated batch sizes are replayed as CUDA graphs, see :mod:`clip2.cuda_graphs`.
        """
        if len(clouds) == 0:
            raise InputError("no clouds given", field="clouds")
        colors = self._usable_colors(len(clouds), colors)
        was_training = self.training
        self.eval()
        try:
            results: list[tuple[torch.Tensor, ...]] = []
            pending: tuple[torch.Tensor, ...] = ()
            step = self._batch_size() if batch_size is None else batch_size
            for start in range(0, len(clouds), step):
                stop = start + step
                batch = self.preprocessing(
                    clouds[start:stop], None if colors is None else colors[start:stop], first=start
                )
                # A GPU works on one batch while the next is prepared.
                if pending:
                    results.append(tuple(part.cpu() for part in pending))
                pending = self.graphs(self, self._infer, batch)
            results.append(tuple(part.cpu() for part in pending))
            embeddings, features = (torch.cat(parts).numpy() for parts in zip(*results, strict=True))
            return Description.checked(embeddings, features)
        finally:
            self.train(was_training)

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())
