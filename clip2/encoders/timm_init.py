"""Initialization of a point transformer from an EVA image transformer of timm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor, cat, nn, zeros_like

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


def start_from_timm(blocks: nn.Module, name: str) -> None:
    """Download the pretrained EVA model ``name`` of timm and copy its blocks.

    Args:
        blocks: a :class:`~clip2.encoders.patch_transformer.Trunk`.
        name: one of ``timm.list_models("eva*", pretrained=True)``.

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
    theirs, ours = vit.state_dict(), blocks.state_dict()
    depth = 1 + max(int(key.partition(".")[0]) for key in ours)
    if not {f"blocks.{depth - 1}.attn.{key}" for key in ("q_bias", "q_proj.bias")} & set(theirs):
        raise InputError(f"has no {depth} EVA blocks", source=source, fix="name an EVA model of timm")
    given: dict[str, Tensor] = {}
    for number in range(depth):
        prefix = f"blocks.{number}."
        given |= eva_block(
            lambda key, prefix=prefix: theirs[prefix + key],  # type: ignore[misc]
            lambda key, prefix=prefix: prefix + key in theirs,  # type: ignore[misc]
            f"{number}.",
        )
    require_same_shapes(given, ours, owner="the encoder", source=source)
    blocks.load_state_dict(given)


def eva_block(get: Callable[[str], Tensor], has: Callable[[str], bool], prefix: str) -> dict[str, Tensor]:
    """Tensors of one EVA block of timm under the names of :class:`~clip2.encoders.patch_transformer.Trunk`.

    EVA's keys have no bias; its queries, keys and values are one layer or three, and so are gate and value of SwiGLU.

    Args:
        get, has: tensors by their name in the block.
        prefix: goes before the names of the result.
    """
    qkv = "attn.qkv.weight"
    split = has("attn.q_proj.weight")
    bias = {part: get(f"attn.{part}_proj.bias" if split else f"attn.{part}_bias") for part in "qv"}
    found = {
        qkv: cat([get(f"attn.{part}_proj.weight") for part in "qkv"]) if split else get(qkv),
        "attn.qkv.bias": cat([bias["q"], zeros_like(bias["q"]), bias["v"]]),
    }
    layers = ["norm1", "norm2", "attn.proj", "mlp.fc2", *(["mlp.norm"] if has("mlp.norm.weight") else [])]
    parts = ("mlp.fc1_g", "mlp.fc1_x") if has("mlp.fc1_g.weight") else ("mlp.fc1",)
    for kind in ("weight", "bias"):
        found |= {f"{layer}.{kind}": get(f"{layer}.{kind}") for layer in layers}
        found[f"mlp.fc1.{kind}"] = cat([get(f"{part}.{kind}") for part in parts])
    return {prefix + key: value for key, value in found.items()}
