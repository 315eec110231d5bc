"""Starting from public checkpoints of OpenShape and ULIP."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from clip2.preprocessing import Preprocessing
from clip2.pretrained.layouts import FOREIGN_LAYOUTS, ForeignLayout, ForeignState
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.encoders.encoder import PointEncoder
    from clip2.model import Clip2Model


class Foreign(NamedTuple):
    """What came along with the encoder's weights.

    Attributes:
        preprocessing: what clouds must go through.
        teacher: the CLIP model of its projection, as open_clip names it; None: one that open_clip does not have.
        projection, bias: (D, width) and (D,) from the encoder's embedding to that model's space; None: the
            checkpoint has none that fits.
    """

    preprocessing: Preprocessing
    teacher: str | None
    projection: Tensor | None
    bias: Tensor | None


def fill_encoder(encoder: PointEncoder, path: str | Path, layout: str) -> Foreign:
    """Fill ``encoder`` from a public checkpoint. Clouds go into it z-up; its own axes are folded into the weights.

    Args:
        encoder: as ``create_encoder(FOREIGN_LAYOUTS[layout].encoder, ...)`` builds it.
        path: ``.safetensors``, or a torch file; nothing from it is executed.
        layout: one of :data:`~clip2.pretrained.layouts.FOREIGN_LAYOUTS`.

    Raises:
        InputError: unknown layout, unreadable file, or tensors that are missing, unknown or of another shape, named in
            one line.
    """
    kind = _layout(layout)
    tensors = _read(Path(path))
    state = ForeignState(tensors, kind.prefix, torch.tensor(kind.axes))
    ours = encoder.state_dict()
    filled = kind.convert(state, ours)
    if encoder.absent_features is not None:
        filled["absent_features"] = ours["absent_features"].clone()
        if kind.absent_color is not None:
            filled["absent_features"].fill_(kind.absent_color)
    unknown = state.unknown(kind.left_out)
    if state.missing or unknown:
        parts = [
            f"{word} {_few([kind.prefix + key for key in keys])}"
            for word, keys in (("has no", state.missing), ("does not know", unknown))
            if keys
        ]
        raise InputError("; ".join(parts), source=path, field=layout, fix=_fix(kind))
    differing = [key for key in ours if filled[key].shape != ours[key].shape]
    if differing:
        key = differing[0]
        raise InputError(
            f"gives {tuple(filled[key].shape)} for {key}, which is {tuple(ours[key].shape)}"
            f" ({len(differing)} tensors differ)",
            source=path,
            field=layout,
            fix=_fix(kind),
        )
    encoder.load_state_dict(filled)
    return Foreign(kind.preprocessing, kind.teacher, *_projection(tensors, kind, encoder.width))


def convert_checkpoint(path: str | Path, layout: str) -> Clip2Model:
    """A ready model from a public checkpoint whose CLIP model open_clip has; save it with ``clip2.checkpoint.save``.

    Args:
        path, layout: as of :func:`fill_encoder`.

    Raises:
        InputError: as of :func:`fill_encoder`, or the layout's CLIP model is not among open_clip's.
    """
    from clip2.model import Clip2Model
    from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec

    kind = _layout(layout)
    if kind.teacher is None:
        raise InputError(
            "was trained against a CLIP model that open_clip does not have",
            source=path,
            field=layout,
            fix="fill an encoder with fill_encoder and train it on",
        )
    widths = [
        len(value) if key == "proj.bias" else value.shape[1]
        for key, value in _read(Path(path)).items()
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
    foreign = fill_encoder(model.encoder, path, layout)
    assert foreign.projection is not None
    assert foreign.bias is not None
    model.projection.load_state_dict({"weight": foreign.projection, "bias": foreign.bias})
    return model.eval()


def _projection(
    tensors: Mapping[str, Tensor], kind: ForeignLayout, width: int
) -> tuple[Tensor | None, Tensor | None]:
    if f"{kind.projection}.weight" in tensors:
        weight, bias = tensors[f"{kind.projection}.weight"], tensors.get(f"{kind.projection}.bias")
    elif kind.projection in tensors:
        weight, bias = tensors[kind.projection].t().contiguous(), None
    else:
        return None, None
    if weight.shape[1] != width:  # leads on from layers that are left out
        return None, None
    return weight, weight.new_zeros(len(weight)) if bias is None else bias


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of the network by name, without what data-parallel training puts before them."""
    found: object
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
        elif not zipfile.is_zipfile(path):  # what torch makes of any other bytes is undefined
            raise OSError(
                "no such file" if not path.exists() else "not written by torch.save of release 1.6 or later"
            )
        else:
            # ULIP's files also hold the command line, a plain record of values.
            with torch.serialization.safe_globals([argparse.Namespace]):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            "holds objects that would have to be executed",
            source=path,
            fix="where you trust it, save its state_dict alone as safetensors",
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


def _layout(name: str) -> ForeignLayout:
    if name not in FOREIGN_LAYOUTS:
        raise InputError(
            f"{name!r} is unknown", field="layout", fix=f"use one of {', '.join(FOREIGN_LAYOUTS)}"
        )
    return FOREIGN_LAYOUTS[name]


def _fix(kind: ForeignLayout) -> str:
    options = {**kind.options, "feature_channels": 0 if kind.absent_color is None else 3}
    words = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"take create_encoder({kind.encoder!r}, {words}), or another layout"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more
