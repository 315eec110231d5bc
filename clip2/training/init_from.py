"""Where the weights of a new run begin: drawn at random, or taken from a model that exists."""

from __future__ import annotations

from torch import nn

from clip2.checkpoint import load
from clip2.model import Clip2Model
from data_prep.errors import InputError


def start_from(model: Clip2Model, source: str) -> None:
    """Copy the encoder of a checkpoint; also what follows it, where both models speak to the same CLIP model.

    Args:
        model: freshly made.
        source: as :func:`clip2.load` takes it.

    Raises:
        InputError: no checkpoint there, or one of another encoder; the message names what differs.
    """
    found = load(source)
    _copy(model.encoder, found.encoder, f"encoder {found.config.encoder.name}", source)
    if (
        found.teacher.name != model.teacher.name
        or found.projection.weight.shape != model.projection.weight.shape
    ):
        return  # its projection leads elsewhere
    model.projection.load_state_dict(found.projection.state_dict())
    if model.size_mixer is not None and found.size_mixer is not None:
        model.size_mixer.load_state_dict(found.size_mixer.state_dict())
    model.log_text_scale.data.copy_(found.log_text_scale.data)
    model.log_image_scale.data.copy_(found.log_image_scale.data)


def _copy(ours: nn.Module, theirs: nn.Module, name: str, source: str) -> None:
    wanted = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    for key in [*wanted, *given]:
        if wanted.get(key) != given.get(key):
            raise InputError(
                f"{name} has {given.get(key, 'no')} {key}, the encoder of this run {wanted.get(key, 'none')}",
                source=source,
                field="start",
                fix="give model.encoder and model.preprocessing.color the values of that checkpoint",
            )
    ours.load_state_dict(theirs.state_dict())
