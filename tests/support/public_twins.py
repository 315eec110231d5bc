"""Randomly filled checkpoints in the format of public point encoders, and those networks as plain functions.

Written from key names, shapes and the papers (OpenShape arXiv 2305.10764, ULIP 2212.05171, ULIP-2 2305.08275, Uni3D
2310.06773), not from our loader: every number below is stated here a second time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.textbook import ball, farthest_points, take

State = dict[str, Tensor]
Network = Callable[[State, Tensor, Tensor | None], Tensor]

Y_UP = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z-up → y-up
SWAPPED = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])  # z-up → y-up with y and z swapped


class Maker:
    """Random tensors by key, as a layer of the name's kind has them."""

    def __init__(self, seed: int = 0) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, key: str, *shape: int, scale: float = 1.0) -> None:
        self.state[key] = torch.randn(shape, generator=self.generator) * scale

    def layer(self, key: str, out: int, inside: int, ones: int = 0, bias: bool = True) -> None:
        self.tensor(f"{key}.weight", out, inside, *[1] * ones, scale=inside**-0.5)
        if bias:
            self.tensor(f"{key}.bias", out, scale=0.3)

    def norm(self, key: str, width: int, batch: bool = False) -> None:
        self.tensor(f"{key}.weight", width)
        self.tensor(f"{key}.bias", width, scale=0.3)
        if batch:
            self.tensor(f"{key}.running_mean", width, scale=0.3)
            self.state[f"{key}.running_var"] = torch.rand(width, generator=self.generator) + 0.5
            self.state[f"{key}.num_batches_tracked"] = torch.tensor(7)


