"""Uni3D starts from EVA models of timm, once, when they are made."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import clip2
from clip2.checkpoint import save
from clip2.encoders import create_encoder, weights_follow
from clip2.encoders.patch_transformer import UNI3D_SIZES
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from data_prep.errors import InputError

CREATE = timm.create_model


def unpretrained(name: str, pretrained: bool, **options: Any) -> torch.nn.Module:
    assert pretrained
    torch.manual_seed(11)
    return CREATE(name, pretrained=False, **options)


def unreachable(*_: Any, **__: Any) -> torch.nn.Module:
    raise LocalEntryNotFoundError("no network\nand many lines more")


@pytest.mark.parametrize(
    ("size", "name"), [("ti", "eva02_tiny_patch14_224"), ("b", "eva02_base_patch14_448")]
)
def test_blocks_are_those_of_timm_and_compute_the_same(
    size: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = partial(unpretrained, depth=1)
    monkeypatch.setattr(timm, "create_model", shallow)
    options = {**UNI3D_SIZES[size], "depth": 1}
    encoder = create_encoder("uni3d", **options, init_from_timm=name)
    vit = shallow(name, pretrained=True, num_classes=0)
    tokens = expected = torch.randn(2, 17, options["dim"])
    with torch.no_grad():
        for block in vit.blocks[:1]:
            expected = block(expected)
        found = encoder.blocks(tokens, None, None)
    assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_what_cannot_be_had_or_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"init_from_timm 'no_such_vit': cannot be downloaded from timm \("):
        create_encoder("uni3d", init_from_timm="no_such_vit")
    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ValueError, match=r"cannot be downloaded from timm \(no network\)$"):
        create_encoder("uni3d", init_from_timm="eva02_tiny_patch14_224")
    monkeypatch.setattr(timm, "create_model", unpretrained)
    with pytest.raises(ValueError, match=r"0.norm1.weight: is \(192,\), the encoder has \(384,\)"):
        create_encoder("uni3d", **UNI3D_SIZES["s"] | {"depth": 1}, init_from_timm="eva02_tiny_patch14_224")
    with pytest.raises(ValueError, match="has no 12 EVA blocks"):
        create_encoder("uni3d", init_from_timm="vit_tiny_patch16_224")


def test_a_saved_model_loads_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", unpretrained)
    options = {
        "depth": 1,
        "num_patches": 8,
        "patch_size": 8,
        "patch_width": 16,
        "init_from_timm": "eva02_tiny_patch14_224",
    }
    config = ModelConfig(
        encoder=EncoderConfig(name="uni3d", options=options),
        teacher=TeacherSpec(name="ViT-B-32/openai", width=16),
    )
    model = Clip2Model(config).eval()
    save(model, tmp_path)
    monkeypatch.setattr(timm, "create_model", unreachable)
    clouds = torch.randn(2, 50, 3).numpy()
    assert torch.equal(clip2.load(tmp_path).encode(clouds), model.encode(clouds))
    with pytest.raises(InputError, match=r"model\.encoder"):
        Clip2Model(config)
    with weights_follow():
        Clip2Model(config)
