from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from clip2.objectives import ContrastiveObjective, Embeddings, ObjectiveConfig, Targets
from clip2.preprocessing import PreparedClouds
from clip2.training import TrainConfig, TrainingSet, train
from clip2.training.accumulation import backward_in_parts

OBJECTS = 10


class Pooling(nn.Module):
    """A network without statistics of the batch; it drops random features, so both passes must draw alike."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 32), nn.GELU(), nn.Dropout(dropout), nn.Linear(32, 8))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, clouds: PreparedClouds) -> Embeddings:
        pooled = self.layers(clouds.points).amax(dim=1)
        return Embeddings(functional.normalize(pooled, dim=1), self.log_scale.exp(), self.log_scale.exp())


def batch() -> tuple[PreparedClouds, Targets]:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(OBJECTS, 16, 3, generator=random)
    texts = functional.normalize(torch.randn(4, 8, generator=random), dim=1)
    images = functional.normalize(torch.randn(OBJECTS, 8, generator=random), dim=1)
    ids = torch.arange(OBJECTS) % 4
    seen = torch.arange(OBJECTS) % 3 > 0
    clouds = PreparedClouds(points, torch.full((OBJECTS,), 16), None, None)
    return clouds, Targets(texts, ids, ids[:, None], images, seen)


def gradients(part: int | None, dropout: float = 0.0) -> tuple[float, list[torch.Tensor]]:
    torch.manual_seed(1)
    fabric = Fabric(accelerator="cpu", devices=1)
    network = fabric.setup(Pooling(dropout))
    clouds, targets = batch()
    objective = ContrastiveObjective(ObjectiveConfig())
    if part is None:
        losses = objective(network(clouds), targets)
        fabric.backward(losses.total)
    else:
        losses = backward_in_parts(fabric, network, objective, clouds, targets, part, seed=3)
    return losses.total.item(), [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("part", [2, 3, 7])
def test_the_gradient_of_parts_is_that_of_the_whole_batch(part: int) -> None:
    whole, expected = gradients(None)
    loss, found = gradients(part)
    assert loss == pytest.approx(whole, rel=1e-6)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_small_batches_that_are_simply_added_have_another_gradient() -> None:
    _, expected = gradients(None)
    clouds, targets = batch()
    torch.manual_seed(1)
    network = Pooling()
    for rows in (slice(0, 5), slice(5, 10)):
        part = PreparedClouds(clouds.points[rows], clouds.lengths[rows], None, None)
        own = Targets(targets.texts, *(field[rows] for field in targets[1:5]))
        (ContrastiveObjective(ObjectiveConfig())(network(part), own).total / 2).backward()
    first = next(network.parameters()).grad
    assert (first - expected[0]).norm() > 0.1 * expected[0].norm()


def test_both_passes_draw_the_same_random_numbers() -> None:
    again = [gradients(5, dropout=0.5)[1] for _ in range(2)]
    for one, other in zip(*again, strict=True):
        assert torch.equal(one, other)


def test_a_run_in_parts_learns_and_continues(
    tmp_path: Path, shapes: TrainingSet, tiny: Callable[..., TrainConfig]
) -> None:
    result = train(tiny("loop.part=8", "loop.steps=40"), tmp_path / "run", data=shapes)
    first = train(tiny("loop.steps=1"), tmp_path / "short", data=shapes)
    assert result.finished
    assert result.metrics["train/loss"] < 0.7 * first.metrics["train/loss"]
