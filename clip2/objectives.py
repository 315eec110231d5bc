"""The training objective: language-3D and image-3D contrastive terms (CLIP², arXiv 2303.12417)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.distributed as dist
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from clip2.model import Embeddings
from data_prep.config import TypedConfig


class ObjectiveConfig(TypedConfig):
    """Weights and variants of the two terms.

    Attributes:
        text_weight, image_weight: factors of the two terms.
        same_text: what other samples of one's own text are in the text term: further positives
            (``multi_positive``) or left out of the denominator (``mask``); never negatives.
        text_negatives: what point→text contrasts against: the texts of the ``batch``, as in the paper, or the whole
            training ``vocabulary`` (the text vectors are frozen and few, so all of them are at hand).
        symmetric_text: also contrast each text with the points of the batch.
    """

    text_weight: float = Field(default=0.5, ge=0)
    image_weight: float = Field(default=0.5, ge=0)
    same_text: Literal["multi_positive", "mask"] = "multi_positive"
    text_negatives: Literal["batch", "vocabulary"] = "batch"
    symmetric_text: bool = True

    @model_validator(mode="after")
    def _something_to_learn(self) -> ObjectiveConfig:
        if self.text_weight == 0 and self.image_weight == 0:
            raise ValueError("text_weight and image_weight are both 0: nothing to learn")
        return self


class Targets(NamedTuple):
    """What the embeddings of B samples should land on; all frozen.

    Attributes:
        texts: (U, D) float32 unit rows, the vocabulary; the same tensor on every rank.
        text_ids: (B,) int64 rows of ``texts``: the word each sample is shown with this time; -1: it has none.
        own_texts: (B, M) int64 rows of ``texts``: all words true of each sample, padded with -1.
        images: (B, D) unit rows, rows of samples without a picture are ignored; or None: the set has no pictures.
        image_present: (B,) bool, or None with ``images``.
    """

    texts: torch.Tensor
    text_ids: torch.Tensor
    own_texts: torch.Tensor
    images: torch.Tensor | None = None
    image_present: torch.Tensor | None = None


class Losses(NamedTuple):
    """Scalars. ``total`` is what to differentiate; a term is None when nothing in the global batch has a word, or a
    picture, or when its weight is 0."""

    total: torch.Tensor
    text: torch.Tensor | None
    image: torch.Tensor | None

    def detach(self) -> Losses:
        """The same numbers without their graph."""
        return Losses(
            self.total.detach(),
            None if self.text is None else self.text.detach(),
            None if self.image is None else self.image.detach(),
        )


class ContrastiveObjective(nn.Module):
    """Both terms, over the batches of all ranks.

    On every rank only this rank's rows are contrasted, with the columns of all ranks, and gradients flow back
    through the gather (open_clip's ``local_loss`` and ``gather_with_grad``). Each rank's loss is its share of the
    global mean times the number of ranks, so that the gradients DDP averages are those of one process that holds
    the whole batch, also when ranks hold different numbers of pictures.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Embeddings, targets: Targets) -> Losses:
        """Weighted sum of the terms, and the terms.

        Args:
            embeddings: (B, D) unit rows and the two logit scales of the model; B equal on all ranks.
            targets: frozen vectors and which belong to which sample.
        """
        everywhere = _gather(embeddings.points)
        text = self._text_term(embeddings, everywhere, targets)
        image = self._image_term(embeddings, everywhere, targets)
        # Every parameter takes part in every step, as DDP expects, also when a term is absent.
        total = 0 * (embeddings.points.sum() + embeddings.text_scale + embeddings.image_scale)
        if text is not None:
            total = total + self.config.text_weight * text
        if image is not None:
            total = total + self.config.image_weight * image
        return Losses(total, text, image)

    def _text_term(
        self, embeddings: Embeddings, everywhere: torch.Tensor, targets: Targets
    ) -> torch.Tensor | None:
        """Samples without a word are neither rows nor columns."""
        if self.config.text_weight == 0:
            return None
        scale, same_text = embeddings.text_scale, self.config.same_text
        worded = targets.text_ids >= 0
        worded_everywhere = _gather_frozen(worded)
        count = int(worded_everywhere.sum())
        if count == 0:
            return None
        points, ids, own = embeddings.points[worded], targets.text_ids[worded], targets.own_texts[worded]
        ids_everywhere = _gather_frozen(targets.text_ids)[worded_everywhere]
        itself = _places(worded, worded_everywhere)
        if self.config.text_negatives == "vocabulary":
            logits = scale * points @ targets.texts.T
            words = torch.arange(len(targets.texts), device=points.device)
            loss = contrastive_loss(logits, _contains(own, words), ids, same_text)
        else:
            logits = scale * points @ targets.texts[ids_everywhere].T
            loss = contrastive_loss(logits, _contains(own, ids_everywhere), itself, same_text)
        if self.config.symmetric_text:
            logits = scale * targets.texts[ids] @ everywhere[worded_everywhere].T
            own_everywhere = _gather_frozen(targets.own_texts)[worded_everywhere]
            back = contrastive_loss(logits, _contains(own_everywhere, ids).T, itself, same_text)
            loss = (loss + back) / 2
        return loss.sum() / count * _world_size()

    def _image_term(
        self, embeddings: Embeddings, everywhere: torch.Tensor, targets: Targets
    ) -> torch.Tensor | None:
        if targets.images is None or targets.image_present is None or self.config.image_weight == 0:
            return None
        scale = embeddings.image_scale
        seen = targets.image_present
        seen_everywhere = _gather_frozen(seen)
        count = int(seen_everywhere.sum())
        if count == 0:
            return None
        pictures = targets.images.to(embeddings.points.dtype)
        pictures_everywhere = _gather_frozen(pictures)
        itself = _places(seen, seen_everywhere)
        to_picture = scale * embeddings.points[seen] @ pictures_everywhere[seen_everywhere].T
        to_points = scale * pictures[seen] @ everywhere[seen_everywhere].T
        loss = functional.cross_entropy(to_picture, itself, reduction="sum")
        loss = (loss + functional.cross_entropy(to_points, itself, reduction="sum")) / 2
        return loss / count * _world_size()


