"""Converters of public OpenShape and ULIP checkpoints to clip2 encoders and models."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from clip2.encoders.encoder import PointEncoder
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing
from clip2.pretrained.layouts import LAYOUTS, CheckpointLayout, CheckpointTensors
from clip2.state_dict import require_same_shapes
from data_prep.errors import InputError


class ConvertedWeights(NamedTuple):
    """Parts of a public checkpoint beside the encoder's weights.

    Attributes:
        preprocessing: preprocessing that its clouds need.
        teacher: open_clip name of the projection's CLIP model; None if open_clip does not have that model.
        projection, bias: (D, width) and (D,), from the encoder's embedding to the CLIP space; None if the checkpoint
            has no projection of the encoder's width.
    """

    preprocessing: Preprocessing
    teacher: str | None
    projection: Tensor | None
    bias: Tensor | None


def fill_encoder(
    encoder: PointEncoder, checkpoint: str | Path | Mapping[str, Tensor], layout: str | CheckpointLayout
) -> ConvertedWeights:
    """Fill ``encoder`` from a public checkpoint. Its clouds stay z-up: other axes are folded into the weights.

    Args:
        encoder: built by ``create_encoder(LAYOUTS[layout].encoder, ...)``.
        checkpoint: a ``.safetensors`` or torch file (nothing in it is executed), or its tensors.
        layout: a key of :data:`~clip2.pretrained.layouts.LAYOUTS`, or a layout.

    Raises:
        InputError: unknown layout, unreadable file, or tensors that are missing, unknown or of another shape.
    """
    kind = layout if isinstance(layout, CheckpointLayout) else _layout(layout)
    source = None if isinstance(checkpoint, Mapping) else checkpoint
    tensors = checkpoint if isinstance(checkpoint, Mapping) else _read(Path(checkpoint))
    state = CheckpointTensors(tensors, kind.prefix, torch.tensor(kind.axes))
    ours = encoder.state_dict()
    filled = kind.convert(state, ours)
    if encoder.absent_features is not None:
        filled["absent_features"] = ours["absent_features"].clone()
        if kind.absent_color is not None:
            filled["absent_features"].fill_(kind.absent_color)
    unknown = state.unknown(kind.left_out)
    if state.missing or unknown:
        parts = [
            f"{problem} {_few([kind.prefix + key for key in keys])}"
            for problem, keys in (("has no", state.missing), ("has an unknown", unknown))
            if keys
        ]
        raise InputError("; ".join(parts), source=source, fix=_fix(kind))
    require_same_shapes(filled, ours, owner="the encoder", source=source, fix=_fix(kind))
    encoder.load_state_dict(filled)
    return ConvertedWeights(kind.preprocessing, kind.teacher, *_projection(tensors, kind, encoder.width))


def convert_checkpoint(path: str | Path, layout: str) -> Clip2Model:
    """A model from a public checkpoint; save it with :func:`clip2.save`.

    Args:
        path: the checkpoint, as in :func:`fill_encoder`.
        layout: a key of :data:`~clip2.pretrained.layouts.LAYOUTS` whose CLIP model open_clip has.

    Raises:
        InputError: as in :func:`fill_encoder`, or open_clip does not have the layout's CLIP model.
    """
    kind = _layout(layout)
    if kind.teacher is None:
        raise InputError(
            "was trained against a CLIP model that open_clip does not have",
            source=path,
            field=layout,
            fix="fill an encoder with fill_encoder and train it on your data",
        )
    tensors = _read(Path(path))
    widths = [
        len(value) if key == "proj.bias" else value.shape[1]
        for key, value in tensors.items()
        if key in ("proj.bias", "pc_projection")
    ]
    if not widths:
        raise InputError(f"has no {kind.projection}", source=path, field=layout, fix=_fix(kind))
    model = Clip2Model(
        ModelConfig(
            encoder=EncoderConfig(name=kind.encoder, options=kind.options),
            preprocessing=kind.preprocessing,
            teacher=TeacherSpec(name=kind.teacher, width=widths[0], templates="ulip-64"),
        )
    )
    converted = fill_encoder(model.encoder, path, layout)
    assert converted.projection is not None
    assert converted.bias is not None
    model.projection.load_state_dict({"weight": converted.projection, "bias": converted.bias})
    return model.eval()


def _projection(
    tensors: Mapping[str, Tensor], kind: CheckpointLayout, width: int
) -> tuple[Tensor | None, Tensor | None]:
    if f"{kind.projection}.weight" in tensors:
        weight, bias = tensors[f"{kind.projection}.weight"], tensors.get(f"{kind.projection}.bias")
    elif kind.projection in tensors:
        weight, bias = tensors[kind.projection].t().contiguous(), None
    else:
        return None, None
    if weight.shape[1] != width:  # starts at a layer that the encoder leaves out
        return None, None
    return weight, weight.new_zeros(len(weight)) if bias is None else bias


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of the network by name, without the ``module.`` of data-parallel training."""
    found: object
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
        elif not zipfile.is_zipfile(path):  # torch.load of other bytes is undefined
            raise OSError(
                "no such file" if not path.exists() else "not written by torch.save of release 1.6 or later"
            )
        else:
            # ULIP's files also hold the command line, a plain record of values.
            with torch.serialization.safe_globals([argparse.Namespace]):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            "holds Python objects, which loading would execute",
            source=path,
            fix="if you trust it, save its state_dict alone as safetensors",
        ) from None
    except (SafetensorError, OSError, RuntimeError) as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", source=path) from None
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping):
        raise InputError(f"holds a {type(found).__name__}", source=path, fix="give a state dict")
    return {
        str(key).removeprefix("module."): value for key, value in found.items() if isinstance(value, Tensor)
    }


def _layout(name: str) -> CheckpointLayout:
    if name not in LAYOUTS:
        raise InputError(f"{name!r} is unknown", field="layout", fix=f"use one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _fix(kind: CheckpointLayout) -> str:
    options = {**kind.options, "feature_channels": 0 if kind.absent_color is None else 3}
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"use create_encoder({kind.encoder!r}, {arguments}), or another layout"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more
