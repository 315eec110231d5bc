"""Initialization of a point transformer from an image ViT of timm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import nn

from clip2.encoders.encoder import PointEncoder
from clip2.state_dict import require_same_shapes
from data_prep.errors import InputError

_WEIGHTS_FOLLOW: ContextVar[bool] = ContextVar("weights_follow", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Context in which encoders download no pretrained weights, because a checkpoint will fill them."""
    token = _WEIGHTS_FOLLOW.set(True)
    try:
        yield
    finally:
        _WEIGHTS_FOLLOW.reset(token)


def start_from_timm(encoder: PointEncoder, name: str) -> None:
    """Download the pretrained ViT ``name`` of timm and copy its blocks and last norm.

    Args:
        encoder: has ``blocks`` and ``norm``, like :class:`~clip2.encoders.patch_transformer.PatchTransformer`.
        name: one of ``timm.list_models(pretrained=True)``.

    Raises:
        InputError: timm does not know it, it cannot be downloaded, or its blocks have another shape.
    """
    if _WEIGHTS_FOLLOW.get():
        return
    import timm

    source = f"init_from_timm {name!r}"
    try:
        vit: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"cannot be downloaded from timm ({reason})", source=source) from None
    ours = encoder.state_dict()
    wanted = {key: value for key, value in ours.items() if key.startswith(("blocks.", "norm."))}
    given = {key: value for key, value in vit.state_dict().items() if key in wanted}
    require_same_shapes(given, wanted, owner="the encoder", source=source)
    encoder.load_state_dict({**ours, **given})
