"""Converters of public checkpoints: which files they take, and what they say about the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from clip2.encoders import create_encoder
from clip2.pretrained import LAYOUTS, convert_checkpoint, fill_encoder
from clip2.pretrained.checkpoint_file import logit_scale
from clip2.pretrained.layouts import MIRRORED_Z_UP, Y_UP
from data_prep.errors import InputError
from tests.support.public_twins import SWAPPED, TWINS, Maker, State
from tests.support.public_twins import Y_UP as THEIR_Y_UP

G14 = {"num_patches": 12, "patch_size": 16, "dim": 512, "depth": 2, "heads": 8, "hidden": 1536}


def ssg_state() -> State:
    """ULIP's PointNet++: set abstraction, then two layers before its projection."""
    make = Maker()
    for level, (inside, *widths) in enumerate(
        ((3, 64, 64, 128), (131, 128, 128, 256), (259, 256, 512, 1024)), 1
    ):
        for i, width in enumerate(widths):
            make.layer(f"point_encoder.sa{level}.mlp_convs.{i}", width, inside, ones=2)
            make.norm(f"point_encoder.sa{level}.mlp_bns.{i}", width, batch=True)
            inside = width
    for i, (a, b) in enumerate(((1024, 512), (512, 256)), start=1):
        make.layer(f"point_encoder.fc{i}", b, a)
        make.norm(f"point_encoder.bn{i}", b, batch=True)
    make.tensor("pc_projection", 256, 512)
    return make.state


@pytest.mark.parametrize("layout", LAYOUTS)
def test_axes_keep_lengths(layout: str) -> None:
    axes = torch.tensor(LAYOUTS[layout].axes)
    assert torch.equal(axes @ axes.t(), torch.eye(3))


def test_up_is_up() -> None:
    up = torch.tensor([0.0, 0.0, 1.0])
    assert (torch.tensor(Y_UP) @ up).tolist() == [0, 1, 0]
    assert torch.linalg.det(torch.tensor(Y_UP)) == 1  # a rotation
    assert (torch.tensor(MIRRORED_Z_UP) @ up).tolist() == [0, 0, 1]
    # What swapping two coordinates of a y-up cloud does: stand it up and mirror it.
    swap = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert torch.equal(torch.tensor(MIRRORED_Z_UP), swap @ torch.tensor(Y_UP))
    assert torch.equal(torch.tensor(MIRRORED_Z_UP), SWAPPED)
    assert torch.equal(torch.tensor(Y_UP), THEIR_Y_UP)


def test_the_same_tensors_in_any_container_make_the_same_model(tmp_path: Path) -> None:
    state = TWINS["uni3d-ti"].state(1)
    safetensors.torch.save_file(state, tmp_path / "bare.safetensors")
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"module": state}, tmp_path / "deepspeed.pt")
    torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "parallel.pt")
    files = sorted(tmp_path.iterdir())
    models = [convert_checkpoint(path).state_dict() for path in files]
    assert len(models) == 4
    for model in models[1:]:
        assert all(torch.equal(value, models[0][key]) for key, value in model.items())


def test_half_precision_is_upcast_before_the_arithmetic() -> None:
    state = TWINS["uni3d-ti"].state(1)
    exact = convert_checkpoint({key: value.float() for key, value in state.items()}).state_dict()
    found = convert_checkpoint(state).state_dict()
    assert all(torch.equal(value, exact[key]) for key, value in found.items())
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}


def test_only_tensors_of_the_network_are_read_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    state = TWINS["openshape-vitb32"].state(1)
    torch.save({"state_dict": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(50_000_000)}}}}, path)
    before = resident()
    convert_checkpoint(path)
    assert resident() - before < 100e6  # the moments alone are 200 MB


def resident() -> int:
    """Bytes of this process in memory."""
    import os

    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("not Linux")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("stored", "scale"), [(4.6052, 100), (2.659, 14.28), (0.05, 20), (33.3, 33.3), (5, 5)]
)
def test_a_temperature_is_a_logarithm_a_factor_or_its_inverse(stored: float, scale: float) -> None:
    assert logit_scale({"tau": torch.tensor(stored)}) == pytest.approx(scale, rel=1e-3)


def test_no_temperature_no_scale() -> None:
    assert logit_scale({}) is None
    assert logit_scale({"tau": torch.tensor(float("nan"))}) is None


def test_tensors_that_do_not_match_are_one_line(tmp_path: Path) -> None:
    whole = TWINS["openshape-vitg14"].state(2)
    encoder = create_encoder("openshape_pointbert", **G14)
    before = encoder.class_token.clone()
    path = tmp_path / "model.safetensors"

    def rejection(state: State, layout: str | None = None) -> str:
        safetensors.torch.save_file(state, path)
        with pytest.raises(InputError) as raised:
            fill_encoder(encoder, path, layout)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    less = {key: value for key, value in whole.items() if key != "ppat.lift.0.bias"}
    assert "has no ppat.lift.0.bias" in rejection(less)
    assert "has an unknown ppat.extra" in rejection(whole | {"ppat.extra": torch.zeros(2)})
    assert "and 3 more" in rejection({key: value for key, value in whole.items() if "layers.1.1" not in key})
    deeper = TWINS["openshape-vitg14"].state(3)
    assert "blocks.2.norm1.weight: is (512,), the encoder has no such tensor" in rejection(deeper)
    assert "depth=3" in rejection(deeper)  # the options that would fit
    assert "openshape_vitl14" in rejection(whole, "openshape")
    assert "is no checkpoint of OpenShape, ULIP or Uni3D" in rejection({"weight": torch.zeros(2)})
    assert torch.equal(encoder.class_token, before)  # a refused checkpoint changes nothing


def test_a_space_of_no_known_clip_model_is_told(tmp_path: Path) -> None:
    state = TWINS["uni3d-ti"].state(1)
    state["point_encoder.trans2embed.weight"] = state["point_encoder.trans2embed.weight"][:7]
    with pytest.raises(InputError, match="projects to 7 channels, the known CLIP models have 1024"):
        convert_checkpoint(state)


def test_files_with_objects_and_other_files_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"state_dict": {}, "trap": Trap()}, tmp_path / "trap.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    torch.save({"state_dict": {"lr": 1}}, tmp_path / "numbers.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:3000])
    for name, words in (
        ("trap.pt", "which loading would execute"),
        ("tensor.pt", "holds a Tensor"),
        ("numbers.pt", "holds no tensors"),
        ("text.pt", "not written by torch"),
        ("half.pt", "cut short"),
        ("text.safetensors", "is not a safetensors file"),
        ("absent.pt", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            convert_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_a_network_without_a_way_to_the_clip_space_still_fills_an_encoder() -> None:
    with pytest.raises(InputError, match="fill_encoder"):
        convert_checkpoint(ssg_state())
    encoder = create_encoder("pointnet2_ssg", feature_channels=0)
    assert fill_encoder(encoder, ssg_state()).projection is None
