"""Layouts of public point-encoder checkpoints: key names, axes and preprocessing of OpenShape and ULIP.

Key names and shapes are those of github.com/Colin97/OpenShape_code (src/models/ppat.py) and github.com/salesforce/ULIP
(models/pointbert, models/pointnet2). Two differences are folded into the weights: a bias before BatchNorm moves into the
running mean, and the axes of their clouds move into every layer that reads coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clip2.preprocessing import Preprocessing

# Rows: their axes in z-up coordinates. OpenShape swapped y and z of y-up clouds, which also mirrors them.
MIRRORED_Z_UP = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class CheckpointTensors:
    """Tensors of a checkpoint below one prefix, with a record of the keys that were read.

    Args:
        tensors: the checkpoint.
        prefix: of the point encoder's keys.
        axes: (3, 3), from z-up coordinates to those of the checkpoint.
    """

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str, axes: Tensor) -> None:
        self._tensors = {
            key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)
        }
        self._axes = axes
        self.missing: list[str] = []
        self._asked: set[str] = set()

    def unknown(self, left_out: tuple[str, ...]) -> list[str]:
        """Keys that were never read and do not start with one of ``left_out``, sorted."""
        return sorted(key for key in self._tensors if key not in self._asked and not key.startswith(left_out))

    def get(self, key: str) -> Tensor:
        """The tensor; an empty one if it is missing, which is recorded in ``missing``."""
        self._asked.add(key)
        if key not in self._tensors:
            self.missing.append(key)
            return torch.empty(0)
        return self._tensors[key]

    def matrix(self, key: str, coordinates: tuple[int, ...] = ()) -> Tensor:
        """A convolution of size 1 as (out, in); the three columns from each index in ``coordinates`` are turned to z-up."""
        weight = self.get(key)
        weight = weight.flatten(1).clone() if weight.ndim > 1 else weight
        for start in coordinates:
            if weight.ndim == 2:
                part = weight[:, start : start + 3]
                weight[:, start : start + 3] = part @ self._axes.to(weight)
        return weight

    def affine(self, here: str, there: str, coordinates: tuple[int, ...] = ()) -> dict[str, Tensor]:
        """Weight and bias of a linear layer."""
        return {
            f"{here}.weight": self.matrix(f"{there}.weight", coordinates),
            f"{here}.bias": self.get(f"{there}.bias"),
        }

    def norm(self, here: str, there: str) -> dict[str, Tensor]:
        """Weight and bias of a LayerNorm."""
        return {f"{here}.{name}": self.get(f"{there}.{name}") for name in ("weight", "bias")}

    def linear_norm(
        self, linear: str, norm: str, conv: str, batch_norm: str, coordinates: tuple[int, ...] = ()
    ) -> dict[str, Tensor]:
        """A convolution of size 1 with bias and its BatchNorm, as a linear layer without bias and a BatchNorm."""
        filled = {f"{norm}.{name}": self.get(f"{batch_norm}.{name}") for name in _NORM}
        bias = self.get(f"{conv}.bias")
        if bias.numel() == filled[f"{norm}.running_mean"].numel():
            filled[f"{norm}.running_mean"] = filled[f"{norm}.running_mean"] - bias
        return {f"{linear}.weight": self.matrix(f"{conv}.weight", coordinates), **filled}


Convert = Callable[[CheckpointTensors, Mapping[str, Tensor]], dict[str, Tensor]]


def _openshape_pointbert(state: CheckpointTensors, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
    for block in range(_depth(ours)):
        here, there = f"blocks.{block}", f"transformer.layers.{block}"
        filled |= state.norm(f"{here}.norm1", f"{there}.0.norm")
        filled[f"{here}.attn.qkv.weight"] = state.get(f"{there}.0.fn.to_qkv.weight")
        filled |= state.affine(f"{here}.attn.proj", f"{there}.0.fn.to_out.0")
        filled |= state.norm(f"{here}.norm2", f"{there}.1.norm")
        filled |= state.affine(f"{here}.mlp.fc1", f"{there}.1.fn.net.0")
        filled |= state.affine(f"{here}.mlp.fc2", f"{there}.1.fn.net.3")
    return filled


def _ulip_pointbert(state: CheckpointTensors, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
    filled |= state.affine("patches.project", "reduce_dim")
    filled |= state.affine("position.0", "pos_embed.0", coordinates=(0,))
    filled |= state.affine("position.2", "pos_embed.2")
    for block in range(_depth(ours)):
        here, there = f"blocks.{block}", f"blocks.blocks.{block}"
        filled |= state.norm(f"{here}.norm1", f"{there}.norm1") | state.norm(
            f"{here}.norm2", f"{there}.norm2"
        )
        filled[f"{here}.attn.qkv.weight"] = state.get(f"{there}.attn.qkv.weight")
        for name in ("attn.proj", "mlp.fc1", "mlp.fc2"):
            filled |= state.affine(f"{here}.{name}", f"{there}.{name}")
    return filled | state.norm("norm", "norm")


def _pointnet2_ssg(state: CheckpointTensors, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    filled: dict[str, Tensor] = {}
    for there, here in (("sa1", "levels.0.mlps.0"), ("sa2", "levels.1.mlps.0"), ("sa3", "head")):
        filled |= _shared_mlp(state, here, f"{there}.mlp_convs", f"{there}.mlp_bns", (0,))
    return filled


def _pointnet2_msg(state: CheckpointTensors, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    filled: dict[str, Tensor] = {}
    for level in range(2):
        for scale in range(3):
            here = f"levels.{level}.mlps.{scale}"
            convs, norms = f"sa{level + 1}.conv_blocks.{scale}", f"sa{level + 1}.bn_blocks.{scale}"
            features = ours[f"{here}.linears.0.weight"].shape[1] - 3
            filled |= _shared_mlp(state, here, convs, norms, (features,))
            first = filled[f"{here}.linears.0.weight"]
            if first.ndim == 2:  # coordinates come last in their multi-scale layers
                filled[f"{here}.linears.0.weight"] = first.roll(3, dims=1)
    return filled | _shared_mlp(state, "head", "sa3.mlp_convs", "sa3.mlp_bns", (0,))


def _shared_mlp(
    state: CheckpointTensors, here: str, convs: str, norms: str, coordinates: tuple[int, ...]
) -> dict[str, Tensor]:
    filled: dict[str, Tensor] = {}
    for layer in range(3):
        filled |= state.linear_norm(
            f"{here}.linears.{layer}",
            f"{here}.norms.{layer}",
            f"{convs}.{layer}",
            f"{norms}.{layer}",
            coordinates if layer == 0 else (),
        )
    return filled


def _depth(ours: Mapping[str, Tensor]) -> int:
    return sum(key.startswith("blocks.") and key.endswith(".norm1.weight") for key in ours)


@dataclass(frozen=True)
class CheckpointLayout:
    """Layout of one family of public checkpoints.

    Attributes:
        encoder, options: name and options of the matching encoder for the published weights.
        convert: conversion of its tensors to the encoder's state dict.
        prefix: prefix of the point encoder's keys.
        left_out: prefixes of keys below ``prefix`` that the encoder does not use.
        projection: key of the projection to the CLIP space, outside ``prefix``.
        axes: (3, 3), from z-up coordinates to those of the checkpoint.
        preprocessing: preprocessing of its training clouds.
        absent_color: RGB value (0..1) that stands for a missing color; None if the encoder takes no color.
        teacher: open_clip name of its CLIP model; None if open_clip does not have that model.
    """

    encoder: str
    convert: Convert
    prefix: str
    projection: str
    axes: tuple[tuple[float, float, float], ...]
    preprocessing: Preprocessing
    options: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    absent_color: float | None = None
    teacher: str | None = None


def _openshape(axes: tuple[tuple[float, float, float], ...], teacher: str) -> CheckpointLayout:
    return CheckpointLayout(
        encoder="openshape_pointbert",
        convert=_openshape_pointbert,
        prefix="ppat.",
        projection="proj",
        axes=axes,
        preprocessing=Preprocessing(num_points=10_000),
        absent_color=0.4,
        teacher=teacher,
    )


def _ulip(encoder: str, convert: Convert, **more: Any) -> CheckpointLayout:
    return CheckpointLayout(
        encoder=encoder,
        convert=convert,
        prefix="point_encoder.",
        projection="pc_projection",
        axes=Y_UP,
        preprocessing=Preprocessing(num_points=8192, sampling="fps", color=False),
        **more,
    )


_CLASSIFIER = ("fc", "bn")  # two layers between ULIP's global feature and its projection

LAYOUTS: dict[str, CheckpointLayout] = {
    "openshape_pointbert_vitg14": _openshape(MIRRORED_Z_UP, "ViT-bigG-14/laion2b_s39b_b160k"),
    "openshape_pointbert_vitl14": _openshape(Y_UP, "ViT-L-14/openai"),
    "openshape_pointbert_vitb32": _openshape(Y_UP, "ViT-B-32/openai"),
    "ulip_pointbert": _ulip("pointbert", _ulip_pointbert, options={"num_patches": 512}),
    "ulip_pointnet2_ssg": _ulip("pointnet2_ssg", _pointnet2_ssg, left_out=_CLASSIFIER),
    "ulip_pointnet2_msg": _ulip("pointnet2_msg", _pointnet2_msg, left_out=_CLASSIFIER),
    "ulip2_pointbert": CheckpointLayout(
        encoder="pointbert",
        convert=_ulip_pointbert,
        prefix="point_encoder.",
        projection="pc_projection",
        axes=Y_UP,
        preprocessing=Preprocessing(num_points=10_000),
        options={"num_patches": 512, "depth": 18},
        absent_color=0.4,
        teacher="ViT-bigG-14/laion2b_s39b_b160k",
    ),
}