def layer(state: State, key: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{key}.weight"].flatten(1), state.get(f"{key}.bias"))


def layer_norm(state: State, key: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{key}.weight"], state[f"{key}.bias"], eps)


def batch_norm(state: State, key: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    return (x - mean) / (variance + 1e-5).sqrt() * state[f"{key}.weight"] + state[f"{key}.bias"]


def attention(qkv: Tensor, heads: int) -> Tensor:
    queries, keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
    scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)


def below(state: State, prefix: str) -> State:
    """The part of a state dict below a prefix, in full precision."""
    return {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}


# -- OpenShape: PointPatchTransformer(512, 12, 8, hidden, patch width, patches, radius, samples, 6) ------------------
def openshape_state(
    prefix: str,
    projection: str | None,
    out: int,
    patch_width: int,
    hidden: int,
    dim: int = 512,
    depth: int = 12,
) -> State:
    make = Maker()
    for i, (a, b) in enumerate(((9, 64), (64, 64), (64, patch_width))):
        make.layer(f"{prefix}sa.mlp_convs.{i}", b, a, ones=2)
        make.norm(f"{prefix}sa.mlp_bns.{i}", b, batch=True)
    make.layer(f"{prefix}lift.0", dim, patch_width + 3, ones=1)
    make.norm(f"{prefix}lift.2", dim)
    make.tensor(f"{prefix}cls_token", dim)
    for block in range(depth):
        key = f"{prefix}transformer.layers.{block}"
        make.norm(f"{key}.0.norm", dim)
        make.layer(f"{key}.0.fn.to_qkv", 3 * dim, dim, bias=False)
        make.layer(f"{key}.0.fn.to_out.0", dim, dim)
        make.norm(f"{key}.1.norm", dim)
        make.layer(f"{key}.1.fn.net.0", hidden, dim)
        make.layer(f"{key}.1.fn.net.3", dim, hidden)
    if projection is not None:
        make.layer(projection, out, dim)
    return make.state


def openshape(prefix: str, projection: str | None, patches: int, radius: float, samples: int) -> Network:
    def network(state: State, points: Tensor, rgb: Tensor | None) -> Tensor:
        inside = below(state, prefix)
        colors = torch.full_like(points, 0.4) if rgb is None else rgb
        centers = take(points, farthest_points(points, min(patches, points.shape[1])))
        index = ball(radius, samples, points, centers)
        x = torch.cat(
            [take(points, index) - centers[:, :, None], take(points, index), take(colors, index)], -1
        )
        for i in range(3):
            x = F.relu(batch_norm(inside, f"sa.mlp_bns.{i}", layer(inside, f"sa.mlp_convs.{i}", x)))
        x = layer(inside, "lift.0", torch.cat([centers, x.amax(2)], -1))
        x = torch.cat([inside["cls_token"].expand(len(x), 1, -1), layer_norm(inside, "lift.2", x)], 1)
        depth = sum(key.endswith(".0.norm.weight") for key in inside)
        for block in range(depth):
            key = f"transformer.layers.{block}"
            qkv = layer(inside, f"{key}.0.fn.to_qkv", layer_norm(inside, f"{key}.0.norm", x))
            x = x + layer(inside, f"{key}.0.fn.to_out.0", attention(qkv, 8))
            inner = F.gelu(layer(inside, f"{key}.1.fn.net.0", layer_norm(inside, f"{key}.1.norm", x)))
            x = x + layer(inside, f"{key}.1.fn.net.3", inner)
        return x[:, 0] if projection is None else layer(below(state, ""), projection, x[:, 0])

    return network


# -- patches of Point-BERT, which ULIP and Uni3D share ---------------------------------------------------------------
def patch_state(make: Maker, inside: int, patch_width: int, project: str, dim: int) -> None:
    for name, a, b, c in (("first_conv", inside, 128, 256), ("second_conv", 512, 512, patch_width)):
        make.layer(f"point_encoder.encoder.{name}.0", b, a, ones=1)
        make.norm(f"point_encoder.encoder.{name}.1", b, batch=True)
        make.layer(f"point_encoder.encoder.{name}.3", c, b, ones=1)
    make.layer(f"point_encoder.{project}", dim, patch_width)
    make.tensor("point_encoder.cls_token", 1, 1, dim)
    make.tensor("point_encoder.cls_pos", 1, 1, dim)
    make.layer("point_encoder.pos_embed.0", 128, 3)
    make.layer("point_encoder.pos_embed.2", dim, 128)


def patch_tokens(
    state: State, points: Tensor, rgb: Tensor | None, count: int, size: int, project: str
) -> tuple[Tensor, Tensor]:
    """Tokens and their positions, the class token first."""
    centers = take(points, farthest_points(points, min(count, points.shape[1])))
    nearest = torch.cdist(centers.double(), points.double()).topk(size, largest=False).indices
    x = take(points, nearest) - centers[:, :, None]
    if rgb is not None:
        x = torch.cat([x, take(rgb, nearest)], -1)
    x = F.relu(batch_norm(state, "encoder.first_conv.1", layer(state, "encoder.first_conv.0", x)))
    x = layer(state, "encoder.first_conv.3", x)
    x = torch.cat([x.amax(2, keepdim=True).expand_as(x), x], -1)
    x = F.relu(batch_norm(state, "encoder.second_conv.1", layer(state, "encoder.second_conv.0", x)))
    x = layer(state, project, layer(state, "encoder.second_conv.3", x).amax(2))
    place = layer(state, "pos_embed.2", F.gelu(layer(state, "pos_embed.0", centers)))
    return (
        torch.cat([state["cls_token"].expand(len(x), 1, -1), x], 1),
        torch.cat([state["cls_pos"].expand(len(x), 1, -1), place], 1),
    )


# -- ULIP and ULIP-2 -------------------------------------------------------------------------------------------------
def pointbert_state(depth: int, inside: int, out: int, dim: int = 384, patch_width: int = 256) -> State:
    make = Maker()
    patch_state(make, inside, patch_width, "reduce_dim", dim)
    for block in range(depth):
        key = f"point_encoder.blocks.blocks.{block}"
        make.norm(f"{key}.norm1", dim)
        make.norm(f"{key}.norm2", dim)
        make.layer(f"{key}.attn.qkv", 3 * dim, dim, bias=False)
        make.layer(f"{key}.attn.proj", dim, dim)
        make.layer(f"{key}.mlp.fc1", 4 * dim, dim)
        make.layer(f"{key}.mlp.fc2", dim, 4 * dim)
    make.norm("point_encoder.norm", dim)
    make.tensor("pc_projection", 2 * dim, out)
    return make.state


def pointbert(state: State, points: Tensor, rgb: Tensor | None) -> Tensor:
    projection, state = state["pc_projection"], below(state, "point_encoder.")
    if rgb is None and state["encoder.first_conv.0.weight"].shape[1] == 6:
        rgb = torch.full_like(points, 0.4)
    x, place = patch_tokens(state, points, rgb, 512, 32, "reduce_dim")
    depth = sum(key.startswith("blocks.blocks.") and key.endswith(".norm1.weight") for key in state)
    for block in range(depth):
        key = f"blocks.blocks.{block}"
        x = x + place
        qkv = layer(state, f"{key}.attn.qkv", layer_norm(state, f"{key}.norm1", x))
        x = x + layer(state, f"{key}.attn.proj", attention(qkv, 6))
        inner = F.gelu(layer(state, f"{key}.mlp.fc1", layer_norm(state, f"{key}.norm2", x)))
        x = x + layer(state, f"{key}.mlp.fc2", inner)
    x = layer_norm(state, "norm", x)
    return torch.cat([x[:, 0], x[:, 1:].amax(1)], -1) @ projection.float()


def slip_state() -> State:
    """The text tower of SLIP ViT-B, 12 layers of 512 channels, and a bit of its image tower."""
    make = Maker(seed=3)
    make.tensor("token_embedding.weight", 49408, 512, scale=0.02)
    make.tensor("positional_embedding", 77, 512, scale=0.01)
    for block in range(12):
        key = f"transformer.resblocks.{block}"
        make.norm(f"{key}.ln_1", 512)
        make.norm(f"{key}.ln_2", 512)
        make.tensor(f"{key}.attn.in_proj_weight", 1536, 512, scale=0.05)
        make.tensor(f"{key}.attn.in_proj_bias", 1536, scale=0.05)
        make.layer(f"{key}.attn.out_proj", 512, 512)
        make.layer(f"{key}.mlp.c_fc", 2048, 512)
        make.layer(f"{key}.mlp.c_proj", 512, 2048)
    make.norm("ln_final", 512)
    make.tensor("text_projection", 512, 512, scale=0.05)
    make.tensor("image_projection", 768, 512, scale=0.05)
    make.layer("visual.blocks.0.mlp.fc1", 5, 5)
    return make.state


def slip_text(state: State, tokens: Tensor) -> Tensor:
    """Text vectors of (n, 77) token ids, not normalized: causal attention, GELU as x sigmoid(1.702 x)."""
    x = state["token_embedding.weight"][tokens] + state["positional_embedding"]
    causal = torch.full((77, 77), -math.inf).triu(1)
    for block in range(12):
        key = f"transformer.resblocks.{block}"
        qkv = F.linear(
            layer_norm(state, f"{key}.ln_1", x),
            state[f"{key}.attn.in_proj_weight"],
            state[f"{key}.attn.in_proj_bias"],
        )
        q, k, v = (part.unflatten(-1, (8, 64)).transpose(1, 2) for part in qkv.chunk(3, -1))
        mixed = ((q @ k.transpose(-1, -2) / 8 + causal).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + layer(state, f"{key}.attn.out_proj", mixed)
        inner = layer(state, f"{key}.mlp.c_fc", layer_norm(state, f"{key}.ln_2", x))
        x = x + layer(state, f"{key}.mlp.c_proj", inner * torch.sigmoid(1.702 * inner))
    x = layer_norm(state, "ln_final", x)
    return x[torch.arange(len(x)), tokens.argmax(-1)] @ state["text_projection"]


# -- Uni3D -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Eva:
    """Blocks of an EVA model of timm: how queries, keys and values are stored, and what kind of MLP follows."""

    dim: int
    depth: int
    heads: int
    hidden: int
    split: bool
    mlp: str  # packed, split or gelu

    def narrow(self) -> Eva:
        """The same kind of block with two heads, as wide as before."""
        return replace(self, dim=2 * self.dim // self.heads, heads=2, hidden=200)


EVA = {
    "ti": Eva(192, 12, 3, 512, split=False, mlp="packed"),
    "s": Eva(384, 12, 6, 1024, split=False, mlp="packed"),
    "b": Eva(768, 12, 12, 2048, split=True, mlp="split"),
    "l": Eva(1024, 24, 16, 2730, split=True, mlp="split"),
    "g": Eva(1408, 40, 16, 6144, split=False, mlp="gelu"),
}


def uni3d_state(size: str, depth: int | None = None, narrow: bool = False) -> State:
    """In float32; published files are ``.half()``."""
    eva, make = EVA[size].narrow() if narrow else EVA[size], Maker()
    dim = eva.dim
    patch_state(make, 6, 512, "encoder2trans", dim)
    make.layer("point_encoder.trans2embed", 1024, dim)
    for block in range(eva.depth if depth is None else depth):
        key = f"point_encoder.visual.blocks.{block}"
        make.norm(f"{key}.norm1", dim)
        make.norm(f"{key}.norm2", dim)
        if eva.split:
            for part in "qkv":
                make.layer(f"{key}.attn.{part}_proj", dim, dim, bias=part != "k")
        else:
            make.layer(f"{key}.attn.qkv", 3 * dim, dim, bias=False)
            make.tensor(f"{key}.attn.q_bias", dim, scale=0.3)
            make.tensor(f"{key}.attn.v_bias", dim, scale=0.3)
        make.layer(f"{key}.attn.proj", dim, dim)
        if eva.mlp == "split":
            make.layer(f"{key}.mlp.fc1_g", eva.hidden, dim)
            make.layer(f"{key}.mlp.fc1_x", eva.hidden, dim)
            make.norm(f"{key}.mlp.norm", eva.hidden)
        else:
            make.layer(f"{key}.mlp.fc1", eva.hidden * (2 if eva.mlp == "packed" else 1), dim)
        make.layer(f"{key}.mlp.fc2", dim, eva.hidden)
    make.norm("point_encoder.visual.fc_norm", dim)
    # Parts of the image transformer that no point passes.
    make.tensor("point_encoder.visual.cls_token", 1, 1, dim)
    make.tensor("point_encoder.visual.pos_embed", 1, 257, dim)
    make.layer("point_encoder.visual.patch_embed.proj", dim, 3 * 14 * 14)
    if eva.mlp != "packed":
        make.layer("point_encoder.visual.head", 1000, dim)
    make.state["logit_scale"] = torch.tensor(math.log(50.0))
    return make.state


def uni3d(size: str) -> Network:
    eva = EVA[size]

    def network(state: State, points: Tensor, rgb: Tensor | None) -> Tensor:
        state = below(state, "point_encoder.")
        colors = torch.full_like(points, 0.4) if rgb is None else rgb
        x, place = patch_tokens(state, points, colors, 512, 64, "encoder2trans")
        x = x + place
        heads = x.shape[-1] * eva.heads // eva.dim
        depth = sum(key.startswith("visual.blocks.") and key.endswith("norm1.weight") for key in state)
        for block in range(depth):
            key = f"visual.blocks.{block}"
            y = layer_norm(state, f"{key}.norm1", x, 1e-6)
            if eva.split:
                qkv = torch.cat([layer(state, f"{key}.attn.{part}_proj", y) for part in "qkv"], -1)
            else:
                bias = (state[f"{key}.attn.q_bias"], torch.zeros(x.shape[-1]), state[f"{key}.attn.v_bias"])
                qkv = layer(state, f"{key}.attn.qkv", y) + torch.cat(bias)
            x = x + layer(state, f"{key}.attn.proj", attention(qkv, heads))
            y = layer_norm(state, f"{key}.norm2", x, 1e-6)
            if eva.mlp == "split":
                y = F.silu(layer(state, f"{key}.mlp.fc1_g", y)) * layer(state, f"{key}.mlp.fc1_x", y)
                y = layer_norm(state, f"{key}.mlp.norm", y, 1e-6)
            elif eva.mlp == "packed":
                y = layer(state, f"{key}.mlp.fc1", y)
                gate, value = y.chunk(2, -1)
                y = F.silu(gate) * value
            else:
                y = F.gelu(layer(state, f"{key}.mlp.fc1", y))
            x = x + layer(state, f"{key}.mlp.fc2", y)
        return layer(state, "trans2embed", layer_norm(state, "visual.fc_norm", x[:, 0], 1e-6))

    return network


# -- published files -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Twin:
    """A checkpoint in the format of one published file.

    Attributes:
        make: (depth or None for the published one) → state dict.
        network: the published network: vectors in the CLIP space, not normalized.
        axes: from z-up clouds to the network's.
        wrap: state dict → content of the file.
        clip, width: CLIP model and width of its space.
        scale: learned factor of the cosines before the softmax.
        color: whether the network reads colors.
        points: of a cloud, and how they are chosen.
        half: whether the file is float16.
    """

    make: Callable[[int | None], State]
    network: Network
    axes: Tensor
    wrap: Callable[[State], Any]
    clip: str
    width: int
    scale: float
    color: bool = True
    half: bool = False
    more: Callable[[], State] = field(default=dict)

    def state(self, depth: int | None = None) -> State:
        """The tensors as the file has them."""
        made = self.make(depth)
        return {k: v.half() for k, v in made.items()} if self.half else made

    def write(self, path: Path, state: State) -> None:
        """The file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(self.wrap({**state, **self.more()}), path)


def _parallel(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


def _openshape_g(state: State) -> dict[str, Any]:
    return {
        "state_dict": _parallel(state),
        "logit_scale": {"module.logit_scale": torch.tensor(math.log(80.0))},
        "epoch": 3,
    }


def _flat(state: State) -> State:
    return {**state, "tau": torch.tensor(math.log(30.0))}


def _ulip(state: State) -> dict[str, Any]:
    moment = {i: {"exp_avg": torch.zeros(5)} for i in range(3)}
    return {
        "state_dict": {**_parallel(state), "module.logit_scale": torch.tensor(math.log(70.0))},
        "optimizer": {"state": moment},
        "args": argparse.Namespace(lr=1e-3),
        "epoch": 250,
    }


def _deepspeed(state: State) -> dict[str, Any]:
    return {"module": state, "optimizer": None, "global_steps": 9}


def _openshape_twin(
    prefix: str, projection: str | None, width: int, clip: str, g: bool, scale: float
) -> Twin:
    patch_width, hidden = (256, 1536) if g else (128, 1024)
    return Twin(
        make=lambda depth: openshape_state(
            prefix, projection, width, patch_width, hidden, depth=12 if depth is None else depth
        ),
        network=openshape(prefix, projection, *((384, 0.2, 64) if g else (64, 0.4, 256))),
        axes=SWAPPED if g else Y_UP,
        wrap=_openshape_g if g else _flat,
        clip=clip,
        width=width,
        scale=scale,
    )


BIG_G = "ViT-bigG-14/laion2b_s39b_b160k"
TWINS: dict[str, Twin] = {
    "openshape-vitg14": _openshape_twin("ppat.", "proj", 1280, BIG_G, True, 80),
    "openshape-vitl14": _openshape_twin(
        "pc_encoder.ppat.", "pc_encoder.proj", 768, "ViT-L-14/openai", False, 30
    ),
    "openshape-vitb32": _openshape_twin("pc_encoder.", None, 512, "ViT-B-32/openai", False, 30),
    "ulip-pointbert": Twin(
        make=lambda depth: pointbert_state(12 if depth is None else depth, 3, 512),
        network=lambda state, points, rgb: pointbert(state, points, None),
        axes=Y_UP,
        wrap=_ulip,
        clip="SLIP-ViT-B/ulip",
        width=512,
        scale=70,
        color=False,
        more=slip_state,
    ),
    "ulip2-pointbert": Twin(
        make=lambda depth: pointbert_state(18 if depth is None else depth, 6, 1280),
        network=pointbert,
        axes=Y_UP,
        wrap=_ulip,
        clip=BIG_G,
        width=1280,
        scale=70,
    ),
    **{
        f"uni3d-{size}": Twin(
            make=lambda depth, size=size: uni3d_state(size, depth),  # type: ignore[misc]
            network=uni3d(size),
            axes=Y_UP,
            wrap=_deepspeed,
            clip="EVA02-E-14-plus/laion2b_s9b_b144k",
            width=1024,
            scale=50,
            half=True,
        )
        for size in EVA
    },
}
