"""Starting a point transformer from a ViT that was trained on pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import nn

if TYPE_CHECKING:
    from clip2.encoders.encoder import PointEncoder

_WEIGHTS_FOLLOW: ContextVar[bool] = ContextVar("weights_follow", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Within it encoders fetch no pretrained weights: a checkpoint is about to fill them, perhaps without a network."""
    token = _WEIGHTS_FOLLOW.set(True)
    try:
        yield
    finally:
        _WEIGHTS_FOLLOW.reset(token)


def start_from_timm(encoder: PointEncoder, name: str) -> None:
    """Fetch the pretrained ViT ``name`` of timm and copy its blocks and last norm.

    Args:
        encoder: has ``blocks`` and ``norm``, like :class:`~clip2.encoders.patch_transformer.PatchTransformer`.
        name: of ``timm.list_models(pretrained=True)``.

    Raises:
        ValueError: timm does not know it, it cannot be fetched, or its blocks are of another shape.
    """
    if _WEIGHTS_FOLLOW.get():
        return
    import timm

    try:
        vit = timm.create_model(name, pretrained=True, num_classes=0)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"init_from_timm {name!r} cannot be had from timm ({reason})") from None
    copy_blocks(encoder, vit, name)


def copy_blocks(encoder: PointEncoder, vit: nn.Module, name: str) -> None:
    """Copy blocks and last norm of a timm ViT that has at least as many.

    Raises:
        ValueError: naming the first tensor that is missing or of another shape.
    """
    theirs, ours = vit.state_dict(), encoder.state_dict()
    wanted = [key for key in ours if key.startswith(("blocks.", "norm."))]
    for key in wanted:
        found = tuple(theirs[key].shape) if key in theirs else "missing"
        if found != tuple(ours[key].shape):
            raise ValueError(f"init_from_timm {name!r}: {key} is {found}, not {tuple(ours[key].shape)}")
    ours.update({key: theirs[key] for key in wanted})
    encoder.load_state_dict(ours)
