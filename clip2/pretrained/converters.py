"""Converters of public OpenShape, ULIP and Uni3D checkpoints to clip2 encoders and models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

import torch
from torch import Tensor

from clip2.encoders.encoder import PointEncoder
from clip2.encoders.timm_init import weights_follow
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing
from clip2.pretrained.checkpoint_file import CheckpointTensors, logit_scale, read_tensors
from clip2.pretrained.layouts import ABSENT_COLOR, LAYOUTS, CheckpointLayout, find_layout
from clip2.state_dict import require_same_shapes
from clip2.tensor_files import require_finite
from data_prep.errors import InputError


class ConvertedWeights(NamedTuple):
    """Parts of a public checkpoint beside the encoder's weights.

    Attributes:
        preprocessing: preprocessing that its clouds need.
        teacher: name of the CLIP model of its projection; None if it has no projection of the encoder's width.
        projection, bias: (D, width) and (D,) float, from the encoder's embedding to the CLIP space; None as above.
        logit_scale: learned factor of the cosines before the softmax; None if the file has none.
    """

    preprocessing: Preprocessing
    teacher: str | None
    projection: Tensor | None
    bias: Tensor | None
    logit_scale: float | None


def fill_encoder(
    encoder: PointEncoder,
    checkpoint: str | Path | Mapping[str, Tensor],
    layout: str | CheckpointLayout | None = None,
) -> ConvertedWeights:
    """Fill ``encoder`` from a public checkpoint. Its clouds stay z-up: other axes are folded into the weights.

    Args:
        encoder: built by :func:`~clip2.encoders.create_encoder` with the options of the checkpoint.
        checkpoint: a ``.safetensors`` or torch file (nothing in it is executed), or its tensors.
        layout: a key of :data:`~clip2.pretrained.layouts.LAYOUTS`, or a layout; None: found by the tensors' names.

    Raises:
        InputError: unknown layout, unreadable file, or tensors that are missing, unknown or of another shape.
    """
    source = None if isinstance(checkpoint, Mapping) else Path(checkpoint)
    tensors = checkpoint if isinstance(checkpoint, Mapping) else read_tensors(Path(checkpoint))
    kind = _layout(layout, tensors, source)
    state = CheckpointTensors(tensors, kind.prefix, torch.tensor(kind.axes))
    ours = encoder.state_dict()
    try:
        filled = kind.convert(state)
    except RuntimeError as error:  # torch joins no tensors of unlike shapes
        raise InputError(
            f"holds tensors that do not fit together ({shorten(str(error), 200)})",
            source=source,
            fix=_fix(kind, state),
        ) from error
    if encoder.absent_features is not None:
        filled["absent_features"] = torch.full_like(ours["absent_features"], ABSENT_COLOR)
    unknown = state.unknown(kind.left_out)
    if state.missing or unknown:
        parts = [
            f"{problem} {_few([kind.prefix + key for key in keys])}"
            for problem, keys in (("has no", state.missing), ("has an unknown", unknown))
            if keys
        ]
        raise InputError("; ".join(parts), source=source, fix=_fix(kind, state))
    require_same_shapes(filled, ours, owner="the encoder", source=source, fix=_fix(kind, state))
    require_finite(filled, source or "checkpoint")
    encoder.load_state_dict(filled)
    projection, bias = _projection(tensors, kind, encoder.width)
    teacher = None if projection is None else kind.teachers.get(len(projection))
    return ConvertedWeights(kind.preprocessing(state), teacher, projection, bias, logit_scale(tensors))


def convert_checkpoint(
    checkpoint: str | Path | Mapping[str, Tensor], layout: str | None = None, source: Path | None = None
) -> Clip2Model:
    """A model from a public checkpoint; save it with :func:`clip2.save`.

    Args:
        checkpoint: a file or its tensors, as in :func:`fill_encoder`.
        layout: a key of :data:`~clip2.pretrained.layouts.LAYOUTS`; None: found by the tensors' names.
        source: file of the tensors, for errors.

    Raises:
        InputError: as in :func:`fill_encoder`, or the file has no projection to a CLIP space.
    """
    source = source if isinstance(checkpoint, Mapping) else Path(checkpoint)
    tensors = checkpoint if isinstance(checkpoint, Mapping) else read_tensors(Path(checkpoint))
    kind = _layout(layout, tensors, source)
    state = CheckpointTensors(tensors, kind.prefix, torch.tensor(kind.axes))
    width = _space_width(tensors, kind, state)
    if width not in kind.teachers:
        raise InputError(
            f"projects to {width} channels, the known CLIP models have {' or '.join(map(str, kind.teachers))}"
            if kind.teachers
            else "has layers before its projection that the encoder leaves out",
            source=source,
            field=kind.projection,
            fix="fill an encoder with fill_encoder and train it on your data",
        )
    with weights_follow():
        model = Clip2Model(
            ModelConfig(
                encoder=EncoderConfig(name=kind.encoder, options=kind.encoder_options(state)),
                preprocessing=kind.preprocessing(state),
                teacher=TeacherSpec(name=kind.teachers[width], width=width, templates="ulip-64"),
            )
        )
    try:
        converted = fill_encoder(model.encoder, tensors, kind)
    except InputError as error:
        raise error.as_kind(InputError, source=source) from error
    if converted.projection is None or converted.bias is None:
        raise InputError(
            f"does not fit the encoder's {model.encoder.width} channels",
            source=source,
            field=kind.projection,
        )
    require_finite(
        {"weight": converted.projection, "bias": converted.bias}, source or "checkpoint", "copy it again"
    )
    model.projection.load_state_dict({"weight": converted.projection, "bias": converted.bias})
    if converted.logit_scale is not None:
        for scale in (model.log_text_scale, model.log_image_scale):
            scale.data.fill_(math.log(converted.logit_scale))
    return model.eval()


def _projection(
    tensors: Mapping[str, Tensor], kind: CheckpointLayout, width: int
) -> tuple[Tensor | None, Tensor | None]:
    if kind.projection is None:
        return torch.eye(width), torch.zeros(width)
    if f"{kind.projection}.weight" in tensors:
        weight, bias = tensors[f"{kind.projection}.weight"], tensors.get(f"{kind.projection}.bias")
    elif kind.projection in tensors:
        weight, bias = tensors[kind.projection].t(), None
    else:
        return None, None
    if weight.shape[1] != width:  # starts at a layer that the encoder leaves out
        return None, None
    weight = weight.float().contiguous()
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.float()


def _space_width(tensors: Mapping[str, Tensor], kind: CheckpointLayout, state: CheckpointTensors) -> int:
    """Channels of the CLIP space; 0 without a projection."""
    if kind.projection is None:
        return state.shape("lift.0.weight")[0]
    if f"{kind.projection}.weight" in tensors:
        return len(tensors[f"{kind.projection}.weight"])
    return tensors[kind.projection].shape[1] if kind.projection in tensors else 0


def _layout(
    layout: str | CheckpointLayout | None, tensors: Mapping[str, Tensor], source: Path | None
) -> CheckpointLayout:
    if isinstance(layout, CheckpointLayout):
        return layout
    name = find_layout(tensors, source) if layout is None else layout
    if name not in LAYOUTS:
        raise InputError(f"{name!r} is unknown", field="layout", fix=f"use one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _fix(kind: CheckpointLayout, state: CheckpointTensors) -> str:
    options = {**kind.encoder_options(state), "feature_channels": 3 if kind.has_color(state) else 0}
    arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"use create_encoder({kind.encoder!r}, {arguments}), or another layout"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more
