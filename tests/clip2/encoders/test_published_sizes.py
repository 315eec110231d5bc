"""Every registered encoder is as large as its paper says, and costs what its documentation says."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clip2.encoders import ENCODERS, PointEncoder, create_encoder, list_encoders


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def layers(*widths: int, bias: bool = True) -> int:
    """Fully connected layers with BatchNorm after all but the last; ``bias`` of those before a BatchNorm."""
    pairs = list(pairwise(widths))
    inner = sum(a * b + 2 * b + (b if bias else 0) for a, b in pairs[:-1])
    a, b = pairs[-1]
    return inner + a * b + b


def convolution_biases(encoder: nn.Module) -> int:
    """The public codes' convolutions carry a bias before BatchNorm, which cancels it; ours leave it out."""
    return sum(module.num_features for module in encoder.modules() if isinstance(module, nn.BatchNorm1d))


def shared_mlps(*widths: int) -> int:
    """Convolutions without bias, each with BatchNorm."""
    return sum(a * b + 2 * b for a, b in pairwise(widths))


def pointnext_decoder(encoder: PointEncoder) -> int:
    """What PointNeXt-B has for S3DIS instead of our global set abstraction: four interpolations, a head of 13 classes."""
    interpolations = ((768, 256, 256), (384, 128, 128), (192, 64, 64), (96, 32, 32))
    return (
        sum(shared_mlps(*widths) for widths in interpolations)
        + layers(32, 32, 13, bias=False)
        - count(encoder.get_submodule("head"))
    )


class Published(NamedTuple):
    """``parameters`` with ``digits`` digits after the point in millions, of the network that has ``more`` than ours."""

    parameters: float
    digits: int
    more: Callable[[PointEncoder], int]
    config: dict[str, Any] = {"feature_channels": 0}  # noqa: RUF012


PUBLISHED: dict[str, Published] = {
    # PointNet, table 6, "vanilla"; classifier of 40
    "pointnet": Published(0.8, 1, lambda e: convolution_biases(e) + layers(1024, 512, 256, 40)),
    # PyTorch ports of PointNet++; classifier of 40
    "pointnet2_ssg": Published(1.475688, 6, lambda e: convolution_biases(e) + layers(1024, 512, 256, 40)),
    "pointnet2_msg": Published(1.74, 2, lambda e: convolution_biases(e) + layers(1024, 512, 256, 40)),
    # PointNeXt model zoo, ScanObjectNN: height as fourth channel, classifier of 15; minus our absent color
    "pointnext_s": Published(
        1.367, 3, lambda e: layers(512, 512, 256, 15, bias=False) - 1, {"feature_channels": 1}
    ),
    # PointNeXt, table 1, S3DIS: height as fourth channel
    "pointnext_b": Published(3.8, 1, lambda e: pointnext_decoder(e) - 1, {"feature_channels": 1}),
    # Public code of PointMLP with its classifier of 40; the PointNeXt model zoo gives 13.2 for the large one
    "pointmlp_elite": Published(0.72, 2, lambda e: layers(256, 512, 256, 40)),
    "pointmlp": Published(13.2, 1, lambda e: layers(1024, 512, 256, 40)),
    # Point-BERT, model card; classifier of 40
    "pointbert": Published(22.1, 1, lambda e: convolution_biases(e) + layers(768, 256, 256, 40)),
    # Uni3D, table of scales: colored, projection to 1024
    "uni3d": Published(
        6.2, 1, lambda e: convolution_biases(e) + 192 * 1024 + 1024 - 3, {"feature_channels": 3}
    ),
    # OpenShape, table 2 and section 4: colored, projection to 1280
    "openshape_pointbert": Published(
        32.3, 1, lambda e: convolution_biases(e) + 512 * 1280 + 1280 - 3, {"feature_channels": 3}
    ),
}
OWN = {"pointnet2_ssg_small"}  # no paper's


def test_every_encoder_is_here() -> None:
    assert set(PUBLISHED) | OWN == set(list_encoders())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name: str) -> None:
    published = PUBLISHED[name]
    encoder = create_encoder(name, **published.config)
    total = count(encoder) + published.more(encoder)
    # Some tables round and some cut; Uni3D seems to count a part of the ViT that it does not use.
    unit = 10**-published.digits
    assert abs(total / 1e6 - published.parameters) < max(unit, 0.005 * published.parameters)


def stated(name: str, unit: str) -> tuple[float, float]:
    """The figure before ``unit`` in the encoder's documentation, and half its last digit."""
    text = " ".join((ENCODERS[name].__doc__ or "").split())
    found = re.search(rf"([\d.]+) {unit}", text)
    assert found, f"{name} does not document its {unit}"
    digits = len(found[1].partition(".")[2])
    return float(found[1]), 0.5 * 10**-digits


def cube(points: int) -> torch.Tensor:
    """(1, points, 3) on the faces of a cube within the unit sphere."""
    generator = torch.Generator().manual_seed(0)
    inside = torch.rand(1, points, 3, generator=generator) * 2 - 1
    axis = torch.randint(0, 3, (1, points, 1), generator=generator)
    side = torch.randint(0, 2, (1, points, 1), generator=generator) * 2.0 - 1
    return inside.scatter(2, axis, side) / 3**0.5


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if stated(name, "GFLOP as computed here")[0] > 5 else name
        for name in list_encoders()
    ],
)
def test_documented_parameters_and_operations(name: str) -> None:
    encoder = create_encoder(name, feature_channels=0).eval()
    parameters, rounding = stated(name, "M parameters")
    assert abs(count(encoder) / 1e6 - parameters) <= rounding * 1.001
    operations, rounding = stated(name, "GFLOP as computed here")
    # In place torch's counter does not see a product.
    in_place = {torch.ops.aten.addmm_: lambda total, a, b, **_: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        encoder(cube(1024))
    # How full the balls are depends a little on the cloud.
    assert abs(counter.get_total_flops() / 1e9 - operations) <= rounding + 0.02 * operations


@pytest.mark.parametrize("name", list_encoders())
def test_the_table_of_the_docs_says_what_the_code_says(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs/encoders.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| `{name}` \| ([\d.]+) M \|.*?\| ([\d.]+) \|.*$", page, re.MULTILINE)
    assert found, f"docs/encoders.md has no row for {name}"
    for written, unit in ((found[1], "M parameters"), (found[2], "GFLOP as computed here")):
        value, rounding = stated(name, unit)
        assert abs(float(written) - value) <= max(rounding, 0.05 if unit.startswith("GFLOP") else 0)
    if name not in OWN:
        paper = re.search(r"arxiv\.org/abs/(\d{4}\.\d{5})", found[0])
        assert paper, f"docs/encoders.md names no paper for {name}"
        factory = ENCODERS[name]
        said = (factory.__doc__ or "") + (sys.modules[factory.__module__].__doc__ or "")
        assert f"arXiv {paper[1]}" in said
