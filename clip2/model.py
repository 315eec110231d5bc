"""The model: a point encoder whose embedding lands where a frozen CLIP puts pictures and words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from clip2.classification import Classification
from clip2.cuda_graphs import GraphedInference
from clip2.encoders import create_encoder
from clip2.evaluation import zero_shot_classify
from clip2.model_config import ModelConfig, TeacherSpec
from clip2.preprocessing import PreparedClouds, Preprocessing
from clip2.teacher.bank_with_tower import BankWithTower, is_taught_by_mini
from clip2.teacher.text_source import words_asked
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.ood.detector import OODDetector
    from clip2.teacher.text_bank import TextBank
    from clip2.teacher.text_source import TextSource

# CLIP (Radford et al. 2021): temperature 0.07 at the start, logits never scaled by more than 100.
INITIAL_LOGIT_SCALE, LARGEST_LOGIT_SCALE = 1 / 0.07, 100.0
# A batch costs a CPU some milliseconds of its own, so that a sweep's objects, a hundred or two, had better be one; that
# many points need some hundred MB in the largest encoder.
_POINTS_OF_A_BATCH = 1 << 17


class Embeddings(NamedTuple):
    """What a training step needs. ``points`` (B, D) unit rows; the scales are scalars, already exponentiated."""

    points: torch.Tensor
    text_scale: torch.Tensor
    image_scale: torch.Tensor


class Description(NamedTuple):
    """What the model says about B objects before any word is asked for.

    Attributes:
        embeddings: (B, D) float32 unit rows, in the teacher's space.
        features: (B, W) float32, what the encoder saw, sizes mixed in; for :class:`~clip2.ood.detector.OODDetector`.
    """

    embeddings: NDArray[np.float32]
    features: NDArray[np.float32]


class SizeMixer(nn.Module):
    """Tells an embedding of a scaled shape how large it was.

    Args:
        width: W, channels of the embedding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width + 1, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, pooled: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        """(B, W) from an embedding (B, W) and radii (B,) in meters; twice as large is as far from once as from four times."""
        size = radii.clamp_min(1e-3).log().to(pooled.dtype)[:, None]
        mixed: torch.Tensor = pooled + self.layers(torch.cat([pooled, size], dim=1))
        return mixed


