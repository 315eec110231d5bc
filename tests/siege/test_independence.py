"""An object's embedding depends on that object alone, for every registered encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.narrow_encoders import NARROWER

from clip2.encoders import list_encoders
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing


@pytest.fixture(params=list_encoders(), scope="module")
def model(request: pytest.FixtureRequest) -> Clip2Model:
    """With running statistics that are not the initial ones, as after training."""
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=EncoderConfig(name=request.param, options=NARROWER.get(request.param, {})),
        preprocessing=Preprocessing.model_validate({"num_points": 128}),
        teacher=TeacherSpec(name="x/y", width=32),
    )
    model = Clip2Model(config)
    with torch.no_grad():
        for seed in range(2):
            random = torch.Generator().manual_seed(seed)
            points = torch.nn.functional.normalize(torch.randn(6, 128, 3, generator=random), dim=-1)
            model.encoder(points, torch.rand(6, 128, 3, generator=random))
    return model.eval()


def objects(count: int, largest: int = 700) -> list[np.ndarray]:
    """Clouds of 2 to ``largest`` points, millimeters to tens of meters wide."""
    random = np.random.default_rng(7)
    sizes = np.geomspace(2, largest, count).astype(int)
    return [(random.normal(size=(n, 3)) * 10 ** random.uniform(-3, 1.5, 3)).astype(np.float32) for n in sizes]


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1).min())


@pytest.mark.parametrize("count", [15, pytest.param(127, marks=pytest.mark.slow)])
def test_others_in_the_batch_do_not_change_an_embedding(model: Clip2Model, count: int) -> None:
    others = objects(1 + count)
    together = model.encode(others, batch_size=len(others))
    for place in (0, count // 2, count):
        assert cosine(model.encode([others[place]])[0], together[place]) >= 0.99999


def test_neither_order_of_points_nor_threads_change_an_embedding(model: Clip2Model) -> None:
    clouds, random = objects(3), np.random.default_rng(1)
    expected = model.encode(clouds)
    assert cosine(expected, model.encode([random.permutation(cloud) for cloud in clouds])) >= 0.99999
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert cosine(expected, model.encode(clouds)) >= 0.99999
    finally:
        torch.set_num_threads(before)


def test_bfloat16_is_within_its_stated_bound(model: Clip2Model) -> None:
    clouds = objects(8)[2:]
    expected = model.encode(clouds)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.encode(clouds)
    assert cosine(expected, rounded.float()) >= 0.99  # docs/reliability.md
