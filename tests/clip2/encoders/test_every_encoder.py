"""One test of everything an encoder promises, run over every registered model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from clip2.encoders import PointEncoder, list_encoders
from tests.support.narrow_encoders import create_narrow_encoder as create_encoder

# Their neighborhoods or tokens count repeats, so that they are no functions of the set of points alone.
COUNT_REPEATS = (
    "openshape_pointbert",
    "pointbert",
    "pointmlp",
    "pointmlp_elite",
    "uni3d",
)


@pytest.fixture(params=list_encoders(), scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def trained(name: str) -> PointEncoder:
    """In eval mode, with running statistics and BatchNorm parameters unlike their initial values."""
    torch.manual_seed(0)
    encoder = create_encoder(name)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.weight.normal_()  # negative scales occur in trained networks
                module.bias.normal_(std=0.1)
                module.momentum = 0.5
        for _ in range(3):
            encoder(cloud(4, 96), torch.rand(4, 96, 3))
    return encoder.eval()


def cloud(batch: int, count: int, seed: int = 1) -> Tensor:
    """Points on the unit sphere."""
    points = torch.randn(batch, count, 3, generator=torch.Generator().manual_seed(seed))
    return points / points.norm(dim=-1, keepdim=True)


def colors(batch: int, count: int, seed: int = 2) -> Tensor:
    return torch.rand(batch, count, 3, generator=torch.Generator().manual_seed(seed))


def assert_same(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    assert (a - b).norm() <= tolerance * b.norm()


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_shape_and_finiteness(trained: PointEncoder, batch: int, count: int) -> None:
    embedding = trained(cloud(batch, count), colors(batch, count))
    assert embedding.shape == (batch, trained.width)
    assert embedding.isfinite().all()
    assert embedding.std(dim=1).min() > 0


@torch.no_grad()
def test_no_clouds_give_no_embeddings(trained: PointEncoder) -> None:
    assert trained(torch.zeros(0, 10, 3)).shape == (0, trained.width)


@torch.no_grad()
def test_coincident_points_are_finite(trained: PointEncoder) -> None:
    assert trained(torch.full((2, 50, 3), 0.3)).isfinite().all()


@torch.no_grad()
def test_a_batch_is_its_clouds_one_by_one(trained: PointEncoder) -> None:
    points, rgb = cloud(5, 200), colors(5, 200)
    together = trained(points, rgb)
    apart = torch.cat([trained(points[b : b + 1], rgb[b : b + 1]) for b in range(5)])
    assert_same(together, apart)


@torch.no_grad()
def test_padding_never_influences_the_result(trained: PointEncoder) -> None:
    lengths = torch.tensor([150, 1, 20, 149])
    points, rgb = cloud(4, 150), colors(4, 150)
    for poison in (torch.nan, torch.inf, 0.0, points[:, :1]):
        padding = torch.arange(150) >= lengths[:, None]
        bad_points = torch.where(padding[..., None], poison, points)
        bad_rgb = torch.where(padding[..., None], torch.nan, rgb)
        ragged = trained(bad_points, bad_rgb, lengths=lengths)
        for b, length in enumerate(lengths.tolist()):
            alone = trained(points[b : b + 1, :length], rgb[b : b + 1, :length])
            assert_same(ragged[b : b + 1], alone)


def test_padding_never_influences_training(name: str) -> None:
    torch.manual_seed(0)
    encoder, lengths = create_encoder(name), torch.tensor([60, 5, 33])
    present = torch.tensor([True, False, True])
    padding = (torch.arange(60) >= lengths[:, None])[..., None]
    gradients = []
    for poison in (torch.nan, 0.25):
        points, rgb = cloud(3, 60).masked_fill(padding, poison), colors(3, 60).masked_fill(padding, poison)
        other = copy.deepcopy(encoder)
        other(points, rgb, lengths=lengths, features_present=present).square().sum().backward()
        gradients.append([parameter.grad for parameter in other.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@torch.no_grad()
def test_order_of_points_does_not_matter_while_balls_hold_all_their_points(trained: PointEncoder) -> None:
    # Ball queries keep the first k by index, so the promise needs clouds whose balls do not overflow: with no more
    # points than any ball holds (16 at least), that is every cloud, and every point is a center whatever the start.
    points, rgb = cloud(2, 16), colors(2, 16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    assert_same(trained(points[:, order], rgb[:, order]), trained(points, rgb))


@torch.no_grad()
def test_repeated_points_change_only_encoders_that_count_them(name: str, trained: PointEncoder) -> None:
    points, rgb = cloud(2, 5), colors(2, 5)
    once, thrice = trained(points, rgb), trained(points.repeat(1, 3, 1), rgb.repeat(1, 3, 1))
    if name in COUNT_REPEATS:
        assert (thrice - once).norm() > 1e-3 * once.norm()
    else:
        assert_same(thrice, once)


@torch.no_grad()
def test_position_and_size_matter(trained: PointEncoder) -> None:
    # No encoder here is invariant to them by design: preprocessing centers and scales.
    points = cloud(1, 200)
    for moved in (points + 0.5, points * 0.5):
        assert (trained(moved) - trained(points)).norm() > 1e-3 * trained(points).norm()


@torch.no_grad()
def test_color_absent_is_the_learned_state_whatever_the_values_say(trained: PointEncoder) -> None:
    points, rgb = cloud(3, 80), colors(3, 80)
    absent = trained(points)
    assert_same(absent, trained(points, trained.absent_features.expand(3, 80, 3)))
    rgb[1] = torch.nan
    mixed = trained(points, rgb, features_present=torch.tensor([True, False, True]))
    assert_same(mixed[1], absent[1])
    rgb[1] = 0.0
    assert_same(mixed[[0, 2]], trained(points, rgb)[[0, 2]])
    assert (mixed[0] - absent[0]).norm() > 1e-3 * absent[0].norm()


def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    encoder = create_encoder(name)
    present = torch.tensor([True, False, True])
    encoder(cloud(3, 150), colors(3, 150), features_present=present).square().sum().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_without_feature_channels(name: str) -> None:
    encoder = create_encoder(name, feature_channels=0)
    assert encoder.feature_channels == 0
    assert encoder.absent_features is None
    encoder(cloud(2, 40)).square().sum().backward()
    assert encoder.eval()(cloud(2, 40)).shape == (2, encoder.width)
    with pytest.raises(ValueError, match="feature_channels=0"):
        encoder(cloud(2, 40), colors(2, 40))


def test_any_number_of_feature_channels(name: str) -> None:
    encoder = create_encoder(name, feature_channels=5)
    assert encoder(cloud(2, 40), torch.rand(2, 40, 5)).shape == (2, encoder.width)
    assert encoder(cloud(2, 40)).shape == (2, encoder.width)


@torch.no_grad()
def test_state_dict_round_trip(name: str, trained: PointEncoder) -> None:
    other = create_encoder(name).eval()
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(cloud(2, 100)), trained(cloud(2, 100)))


@torch.no_grad()
def test_changed_weights_change_the_very_next_embedding(trained: PointEncoder) -> None:
    encoder, points = copy.deepcopy(trained), cloud(2, 100)
    before = encoder(points)
    for change in (lambda weight: weight.mul_(1.1), lambda weight: weight.data.copy_(weight * 1.1)):
        for parameter in encoder.parameters():
            change(parameter)
        after = encoder(points)
        assert not torch.equal(before, after)
        before = after


def test_eval_equals_training_when_statistics_are_those_of_the_batch(name: str) -> None:
    torch.manual_seed(0)
    encoder, points, rgb = create_encoder(name), cloud(6, 120), colors(6, 120)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0  # running statistics become those of the last batch
    in_training = encoder(points, rgb).detach()
    with torch.no_grad():
        # Running variance is unbiased, the batch's is not: a difference of one over the number of rows.
        assert_same(encoder.eval()(points, rgb), in_training, 2e-2)


def test_eval_is_the_same_with_gradients_on(trained: PointEncoder) -> None:
    points = cloud(2, 100).requires_grad_()
    with_gradients = trained(points)
    (saliency,) = torch.autograd.grad(with_gradients.square().sum(), points)
    assert saliency.abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(with_gradients, trained(points))


@torch.no_grad()
def test_bfloat16_products_stay_close(trained: PointEncoder) -> None:
    points, rgb = cloud(4, 300), colors(4, 300)
    exact = trained(points, rgb)
    with torch.autocast("cpu", torch.bfloat16):
        low = trained(points, rgb)
    assert low.dtype == torch.float32
    assert torch.cosine_similarity(low, exact).min() > 0.999


def test_two_training_steps_from_the_same_state_are_bitwise_equal(name: str) -> None:
    torch.manual_seed(0)
    first = create_encoder(name)
    second, present = copy.deepcopy(first), torch.tensor([True, False, True])
    for encoder in (first, second):  # the second step finds buffers full of the first one's numbers
        encoder(cloud(3, 90), colors(3, 90), features_present=present).square().sum().backward()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    for a, b in zip(first.buffers(), second.buffers(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"points": torch.rand(5, 3)}, "points must be (B, N, 3)"),
        ({"points": torch.rand(1, 0, 3)}, "empty"),
        ({"points": torch.rand(1, 5, 3), "features": torch.rand(1, 5, 4)}, "features must be (1, 5, 3)"),
        ({"points": torch.rand(1, 5, 3), "features": torch.rand(1, 4, 3)}, "features must be (1, 5, 3)"),
        ({"points": torch.rand(1, 5, 3), "lengths": torch.tensor([9])}, "1..5, found 9"),
        (
            {
                "points": torch.rand(1, 5, 3),
                "features": torch.rand(1, 5, 3),
                "features_present": torch.tensor([1]),
            },
            "features_present must be (1,) bool",
        ),
    ],
)
def test_wrong_inputs_are_named(trained: PointEncoder, arguments: dict, words: str) -> None:
    with pytest.raises(ValueError) as raised:
        trained(**arguments)
    assert words in str(raised.value)
