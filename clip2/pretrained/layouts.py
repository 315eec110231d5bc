"""Layouts of public point-encoder checkpoints: key names, axes and preprocessing of OpenShape, ULIP and Uni3D.

Key names and shapes are those of github.com/Colin97/OpenShape_code (src/models/ppat.py) and its inference library,
github.com/salesforce/ULIP (models/pointbert, models/pointnet2) and github.com/baaivision/Uni3D (models/point_encoder.py).
Two differences are folded into the weights: a bias before BatchNorm moves into the running mean, and the axes of their
clouds move into every layer that reads coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from clip2.encoders.timm_init import eva_block
from clip2.preprocessing import Preprocessing
from clip2.pretrained.checkpoint_file import CheckpointTensors
from data_prep.errors import InputError

# Rows: their axes in z-up coordinates. OpenShape swapped y and z of y-up clouds, which also mirrors them.
MIRRORED_Z_UP = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))

BIG_G, EVA_E, SLIP = (
    "ViT-bigG-14/laion2b_s39b_b160k",
    "EVA02-E-14-plus/laion2b_s9b_b144k",
    "SLIP-ViT-B/ulip",  # not in open_clip; ULIP's files carry its text tower
)

Convert = Callable[[CheckpointTensors], dict[str, Tensor]]
Measure = Callable[[CheckpointTensors], dict[str, Any]]


@dataclass(frozen=True)
class CheckpointLayout:
    """Layout of one family of public checkpoints.

    Attributes:
        encoder: name of the matching encoder.
        convert: conversion of its tensors to the encoder's state dict.
        measure: options of the encoder that the shapes of the tensors tell.
        prefix: prefix of the point encoder's keys.
        mark: key below ``prefix`` that only this layout has.
        input_layer: key below ``prefix`` of the first layer, and its number of columns without color.
        projection: key of the projection to the CLIP space, outside ``prefix``; None: the embedding is in that space.
        axes: (3, 3), from z-up coordinates to those of the checkpoint.
        teachers: open_clip name of the CLIP model by the width of its space.
        options: options of the encoder that no shape tells.
        left_out: prefixes of keys below ``prefix`` that the encoder does not use.
    """

    encoder: str
    convert: Convert
    measure: Measure
    prefix: str
    mark: str
    input_layer: tuple[str, int]
    projection: str | None
    axes: tuple[tuple[float, float, float], ...]
    teachers: Mapping[int, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def has_color(self, state: CheckpointTensors) -> bool:
        """Whether the network reads colors."""
        key, columns = self.input_layer
        return state.shape(key)[1] > columns

    def preprocessing(self, state: CheckpointTensors) -> Preprocessing:
        """Preprocessing of the training clouds: 10,000 colored points, or 8192 spread ones without color."""
        if self.has_color(state):
            return Preprocessing(num_points=10_000)
        return Preprocessing(num_points=8192, sampling="fps", color=False)

    def encoder_options(self, state: CheckpointTensors) -> dict[str, Any]:
        """Options of the matching encoder, without ``feature_channels``."""
        return {**self.options, **self.measure(state)}


# The gray that stands for a missing color in all of them.
ABSENT_COLOR = 0.4


def _openshape(state: CheckpointTensors) -> dict[str, Tensor]:
    filled = {"class_token": state.get("cls_token")}
    for layer in range(3):
        filled |= state.linear_norm(
            f"patches.mlp.linears.{layer}",
            f"patches.mlp.norms.{layer}",
            f"sa.mlp_convs.{layer}",
            f"sa.mlp_bns.{layer}",
            coordinates=(0, 3) if layer == 0 else (),  # relative, then absolute
        )
    filled |= state.affine("patches.project", "lift.0", coordinates=(0,))
    filled |= state.norm("patches.norm", "lift.2")
    for block in range(state.count("transformer.layers.", ".0.norm.weight")):
        here, there = f"blocks.{block}", f"transformer.layers.{block}"
        filled |= state.norm(f"{here}.norm1", f"{there}.0.norm")
        filled[f"{here}.attn.qkv.weight"] = state.get(f"{there}.0.fn.to_qkv.weight")
        filled |= state.affine(f"{here}.attn.proj", f"{there}.0.fn.to_out.0")
        filled |= state.norm(f"{here}.norm2", f"{there}.1.norm")
        filled |= state.affine(f"{here}.mlp.fc1", f"{there}.1.fn.net.0")
        filled |= state.affine(f"{here}.mlp.fc2", f"{there}.1.fn.net.3")
    return filled


def _openshape_options(state: CheckpointTensors) -> dict[str, Any]:
    dim, width = state.shape("lift.0.weight")[:2]
    return {
        "patch_width": width - 3,
        **_transformer(dim, state.count("transformer.layers.", ".0.norm.weight")),
        "hidden": state.shape("transformer.layers.0.1.fn.net.0.weight")[0],
    }


def _ulip_pointbert(state: CheckpointTensors) -> dict[str, Tensor]:
    filled = _point_patches(state, "reduce_dim")
    for block in range(state.count("blocks.blocks.", ".norm1.weight")):
        here, there = f"blocks.{block}", f"blocks.blocks.{block}"
        filled |= state.norm(f"{here}.norm1", f"{there}.norm1")
        filled |= state.norm(f"{here}.norm2", f"{there}.norm2")
        filled[f"{here}.attn.qkv.weight"] = state.get(f"{there}.attn.qkv.weight")
        for name in ("attn.proj", "mlp.fc1", "mlp.fc2"):
            filled |= state.affine(f"{here}.{name}", f"{there}.{name}")
    return filled | state.norm("norm", "norm")


def _ulip_options(state: CheckpointTensors) -> dict[str, Any]:
    dim, width = state.shape("reduce_dim.weight")
    return {"patch_width": width, **_transformer(dim, state.count("blocks.blocks.", ".norm1.weight"))}


def _uni3d(state: CheckpointTensors) -> dict[str, Tensor]:
    filled = _point_patches(state, "encoder2trans") | state.norm("norm", "visual.fc_norm")
    for block in range(state.count("visual.blocks.", ".norm1.weight")):
        there = f"visual.blocks.{block}."
        filled |= eva_block(
            lambda key, there=there: state.get(there + key),  # type: ignore[misc]
            lambda key, there=there: there + key in state,  # type: ignore[misc]
            f"blocks.{block}.",
        )
    return filled


def _uni3d_options(state: CheckpointTensors) -> dict[str, Any]:
    dim, width = state.shape("encoder2trans.weight")
    block = "visual.blocks.0."
    hidden = state.shape(f"{block}mlp.fc2.weight")[1]
    mlp = "swiglu norm" if f"{block}mlp.norm.weight" in state else "swiglu"
    if mlp == "swiglu" and state.shape(f"{block}mlp.fc1.weight")[0] == hidden:
        mlp = "gelu"
    heads = 88 if mlp == "gelu" else 64  # channels of each: EVA giant's are wider
    transformer = _transformer(dim, state.count("visual.blocks.", ".norm1.weight"), heads)
    return {"patch_width": width, **transformer, "hidden": hidden, "mlp": mlp}


def _transformer(dim: int, depth: int, channels_per_head: int = 64) -> dict[str, int]:
    return {"dim": dim, "depth": depth, "heads": max(1, dim // channels_per_head)}


def _point_patches(state: CheckpointTensors, project: str) -> dict[str, Tensor]:
    """Class token, patches and positions, which Uni3D takes from Point-BERT as ULIP does."""
    filled = {
        "class_token": state.get("cls_token").flatten(),
        "class_position": state.get("cls_pos").flatten(),
    }
    for layer, there, coordinates in ((1, "first_conv", (0,)), (2, "second_conv", ())):
        filled |= state.linear_norm(
            f"patches.pointnet.linear{2 * layer - 1}",
            f"patches.pointnet.norm{layer}",
            f"encoder.{there}.0",
            f"encoder.{there}.1",
            coordinates,
        )
        filled |= state.affine(f"patches.pointnet.linear{2 * layer}", f"encoder.{there}.3")
    filled |= state.affine("patches.project", project)
    filled |= state.affine("position.0", "pos_embed.0", coordinates=(0,))
    return filled | state.affine("position.2", "pos_embed.2")


def _pointnet2_ssg(state: CheckpointTensors) -> dict[str, Tensor]:
    filled: dict[str, Tensor] = {}
    for there, here in (("sa1", "levels.0.mlps.0"), ("sa2", "levels.1.mlps.0"), ("sa3", "head")):
        for layer in range(3):
            filled |= state.linear_norm(
                f"{here}.linears.{layer}",
                f"{here}.norms.{layer}",
                f"{there}.mlp_convs.{layer}",
                f"{there}.mlp_bns.{layer}",
                (0,) if layer == 0 else (),
            )
    return filled


def _openshape_layout(
    prefix: str,
    projection: str | None,
    axes: tuple[tuple[float, float, float], ...],
    width: int,
    clip: str,
    **options: Any,
) -> CheckpointLayout:
    return CheckpointLayout(
        encoder="openshape_pointbert",
        convert=_openshape,
        measure=_openshape_options,
        prefix=prefix,
        mark="lift.0.weight",
        input_layer=("sa.mlp_convs.0.weight", 6),
        projection=projection,
        axes=axes,
        teachers={width: clip},
        options=options,
    )


_FEWER_PATCHES = {"num_patches": 64, "radius": 0.4, "patch_size": 256}

LAYOUTS: dict[str, CheckpointLayout] = {
    "openshape_vitg14": _openshape_layout(
        "ppat.", "proj", MIRRORED_Z_UP, 1280, BIG_G, num_patches=384, radius=0.2, patch_size=64
    ),
    "openshape_vitl14": _openshape_layout(
        "pc_encoder.ppat.", "pc_encoder.proj", Y_UP, 768, "ViT-L-14/openai", **_FEWER_PATCHES
    ),
    "openshape_vitb32": _openshape_layout(
        "pc_encoder.", None, Y_UP, 512, "ViT-B-32/openai", **_FEWER_PATCHES
    ),
    "ulip_pointbert": CheckpointLayout(
        encoder="pointbert",
        convert=_ulip_pointbert,
        measure=_ulip_options,
        prefix="point_encoder.",
        mark="blocks.blocks.0.norm1.weight",
        input_layer=("encoder.first_conv.0.weight", 3),
        projection="pc_projection",
        axes=Y_UP,
        teachers={512: SLIP, 1280: BIG_G},
        options={"num_patches": 512, "patch_size": 32},
    ),
    "ulip_pointnet2_ssg": CheckpointLayout(
        encoder="pointnet2_ssg",
        convert=_pointnet2_ssg,
        measure=lambda state: {},
        prefix="point_encoder.",
        mark="sa1.mlp_convs.0.weight",
        input_layer=("sa1.mlp_convs.0.weight", 3),
        projection="pc_projection",
        axes=Y_UP,
        left_out=("fc", "bn"),  # two layers between the global feature and the projection
    ),
    "uni3d": CheckpointLayout(
        encoder="uni3d",
        convert=_uni3d,
        measure=_uni3d_options,
        prefix="point_encoder.",
        mark="visual.blocks.0.norm1.weight",
        input_layer=("encoder.first_conv.0.weight", 3),
        projection="point_encoder.trans2embed",
        axes=Y_UP,
        teachers={1024: EVA_E},
        options={"num_patches": 512, "patch_size": 64},
        # Parts of the image transformer that no point passes.
        left_out=(
            "trans2embed.",
            "visual.cls_token",
            "visual.pos_embed",
            "visual.patch_embed.",
            "visual.head.",
        ),
    ),
}


def find_layout(tensors: Mapping[str, Tensor], source: object = None) -> str:
    """The key of :data:`LAYOUTS` whose network these tensors are.

    Raises:
        InputError: they are of none.
    """
    found = [name for name, layout in LAYOUTS.items() if layout.prefix + layout.mark in tensors]
    if len(found) == 1:
        return found[0]
    first = ", ".join(sorted(tensors)[:3])
    raise InputError(
        f"is no checkpoint of OpenShape, ULIP or Uni3D; its tensors begin with {first}",
        source=None if source is None else str(source),
        fix=f"give a published file of a network of {', '.join(LAYOUTS)}",
    )
