"""Converters of public checkpoints: our encoder, filled from one, computes the function of the published network.

The networks below are written anew from key names, shapes and papers (OpenShape arXiv 2305.10764, ULIP 2212.05171,
PointNet++ 1706.02413), as functions of a state dict.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

import clip2
from benchmarks.textbook import ball, farthest_points, take
from clip2.checkpoint import save
from clip2.encoders import PointEncoder, create_encoder
from clip2.pretrained import LAYOUTS, convert_checkpoint, fill_encoder
from clip2.pretrained.layouts import MIRRORED_Z_UP, Y_UP
from data_prep.errors import InputError

State = dict[str, Tensor]


class Maker:
    """Random tensors by key, as a layer of the name's kind has them."""

    def __init__(self) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(0)

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


def layer_norm(state: State, key: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{key}.weight"], state[f"{key}.bias"])


def batch_norm(state: State, key: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    return (x - mean) / (variance + 1e-5).sqrt() * state[f"{key}.weight"] + state[f"{key}.bias"]


def attention(qkv: Tensor, heads: int) -> Tensor:
    queries, keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
    scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)


def set_abstraction(
    state: State,
    convs: str,
    norms: str,
    points: Tensor,
    features: Tensor | None,
    centers: Tensor,
    radius: float,
    k: int,
    coordinates_last: bool = False,
) -> Tensor:
    index = ball(radius, k, points, centers)
    parts = [take(points, index) - centers[:, :, None]]
    if features is not None:
        parts.append(take(features, index))
    return _mlp_max(state, convs, norms, torch.cat(parts[::-1] if coordinates_last else parts, -1))


def _mlp_max(state: State, convs: str, norms: str, x: Tensor) -> Tensor:
    for i in range(3):
        x = F.relu(batch_norm(state, f"{norms}.{i}", layer(state, f"{convs}.{i}", x)))
    return x.max(-2)[0]


# -- OpenShape -------------------------------------------------------------------------------------------------------
OPENSHAPE = {
    "num_patches": 12,
    "patch_size": 16,
    "patch_width": 20,
    "dim": 24,
    "depth": 2,
    "heads": 3,
    "hidden": 40,
}


def openshape_state(dim: int, depth: int, patch_width: int, hidden: int, out: int = 512, **_: int) -> State:
    make = Maker()
    for i, (a, b) in enumerate(((9, 64), (64, 64), (64, patch_width))):
        make.layer(f"ppat.sa.mlp_convs.{i}", b, a, ones=2)
        make.norm(f"ppat.sa.mlp_bns.{i}", b, batch=True)
    make.layer("ppat.lift.0", dim, patch_width + 3, ones=1)
    make.norm("ppat.lift.2", dim)
    make.tensor("ppat.cls_token", dim)
    for block in range(depth):
        key = f"ppat.transformer.layers.{block}"
        make.norm(f"{key}.0.norm", dim)
        make.layer(f"{key}.0.fn.to_qkv", 3 * dim, dim, bias=False)
        make.layer(f"{key}.0.fn.to_out.0", dim, dim)
        make.norm(f"{key}.1.norm", dim)
        make.layer(f"{key}.1.fn.net.0", hidden, dim)
        make.layer(f"{key}.1.fn.net.3", dim, hidden)
    make.layer("proj", out, dim)
    return make.state


def openshape(state: State, points: Tensor, rgb: Tensor) -> Tensor:
    centers = take(points, farthest_points(points, OPENSHAPE["num_patches"]))
    features = torch.cat([points, rgb], -1)
    patch = set_abstraction(
        state, "ppat.sa.mlp_convs", "ppat.sa.mlp_bns", points, features, centers, 0.2, OPENSHAPE["patch_size"]
    )
    tokens = layer_norm(state, "ppat.lift.2", layer(state, "ppat.lift.0", torch.cat([centers, patch], -1)))
    x = torch.cat([state["ppat.cls_token"].expand(len(points), 1, -1), tokens], 1)
    for block in range(OPENSHAPE["depth"]):
        key = f"ppat.transformer.layers.{block}"
        qkv = layer(state, f"{key}.0.fn.to_qkv", layer_norm(state, f"{key}.0.norm", x))
        x = x + layer(state, f"{key}.0.fn.to_out.0", attention(qkv, OPENSHAPE["heads"]))
        inner = F.gelu(layer(state, f"{key}.1.fn.net.0", layer_norm(state, f"{key}.1.norm", x)))
        x = x + layer(state, f"{key}.1.fn.net.3", inner)
    return x[:, 0]


# -- ULIP ------------------------------------------------------------------------------------------------------------
POINTBERT = {"num_patches": 12, "patch_size": 9, "patch_width": 20, "dim": 24, "depth": 2, "heads": 3}


def pointbert_state(dim: int, depth: int, patch_width: int, inside: int, out: int, **_: int) -> State:
    make = Maker()
    for name, a, b, c in (("first_conv", inside, 128, 256), ("second_conv", 512, 512, patch_width)):
        make.layer(f"point_encoder.encoder.{name}.0", b, a, ones=1)
        make.norm(f"point_encoder.encoder.{name}.1", b, batch=True)
        make.layer(f"point_encoder.encoder.{name}.3", c, b, ones=1)
    make.layer("point_encoder.reduce_dim", dim, patch_width)
    make.tensor("point_encoder.cls_token", 1, 1, dim)
    make.tensor("point_encoder.cls_pos", 1, 1, dim)
    make.layer("point_encoder.pos_embed.0", 128, 3)
    make.layer("point_encoder.pos_embed.2", dim, 128)
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
    make.tensor("logit_scale")
    make.layer("visual.blocks.0.mlp.fc1", 5, 5)  # the CLIP model that travels with ULIP's files
    return make.state


def pointbert(state: State, points: Tensor, rgb: Tensor | None) -> Tensor:
    state = {key.removeprefix("point_encoder."): value for key, value in state.items()}
    centers = take(points, farthest_points(points, POINTBERT["num_patches"]))
    nearest = torch.cdist(centers, points).topk(POINTBERT["patch_size"], largest=False).indices
    x = take(points, nearest) - centers[:, :, None]
    if rgb is not None:
        x = torch.cat([x, take(rgb, nearest)], -1)
    x = F.relu(batch_norm(state, "encoder.first_conv.1", layer(state, "encoder.first_conv.0", x)))
    x = layer(state, "encoder.first_conv.3", x)
    x = torch.cat([x.amax(2, keepdim=True).expand_as(x), x], -1)
    x = F.relu(batch_norm(state, "encoder.second_conv.1", layer(state, "encoder.second_conv.0", x)))
    x = layer(state, "reduce_dim", layer(state, "encoder.second_conv.3", x).amax(2))
    place = layer(state, "pos_embed.2", F.gelu(layer(state, "pos_embed.0", centers)))
    x = torch.cat([state["cls_token"].expand(len(x), 1, -1), x], 1)
    place = torch.cat([state["cls_pos"].expand(len(x), 1, -1), place], 1)
    for block in range(POINTBERT["depth"]):
        key = f"blocks.blocks.{block}"
        x = x + place
        qkv = layer(state, f"{key}.attn.qkv", layer_norm(state, f"{key}.norm1", x))
        x = x + layer(state, f"{key}.attn.proj", attention(qkv, POINTBERT["heads"]))
        inner = F.gelu(layer(state, f"{key}.mlp.fc1", layer_norm(state, f"{key}.norm2", x)))
        x = x + layer(state, f"{key}.mlp.fc2", inner)
    x = layer_norm(state, "norm", x)
    return torch.cat([x[:, 0], x[:, 1:].amax(1)], -1)


SSG_WIDTHS = ((3, 64, 64, 128), (131, 128, 128, 256), (259, 256, 512, 1024))
MSG_WIDTHS = (
    ((0.1, 16, (3, 32, 32, 64)), (0.2, 32, (3, 64, 64, 128)), (0.4, 128, (3, 64, 96, 128))),
    ((0.2, 32, (323, 64, 64, 128)), (0.4, 64, (323, 128, 128, 256)), (0.8, 128, (323, 128, 128, 256))),
)


def _shared_mlp(make: Maker, convs: str, norms: str, widths: tuple[int, ...]) -> None:
    for i, (a, b) in enumerate(pairwise(widths)):
        make.layer(f"{convs}.{i}", b, a, ones=2)
        make.norm(f"{norms}.{i}", b, batch=True)


def _ulip_head(make: Maker) -> None:
    for i, (a, b) in enumerate(((1024, 512), (512, 256)), start=1):
        make.layer(f"point_encoder.fc{i}", b, a)
        make.norm(f"point_encoder.bn{i}", b, batch=True)
    make.tensor("pc_projection", 256, 512)


def ssg_state() -> State:
    make = Maker()
    for level, widths in enumerate(SSG_WIDTHS, start=1):
        key = f"point_encoder.sa{level}"
        _shared_mlp(make, f"{key}.mlp_convs", f"{key}.mlp_bns", widths)
    _ulip_head(make)
    return make.state


def msg_state() -> State:
    make = Maker()
    for level, scales in enumerate(MSG_WIDTHS, start=1):
        for i, (_, _, widths) in enumerate(scales):
            key = f"point_encoder.sa{level}"
            _shared_mlp(make, f"{key}.conv_blocks.{i}", f"{key}.bn_blocks.{i}", widths)
    _shared_mlp(make, "point_encoder.sa3.mlp_convs", "point_encoder.sa3.mlp_bns", (643, 256, 512, 1024))
    _ulip_head(make)
    return make.state


def pointnet2(state: State, points: Tensor, multi_scale: bool) -> Tensor:
    features = None
    for level, count in ((1, 512), (2, 128)):
        centers = take(points, farthest_points(points, min(count, points.shape[1])))
        key = f"point_encoder.sa{level}"
        if multi_scale:
            parts = [
                set_abstraction(
                    state,
                    f"{key}.conv_blocks.{i}",
                    f"{key}.bn_blocks.{i}",
                    points,
                    features,
                    centers,
                    radius,
                    k,
                    coordinates_last=True,
                )
                for i, (radius, k, _) in enumerate(MSG_WIDTHS[level - 1])
            ]
        else:
            radius, k = ((0.2, 32), (0.4, 64))[level - 1]
            parts = [
                set_abstraction(
                    state, f"{key}.mlp_convs", f"{key}.mlp_bns", points, features, centers, radius, k
                )
            ]
        points, features = centers, torch.cat(parts, -1)
    whole = torch.cat([points, features], -1)
    return _mlp_max(state, "point_encoder.sa3.mlp_convs", "point_encoder.sa3.mlp_bns", whole)


# -- the facts -------------------------------------------------------------------------------------------------------
def cloud(count: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    points = torch.randn(2, count, 3, generator=generator) * torch.tensor([1.0, 0.6, 0.3])
    points = points / points.norm(dim=-1).amax(1)[:, None, None]
    return points, torch.rand(2, count, 3, generator=generator)


CASES: dict[str, tuple[Callable[[], State], Callable[..., Tensor], dict[str, Any]]] = {
    "openshape_pointbert_vitg14": (
        lambda: openshape_state(**OPENSHAPE, out=1280),
        openshape,
        OPENSHAPE,
    ),
    "openshape_pointbert_vitb32": (lambda: openshape_state(**OPENSHAPE), openshape, OPENSHAPE),
    "ulip_pointbert": (
        lambda: pointbert_state(**POINTBERT, inside=3, out=512),
        lambda state, points, rgb: pointbert(state, points, None),
        {**POINTBERT, "feature_channels": 0},
    ),
    "ulip2_pointbert": (lambda: pointbert_state(**POINTBERT, inside=6, out=1280), pointbert, POINTBERT),
    "ulip_pointnet2_ssg": (
        ssg_state,
        lambda state, points, rgb: pointnet2(state, points, multi_scale=False),
        {"feature_channels": 0},
    ),
    "ulip_pointnet2_msg": (
        msg_state,
        lambda state, points, rgb: pointnet2(state, points, multi_scale=True),
        {"feature_channels": 0},
    ),
}


def filled(layout: str, path: Path) -> PointEncoder:
    encoder = create_encoder(LAYOUTS[layout].encoder, **CASES[layout][2])
    fill_encoder(encoder, path, layout)
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize("layout", CASES)
def test_our_encoder_is_their_network_on_clouds_turned_to_their_axes(layout: str, tmp_path: Path) -> None:
    make, network, options = CASES[layout]
    state = make()
    path = tmp_path / "model.pt"  # as data-parallel training leaves it, beside the command line
    torch.save(
        {
            "state_dict": {f"module.{key}": value for key, value in state.items()},
            "epoch": 3,
            "args": argparse.Namespace(lr=1e-3),
        },
        path,
    )
    points, rgb = cloud(200 if "pointbert" in layout else 90)
    theirs = points @ torch.tensor(LAYOUTS[layout].axes).t()
    expected = network(state, theirs, rgb)
    found = filled(layout, path)(points, rgb if options.get("feature_channels", 3) else None)
    assert (found - expected).norm() <= 2e-5 * expected.norm()
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    again = filled(layout, tmp_path / "model.safetensors")(
        points, rgb if options.get("feature_channels", 3) else None
    )
    assert torch.equal(again, found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_names_an_encoder_that_builds_and_axes_that_keep_lengths(layout: str) -> None:
    kind = LAYOUTS[layout]
    encoder = create_encoder(
        kind.encoder, feature_channels=3 if kind.preprocessing.color else 0, **kind.options
    )
    assert (encoder.feature_channels > 0) == (kind.absent_color is not None)
    axes = torch.tensor(kind.axes)
    assert torch.equal(axes @ axes.t(), torch.eye(3))


def test_up_is_up() -> None:
    up, ours = torch.tensor([0.0, 0.0, 1.0]), torch.eye(3)
    assert (torch.tensor(Y_UP) @ up).tolist() == [0, 1, 0]
    assert torch.linalg.det(torch.tensor(Y_UP) @ ours) == 1  # a rotation
    assert (torch.tensor(MIRRORED_Z_UP) @ up).tolist() == [0, 0, 1]
    # What swapping two coordinates of a y-up cloud does: stand it up and mirror it.
    swap = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert torch.equal(torch.tensor(MIRRORED_Z_UP), swap @ torch.tensor(Y_UP))


@torch.no_grad()
def test_a_cloud_without_color_is_the_gray_they_trained_with(tmp_path: Path) -> None:
    safetensors.torch.save_file(openshape_state(**OPENSHAPE, out=1280), tmp_path / "m.safetensors")
    encoder = filled("openshape_pointbert_vitg14", tmp_path / "m.safetensors")
    points, rgb = cloud()
    torch.testing.assert_close(encoder(points), encoder(points, torch.full_like(rgb, 0.4)))


def test_the_published_openshape_network_has_as_many_parameters_as_our_encoder_and_its_projection() -> None:
    state = openshape_state(dim=512, depth=12, patch_width=256, hidden=1536, out=1280)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(value.numel() for key, value in state.items() if not key.endswith(buffers))
    assert round(count / 1e6, 1) == 32.3  # the paper's figure
    encoder = create_encoder("openshape_pointbert")
    # Their convolutions have biases before BatchNorm, ours a color for clouds without.
    ours = sum(parameter.numel() for parameter in encoder.parameters())
    assert ours + 64 + 64 + 256 - 3 + 512 * 1280 + 1280 == count


def test_a_whole_model_with_its_projection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = pointbert_state(**POINTBERT, inside=6, out=1280)
    torch.save({"state_dict": state}, tmp_path / "ulip2.pt")
    monkeypatch.setitem(LAYOUTS["ulip2_pointbert"].options, "num_patches", 12)
    for key, value in POINTBERT.items():
        monkeypatch.setitem(LAYOUTS["ulip2_pointbert"].options, key, value)
    model = convert_checkpoint(tmp_path / "ulip2.pt", "ulip2_pointbert")
    assert model.teacher.name == "ViT-bigG-14/laion2b_s39b_b160k"
    points, rgb = cloud()
    with torch.no_grad():
        expected = F.normalize(
            pointbert(state, points @ torch.tensor(Y_UP).t(), rgb) @ state["pc_projection"], dim=1
        )
        found = F.normalize(model.projection(model.encoder(points, rgb)), dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    save(model, tmp_path / "saved")
    reloaded = clip2.load(tmp_path / "saved")
    assert torch.equal(reloaded.encode(points.numpy(), None), model.encode(points.numpy(), None))
    assert reloaded.preprocessing.num_points == 10_000


def test_tensors_that_do_not_match_are_one_line(tmp_path: Path) -> None:
    encoder = create_encoder("openshape_pointbert", **OPENSHAPE)
    before = encoder.class_token.clone()
    path = tmp_path / "model.safetensors"

    def rejection(state: State, layout: str = "openshape_pointbert_vitg14") -> str:
        safetensors.torch.save_file(state, path)
        with pytest.raises(InputError) as raised:
            fill_encoder(encoder, path, layout)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    whole = openshape_state(**OPENSHAPE)
    less = {key: value for key, value in whole.items() if key != "ppat.lift.0.bias"}
    assert "has no ppat.lift.0.bias" in rejection(less)
    assert "has an unknown ppat.extra" in rejection(whole | {"ppat.extra": torch.zeros(2)})
    assert "and 3 more" in rejection({key: value for key, value in whole.items() if "layers.1.1" not in key})
    deeper = openshape_state(**{**OPENSHAPE, "depth": 3})
    assert "has an unknown ppat.transformer.layers.2.0.fn.to_out.0.bias" in rejection(deeper)
    wider = openshape_state(**{**OPENSHAPE, "hidden": 48})
    assert "blocks.0.mlp.fc1.weight: is (48, 24), the encoder has (40, 24)" in rejection(wider)
    assert "openshape_pointbert_vitl14" in rejection(whole, "openshape")
    assert torch.equal(encoder.class_token, before)  # a refused checkpoint changes nothing


def test_files_with_objects_and_other_files_are_refused(tmp_path: Path) -> None:
    encoder = create_encoder("openshape_pointbert", **OPENSHAPE)

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"state_dict": {}, "trap": Trap()}, tmp_path / "trap.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    for name, words in (
        ("trap.pt", "which loading would execute"),
        ("tensor.pt", "holds a Tensor"),
        ("text.pt", "not written by torch"),
        ("text.safetensors", "cannot be read"),
        ("absent.pt", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            fill_encoder(encoder, tmp_path / name, "openshape_pointbert_vitg14")
    assert not (tmp_path / "executed").exists()


def test_the_clip_model_of_ulip_is_not_in_open_clip(tmp_path: Path) -> None:
    torch.save({"state_dict": ssg_state()}, tmp_path / "ulip.pt")
    with pytest.raises(InputError, match="fill_encoder"):
        convert_checkpoint(tmp_path / "ulip.pt", "ulip_pointnet2_ssg")
    encoder = create_encoder("pointnet2_ssg", feature_channels=0)
    assert fill_encoder(encoder, tmp_path / "ulip.pt", "ulip_pointnet2_ssg").projection is None