class Clip2Model(nn.Module):
    """Point encoder, projection to the teacher's width, and the two learned temperatures.

    Args:
        config: encoder, preprocessing and teacher.
        text_bank: words that travel with the model, so that :meth:`classify` needs no text tower.
        familiarity: what its training objects looked like to it, so that it can say "unknown" of others.

    Attributes:
        text: where words come from if nothing else is given: the bank, and for a model taught by ``mini`` any phrase;
            None: nowhere.

    Raises:
        InputError: unknown encoder or options, a bank of another CLIP model, or statistics of another encoder.
    """

    text: TextSource | None

    def __init__(
        self,
        config: ModelConfig,
        text_bank: TextBank | None = None,
        familiarity: OODDetector | None = None,
    ) -> None:
        super().__init__()
        if text_bank is not None:
            config.teacher.require(text_bank)
        self.config = config
        self.text_bank = text_bank
        self.text = self._own_text()
        self.familiarity = familiarity
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
        if familiarity is not None and familiarity.width != self.encoder.width:
            raise InputError(
                f"are {familiarity.width} wide, the encoder is {self.encoder.width} wide",
                field="familiarity",
                fix="fit them on objects that this model describes",
            )
        self.size_mixer = SizeMixer(self.encoder.width) if config.preprocessing.size else None
        self.projection = nn.Linear(self.encoder.width, config.teacher.width)
        self._graphs = GraphedInference()
        self.log_text_scale = nn.Parameter(torch.tensor(math.log(INITIAL_LOGIT_SCALE)))
        self.log_image_scale = nn.Parameter(torch.tensor(math.log(INITIAL_LOGIT_SCALE)))

    @property
    def preprocessing(self) -> Preprocessing:
        """How raw clouds become input."""
        return self.config.preprocessing

    @property
    def teacher(self) -> TeacherSpec:
        """The CLIP model whose space the embeddings live in."""
        return self.config.teacher

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.projection.weight.device

    def _own_text(self) -> TextSource | None:
        if is_taught_by_mini(self.teacher.name):
            banked = None if self.text_bank is None else self.text_bank.templates
            return BankWithTower(
                self.teacher.name, self.teacher.width, self.text_bank, self.teacher.templates or banked
            )
        return self.text_bank

    def forward(self, batch: PreparedClouds) -> Embeddings:
        """Embeddings of an already preprocessed batch and the temperatures, with gradients."""
        points = self._project(self._pool(batch))
        return Embeddings(points, self.log_text_scale.exp(), self.log_image_scale.exp())

    def _pool(self, batch: PreparedClouds) -> torch.Tensor:
        """(B, W) what the encoder saw, sizes mixed in."""
        pooled: torch.Tensor = self.encoder(
            batch.points, batch.features, features_present=batch.features_present, lengths=batch.lengths
        )
        if self.size_mixer is not None:
            assert batch.radii is not None
            pooled = self.size_mixer(pooled, batch.radii)
        return pooled

    def _project(self, pooled: torch.Tensor) -> torch.Tensor:
        # Half precision is not enough for the length of a vector that softmax multiplies by 100.
        return functional.normalize(self.projection(pooled).float(), dim=-1)

    def _infer(self, batch: PreparedClouds) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (B, D) and features (B, W)."""
        pooled = self._pool(batch)
        return self._project(pooled), pooled.float()

    @torch.no_grad()
    def clamp_scales(self) -> None:
        """Keep both logit scales at 100 or below; called after every optimizer step."""
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
            clouds: B arrays (n, 3) float, meters, z-up, one object each; a plain (B, n, 3) array works too.
            colors: B arrays (n, 3) uint8 RGB or None where a cloud has none; None: no cloud has color. Ignored by a
                model that saw no color in training (``config.colors_seen``).
            batch_size: clouds per forward pass; None: 64 on a GPU, on a CPU as many as hold 131,072 points.

        Returns:
            (B, D) float32 unit rows, on the CPU.

        Raises:
            InputError: naming the cloud that is empty, not finite or of the wrong shape, or that has no color where
                the model saw nothing else.
        """
        return torch.from_numpy(self.describe(clouds, colors, batch_size).embeddings)

    def _batch_size(self) -> int:
        if self.device.type != "cpu":
            return 64  # a GPU works on one batch while the next is prepared
        return max(1, _POINTS_OF_A_BATCH // self.preprocessing.num_points)

    @torch.no_grad()
    def describe(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Description:
        """Embeddings of objects and what they were made from; arguments and errors as of :meth:`encode`.

        On a GPU, batches of a size met before are replayed as CUDA graphs, see :mod:`clip2.cuda_graphs`.
        """
        if len(clouds) == 0:
            raise InputError("no clouds given", field="clouds")
        colors = self._usable_colors(len(clouds), colors)
        was_training = self.training
        self.eval()
        try:
            found: list[tuple[torch.Tensor, ...]] = []
            under_way: tuple[torch.Tensor, ...] = ()
            step = self._batch_size() if batch_size is None else batch_size
            for start in range(0, len(clouds), step):
                stop = start + step
                batch = self.preprocessing(
                    clouds[start:stop], None if colors is None else colors[start:stop], first=start
                )
                # A GPU works on one batch while the next is prepared.
                if under_way:
                    found.append(tuple(part.cpu() for part in under_way))
                under_way = self._graphs(self, self._infer, batch)
            found.append(tuple(part.cpu() for part in under_way))
            embeddings, features = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
            return Description(embeddings, features)
        finally:
            self.train(was_training)

    def classify(
        self,
        clouds: Sequence[NDArray[np.floating]],
        labels: str | Iterable[str] | None = None,
        text: TextSource | None = None,
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Classification:
        """Name objects from any list of words.

        Args:
            clouds, colors, batch_size: as in :meth:`encode`.
            labels: K words, or one string of words separated by commas; None: all words of the bank.
            text: where word vectors come from; None: the model's own :attr:`text`.

        Raises:
            InputError: no labels, a label twice, a label without a vector, vectors of another CLIP model.
        """
        words, vectors = words_asked(self.text_source(text), labels)
        embeddings, features = self.describe(clouds, colors, batch_size)
        scores = zero_shot_classify(embeddings, vectors, self.log_text_scale.exp().item())
        return Classification(words, scores, embeddings, self.are_familiar(features))

    def are_familiar(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(B,) bool, whether objects are like some that the model was trained on; all True without statistics.

        Args:
            features: (B, W) of :meth:`describe`.
        """
        if self.familiarity is None:
            return np.ones(len(features), dtype=bool)
        return self.familiarity.is_in_distribution(features)

    def text_source(self, text: TextSource | None = None) -> TextSource:
        """``text`` if it fits this model, :attr:`text` where none is given.

        Raises:
            InputError: words of another CLIP model or other prompts, or no words anywhere.
        """
        if text is not None:
            return self.teacher.require(text)
        if self.text is None:
            raise InputError(
                "this model carries no words", field="text", fix="give a TextBank or a Teacher as text="
            )
        return self.text

    def _usable_colors(
        self, count: int, colors: Sequence[NDArray[np.uint8] | None] | None
    ) -> Sequence[NDArray[np.uint8] | None] | None:
        """The colors without those that the network never learned to read."""
        if self.config.colors_seen == "absent":
            return None
        if self.config.colors_seen == "present":
            bare = [i for i in range(count) if colors is None or (i < len(colors) and colors[i] is None)]
            if bare:
                raise InputError(
                    f"{len(bare)} of {count} have no color, the model was trained on colored ones only",
                    source=f"cloud {bare[0]}",
                    field="colors",
                    fix="give their colors, or train with augmentation.color_drop above 0",
                )
        return colors

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())
