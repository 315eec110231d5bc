"""Training objective: text-3D and image-3D contrast (CLIP², arXiv 2303.12417), and distillation of a point encoder."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.distributed as dist
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from data_prep.config import TypedConfig

SameText = Literal["multi_positive", "decoupled", "mask"]


class ObjectiveConfig(TypedConfig):
    """Weights and variants of the terms.

    Attributes:
        text_weight, image_weight: factors of the two contrastive terms.
        regression_weight: factor of 1 - cosine to the point teacher's embedding (``clip2 embed --points``).
        relation_weight: factor of the squared differences between the cosines of all pairs of a batch and those of
            their point teacher's embeddings (Park et al., "Relational Knowledge Distillation", CVPR 2019).
        same_text: role of samples that share a text: further positives in one softmax (``multi_positive``), further
            positives that do not compete with each other (``decoupled``), or left out of the denominator (``mask``).
            They are never negatives.
        text_negatives: negatives of the point→text direction: the texts of the ``batch``, as in the paper, or the
            whole training ``vocabulary``.
        symmetric_text: also contrast each text with the points of the batch.
    """

    text_weight: float = Field(default=0.5, ge=0)
    image_weight: float = Field(default=0.5, ge=0)
    regression_weight: float = Field(default=0.0, ge=0)
    relation_weight: float = Field(default=0.0, ge=0)
    same_text: SameText = "multi_positive"
    text_negatives: Literal["batch", "vocabulary"] = "batch"
    symmetric_text: bool = True

    @model_validator(mode="after")
    def _something_to_learn(self) -> ObjectiveConfig:
        if not (self.text_weight or self.image_weight or self.regression_weight or self.relation_weight):
            raise ValueError("text_weight and image_weight are both 0: nothing to learn")
        return self


class Embeddings(NamedTuple):
    """Output of a training step.

    Attributes:
        points: (B, D) unit rows.
        text_scale, image_scale: scalars, the factors of the cosines (already exponentiated).
    """

    points: torch.Tensor
    text_scale: torch.Tensor
    image_scale: torch.Tensor


class Targets(NamedTuple):
    """Frozen vectors that the embeddings of B samples should match.

    Attributes:
        texts: (U, D) float32 unit rows, the vocabulary; the same tensor on every rank.
        text_ids: (B,) int64 rows of ``texts``: the text of each sample in this step; -1 if it has none.
        own_texts: (B, M) int64 rows of ``texts``: all texts that are true of each sample, padded with -1.
        images: (B, D) unit rows, ignored for samples without an image; None if the set has no images.
        image_present: (B,) bool, or None with ``images``.
        points: (B, D) unit rows, the point teacher's embeddings; rows of zeros for samples without one; None if the
            set has none.
    """

    texts: torch.Tensor
    text_ids: torch.Tensor
    own_texts: torch.Tensor
    images: torch.Tensor | None = None
    image_present: torch.Tensor | None = None
    points: torch.Tensor | None = None


class Losses(NamedTuple):
    """Scalar losses. ``total`` is the one to differentiate. A term is None if its weight is 0 or nothing in the global
    batch has a text (an image, an embedding of a point teacher)."""

    total: torch.Tensor
    text: torch.Tensor | None
    image: torch.Tensor | None
    points: torch.Tensor | None = None

    def detach(self) -> Losses:
        """The same numbers without their graph."""
        return Losses(self.total.detach(), *(None if term is None else term.detach() for term in self[1:]))


class ContrastiveObjective(nn.Module):
    """All terms, over the batches of all ranks.

    Each rank contrasts its own rows with the columns of all ranks, and gradients flow back through the gather
    (open_clip's ``local_loss`` and ``gather_with_grad``). Each rank's loss is its share of the global mean times the
    number of ranks. The gradients that DDP averages then equal those of one process with the whole batch, even if
    ranks hold different numbers of images.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Embeddings, targets: Targets) -> Losses:
        """Weighted sum of the terms, and the terms.

        Args:
            embeddings: output of the model; B is equal on all ranks.
            targets: frozen vectors of the same B samples.
        """
        everywhere = _gather(embeddings.points)
        text = self._text_term(embeddings, everywhere, targets)
        image = self._image_term(embeddings, everywhere, targets)
        # DDP expects every parameter to take part in every step, even if a term is absent.
        total = 0 * (embeddings.points.sum() + embeddings.text_scale + embeddings.image_scale)
        if text is not None:
            total = total + self.config.text_weight * text
        if image is not None:
            total = total + self.config.image_weight * image
        points = self._points_term(embeddings, everywhere, targets)
        if points is not None:
            total = total + points
        return Losses(total, text, image, points)

    def _text_term(
        self, embeddings: Embeddings, everywhere: torch.Tensor, targets: Targets
    ) -> torch.Tensor | None:
        """Samples without a text are neither rows nor columns."""
        if self.config.text_weight == 0:
            return None
        scale, same_text = embeddings.text_scale, self.config.same_text
        named = targets.text_ids >= 0
        named_everywhere = _gather_frozen(named)
        count = int(named_everywhere.sum())
        if count == 0:
            return None
        points, ids, own = embeddings.points[named], targets.text_ids[named], targets.own_texts[named]
        ids_everywhere = _gather_frozen(targets.text_ids)[named_everywhere]
        itself = _places(named, named_everywhere)
        if self.config.text_negatives == "vocabulary":
            logits = scale * points @ targets.texts.T
            vocabulary = torch.arange(len(targets.texts), device=points.device)
            loss = contrastive_loss(logits, _contains(own, vocabulary), ids, same_text)
        else:
            logits = scale * points @ targets.texts[ids_everywhere].T
            loss = contrastive_loss(logits, _contains(own, ids_everywhere), itself, same_text)
        if self.config.symmetric_text:
            logits = scale * targets.texts[ids] @ everywhere[named_everywhere].T
            own_everywhere = _gather_frozen(targets.own_texts)[named_everywhere]
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
        images = targets.images.to(embeddings.points.dtype)
        images_everywhere = _gather_frozen(images)
        itself = _places(seen, seen_everywhere)
        to_image = scale * embeddings.points[seen] @ images_everywhere[seen_everywhere].T
        to_points = scale * images[seen] @ everywhere[seen_everywhere].T
        loss = functional.cross_entropy(to_image, itself, reduction="sum")
        loss = (loss + functional.cross_entropy(to_points, itself, reduction="sum")) / 2
        return loss / count * _world_size()

    def _points_term(
        self, embeddings: Embeddings, everywhere: torch.Tensor, targets: Targets
    ) -> torch.Tensor | None:
        """Weighted sum of regression and relation."""
        config = self.config
        if targets.points is None or not (config.regression_weight or config.relation_weight):
            return None
        taught = targets.points.to(embeddings.points.dtype)
        taught_everywhere = _gather_frozen(taught)
        known, known_everywhere = taught.any(dim=1), taught_everywhere.any(dim=1)
        count = int(known_everywhere.sum())
        if count == 0:
            return None
        points, taught = embeddings.points[known], taught[known]
        columns, taught_columns = everywhere[known_everywhere], taught_everywhere[known_everywhere]
        loss = config.regression_weight * (1 - (points * taught).sum(dim=1))
        differences = points @ columns.T - taught @ taught_columns.T
        loss = loss + config.relation_weight * differences.square().mean(dim=1)
        return loss.sum() / count * _world_size()