def contrastive_loss(
    logits: torch.Tensor,
    positives: torch.Tensor,
    itself: torch.Tensor,
    same_text: Literal["multi_positive", "mask"],
) -> torch.Tensor:
    """InfoNCE in which columns that share the row's text are never negatives.

    Args:
        logits: (B, C), already scaled.
        positives: (B, C) bool, columns whose text is true of the row.
        itself: (B,) int64, the row's own column; always a positive.
        same_text: ``multi_positive``: cross entropy against the uniform distribution over the positives (SupCon's
            L_out, Khosla et al. 2020); ``mask``: the own column alone is the target, other positives get a logit of
            -inf. A logit of 0 instead would leave e⁰ = 1 of each in the denominator.

    Returns:
        (B,) losses.
    """
    positives = positives.scatter(1, itself[:, None], True)
    if same_text == "mask":
        others = positives.scatter(1, itself[:, None], False)
        return functional.cross_entropy(logits.masked_fill(others, -torch.inf), itself, reduction="none")
    log_probability = logits.log_softmax(dim=1)
    return -log_probability.masked_fill(~positives, 0).sum(1) / positives.sum(1)


def _contains(sets: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(B, C) bool: whether set b (a row of (B, M), padded with -1) holds id c of (C,)."""
    return (sets[:, :, None] == ids[None, None, :]).any(dim=1)


def _places(chosen: torch.Tensor, chosen_everywhere: torch.Tensor) -> torch.Tensor:
    """For each chosen row of this rank, its place among the chosen rows of all ranks."""
    start = len(chosen) * _rank()
    return (chosen_everywhere.cumsum(0) - 1)[start : start + len(chosen)][chosen]


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _gather(values: torch.Tensor) -> torch.Tensor:
    """Rows of all ranks in rank order, with gradients to each of them."""
    return values if _world_size() == 1 else _GatherWithGradient.apply(values)


def _gather_frozen(values: torch.Tensor) -> torch.Tensor:
    """Rows of all ranks in rank order, without gradients."""
    if _world_size() == 1:
        return values
    # gloo and nccl have no bool.
    wire = values.to(torch.uint8) if values.dtype == torch.bool else values.contiguous()
    parts = [torch.empty_like(wire) for _ in range(_world_size())]
    dist.all_gather(parts, wire)
    return torch.cat(parts).to(values.dtype)


class _GatherWithGradient(torch.autograd.Function):
    """The rows of a rank are columns in the losses of all ranks: their gradients are summed over the ranks."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        context.rows = len(values)
        return _gather_frozen(values)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        start = context.rows * _rank()
        return gradient[start : start + context.rows]