def contrastive_loss(
    logits: torch.Tensor,
    positives: torch.Tensor,
    itself: torch.Tensor,
    same_text: SameText,
) -> torch.Tensor:
    """InfoNCE in which columns that share the row's text are never negatives.

    Args:
        logits: (B, C), already scaled.
        positives: (B, C) bool, columns whose text is true of the row.
        itself: (B,) int64, the row's own column; always a positive.
        same_text: ``multi_positive``: cross entropy against the uniform distribution over the positives (SupCon's
            L_out, Khosla et al. 2020); ``decoupled``: the mean over the positives of the cross entropy of each against
            the negatives alone; ``mask``: the own column alone is the target, other positives get a logit of
            -inf. A logit of 0 instead would leave e⁰ = 1 of each in the denominator.

    Returns:
        (B,) losses.
    """
    positives = positives.scatter(1, itself[:, None], True)
    if same_text == "mask":
        others = positives.scatter(1, itself[:, None], False)
        return functional.cross_entropy(logits.masked_fill(others, -torch.inf), itself, reduction="none")
    if same_text == "decoupled":
        negatives = logits.masked_fill(positives, -torch.inf).logsumexp(dim=1, keepdim=True)
        log_probability = logits - torch.logaddexp(logits, negatives)
    else:
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
