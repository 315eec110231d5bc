"""Every backend that can run here against pure torch, on ordinary, ragged, degenerate, huge and strided clouds.

All of them promise the same rounding, so the answers are compared exactly, not nearly.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clip2.ops import (
    ball_query,
    farthest_point_sample,
    knn,
    native,
    radius_components,
    registry,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
    use_backend,
)

Op = Callable[[Tensor, Tensor, "Tensor | None", int, float], "Tensor | tuple[Tensor, Tensor]"]
OPS: dict[str, Op] = {
    "farthest_point_sample": lambda points, _, lengths, k, __: farthest_point_sample(points, k, lengths),
    "ball_query": lambda points, centers, lengths, k, radius: ball_query(points, centers, radius, k, lengths),
    "knn": lambda points, centers, lengths, k, _: knn(points, centers, k, lengths),
}
SHAPES = ("box", "sphere", "lattice", "line", "one place", "stray point", "far away", "huge", "long tails")


def backends_beside_torch() -> list[str]:
    return [name for name, backend in registry.BACKENDS.items() if name != "torch" and not backend.problem()]


def make_cloud(shape: str, batch: int, count: int, seed: int) -> Tensor:
    """(B, N, 3) float32."""
    draw = np.random.default_rng(seed)
    points = draw.random((batch, count, 3), np.float32)
    if shape == "sphere":
        points = points - np.float32(0.5)
        points /= np.linalg.norm(points, axis=2, keepdims=True).clip(1e-6)
    elif shape == "lattice":  # many equal distances, many coincident points
        points = (points * 6).round()
    elif shape == "line":
        points *= np.array([1, 0, 0], np.float32)
    elif shape == "one place":
        points = np.full_like(points, 0.7)
    elif shape == "stray point":
        points[:, count // 2] = 1e7
    elif shape == "far away":
        points += np.float32(5e5)
    elif shape == "huge":  # squares overflow
        points *= np.float32(1e30)
    elif shape == "long tails":
        points = np.exp(points * 12) * np.where(draw.random(points.shape) < 0.5, -1, 1).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(points, np.float32))


def assert_same_everywhere(call: Callable[[], Tensor | tuple[Tensor, Tensor]], op: str) -> None:
    with use_backend("torch"):
        expected = call()
    for backend in backends_beside_torch():
        with use_backend(backend):
            found = call()
        for ours, theirs in zip(
            found if isinstance(found, tuple) else (found,),
            expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        ):
            assert ours.dtype == theirs.dtype, (backend, op)
            assert torch.equal(ours, theirs), (backend, op)


@settings(max_examples=60, deadline=None)
@given(
    op=st.sampled_from(sorted(OPS)),
    shape=st.sampled_from(SHAPES),
    batch=st.integers(1, 3),
    count=st.integers(1, 400),
    centers=st.integers(1, 40),
    k=st.integers(1, 80),
    radius=st.sampled_from([0.0, 0.05, 0.3, 3.0, 1e29]),
    ragged=st.booleans(),
    strided=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_backends_choose_the_same_points(
    op: str,
    shape: str,
    batch: int,
    count: int,
    centers: int,
    k: int,
    radius: float,
    ragged: bool,
    strided: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    points = make_cloud(shape, batch, count, seed).to(dtype)
    at = torch.cat([points[:, :centers], make_cloud("box", batch, centers, seed + 1).to(dtype)], 1)
    lengths = None
    if ragged:
        lengths = torch.from_numpy(np.random.default_rng(seed).integers(1, count + 1, batch))
    if strided:
        points = points.transpose(1, 2).contiguous().transpose(1, 2)
        at = torch.stack([at, at], 1)[:, 1]
    assert_same_everywhere(lambda: OPS[op](points, at, lengths, k, radius), op)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_instruction_set_chooses_the_same_points_of_large_clouds(
    shape: str, instruction_set: int
) -> None:
    """Large enough for trees, ordered queries and several threads."""
    points = make_cloud(shape, 2, 5000, seed=3)
    lengths = torch.tensor([5000, 4321])
    radius = {"huge": 1e29, "long tails": 20.0, "lattice": 1.0}.get(shape, 0.1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert_same_everywhere(lambda: farthest_point_sample(points, 100, lengths), "farthest_point_sample")
        assert_same_everywhere(lambda: ball_query(points, points[:, :250], radius, 24, lengths), "ball_query")
        assert_same_everywhere(lambda: knn(points, points[:, :520], 9, lengths), "knn")
        # One cloud, whose queries are shared out among the threads.
        one, at = points[:1], points[:1, :1700]
        assert_same_everywhere(lambda: ball_query(one, at, radius, 7), "ball_query")
        assert_same_everywhere(lambda: knn(one, at, 5), "knn")
    finally:
        torch.set_num_threads(before)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    count=st.integers(1, 400),
    levels=st.integers(1, 4),
    radius=st.sampled_from([1e-6, 0.05, 0.3, 1.0, 1e29]),
    own_radii=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 2**31),
)
def test_backends_find_the_same_components(
    shape: str, count: int, levels: int, radius: float, own_radii: bool, dtype: torch.dtype, seed: int
) -> None:
    points = make_cloud(shape, 1, count, seed)[0].to(dtype)
    radii = radius * 1.4 ** torch.arange(levels, dtype=torch.float64)
    if own_radii:
        radii = radii[:, None] * torch.from_numpy(np.random.default_rng(seed).uniform(0.2, 5, count))
    assert_same_everywhere(lambda: radius_components(points, radii), "radius_components")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_instruction_set_finds_the_same_components_of_large_clouds(
    shape: str, instruction_set: int
) -> None:
    points = make_cloud(shape, 1, 6000, seed=4)[0]
    size = {"huge": 1e30, "long tails": 400.0, "lattice": 6.0}.get(shape, 1.0)
    own = torch.from_numpy(np.random.default_rng(4).uniform(0.5, 2, 6000))
    radii = size * torch.tensor([0.02, 0.04, 0.3]).double()
    for levels in (radii, radii[:, None] * own):
        with use_backend("numpy"):
            expected = radius_components(points, levels)
        with use_backend("native"):
            assert torch.equal(radius_components(points, levels), expected)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 300),
    shape=st.sampled_from([(), (1,), (3,), (20,), (35,), (2, 9)]),
    segments=st.integers(1, 50),
    reduce=st.sampled_from([segment_sum, segment_mean, segment_max, segment_softmax]),
    strided=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_backends_reduce_segments_alike(
    rows: int, shape: tuple[int, ...], segments: int, reduce: Callable, strided: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, *shape, generator=draw).round(decimals=1)  # ties
    if strided and shape:
        values = values.transpose(0, -1).contiguous().transpose(0, -1)
    index = torch.randint(segments, (rows,), generator=draw)
    weight = torch.randn(reduce(values, index, segments).shape, generator=draw)
    results = {}
    for backend in ["torch", *backends_beside_torch()]:
        leaf = values.clone().requires_grad_()
        with use_backend(backend):
            out = reduce(leaf, index, segments)
            (out * weight).sum().backward()
        results[backend] = out.detach(), leaf.grad
    for backend, (out, grad) in results.items():
        if backend == "torch_scatter" and reduce is segment_max:
            grad = results["torch"][1]  # the first of equal rows takes the gradient there
        torch.testing.assert_close(out, results["torch"][0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(grad, results["torch"][1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("segments", [30, 3000], ids=["few", "many"])
def test_reductions_do_not_depend_on_the_number_of_threads(segments: int, instruction_set: int) -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(5000, 70, generator=draw)
    index = torch.randint(segments, (5000,), generator=draw)
    before = torch.get_num_threads()
    for reduce in (segment_sum, segment_mean, segment_max, segment_softmax):
        with use_backend("torch"):
            expected = reduce(values, index, segments + 1)
        found = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append(reduce(values, index, segments + 1))
        finally:
            torch.set_num_threads(before)
        torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-4)
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])


def test_softmax_holds_far_below_the_largest(instruction_set: int) -> None:
    """Down to where e^x is no float any more, within 2 units in the last place of the torch one."""
    values = torch.cat([torch.zeros(1), -torch.linspace(0, 120, 5000)])[:, None].expand(-1, 17).contiguous()
    index = torch.zeros(len(values), dtype=torch.int64)
    with use_backend("torch"):
        expected = segment_softmax(values, index, 1)
    for backend in backends_beside_torch():
        with use_backend(backend):
            torch.testing.assert_close(segment_softmax(values, index, 1), expected, rtol=2e-6, atol=1e-44)


def test_not_a_number_and_infinities_reduce_as_in_torch() -> None:
    nan, inf = torch.nan, torch.inf
    values = torch.tensor([[1.0, nan, -inf], [2.0, 1.0, -inf], [nan, 5.0, 3.0], [4.0, nan, inf]])
    index = torch.tensor([0, 0, 1, 1])
    for reduce in (segment_sum, segment_max, segment_softmax):
        with use_backend("torch"):
            expected = reduce(values, index, 3)
        for backend in backends_beside_torch():
            if backend == "torch_scatter" and reduce is not segment_sum:
                continue  # passes over what is not a number
            with use_backend(backend):
                torch.testing.assert_close(reduce(values, index, 3), expected, equal_nan=True)


def test_a_segment_out_of_range_is_refused_by_every_backend() -> None:
    for backend in ["torch", *backends_beside_torch()]:
        for reduce in (segment_sum, segment_mean, segment_max, segment_softmax):
            with use_backend(backend), pytest.raises((IndexError, RuntimeError), match="index"):
                reduce(torch.ones(2, 3), torch.tensor([0, 5]), 2)


def test_coordinates_that_are_no_numbers_end_in_valid_indices() -> None:
    """Readers refuse them; an operation that meets them all the same must neither hang nor point outside."""
    points = make_cloud("box", 1, 3000, seed=0)
    points[0, ::7] = torch.nan
    points[0, 5] = torch.inf
    blank = torch.full((1, 70, 3), torch.nan)
    for backend in backends_beside_torch():
        with use_backend(backend):
            for cloud in (points, blank):
                at = cloud[:, :200]
                for index in (
                    farthest_point_sample(cloud, 64),
                    ball_query(cloud, at, 0.1, 4),
                    knn(cloud, at, 40)[1],
                ):
                    assert int(index.min()) >= 0
                    assert int(index.max()) < cloud.shape[1]


def test_segments_without_rows_are_zero() -> None:
    for backend in ["torch", *backends_beside_torch()]:
        with use_backend(backend):
            assert (
                segment_sum(torch.rand(0, 4), torch.zeros(0, dtype=torch.int64), 3).tolist()
                == [[0.0] * 4] * 3
            )
            assert (
                segment_max(torch.rand(0, 4), torch.zeros(0, dtype=torch.int64), 3).tolist()
                == [[0.0] * 4] * 3
            )


@pytest.fixture
def two_threads() -> Iterator[None]:
    if native.problem() is not None:
        pytest.skip("the native library is not built here")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_calls_from_several_python_threads_do_not_mix(two_threads: None) -> None:
    clouds = [make_cloud("box", 3, 3000, seed) for seed in range(8)]
    expected = [farthest_point_sample(points, 64) for points in clouds]
    with ThreadPoolExecutor(4) as executor:
        for _ in range(5):
            found = list(executor.map(lambda points: farthest_point_sample(points, 64), clouds))
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_forked_process_does_not_wait_for_its_parents_threads(two_threads: None) -> None:
    points = make_cloud("box", 4, 5000, seed=1)
    expected = farthest_point_sample(points, 64).sum().item()  # the parent's threads are there now
    fork = multiprocessing.get_context("fork")
    answer = fork.SimpleQueue()
    child = fork.Process(target=lambda: answer.put(farthest_point_sample(points, 64).sum().item()))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
        pytest.fail("the child hangs")
    assert child.exitcode == 0  # or there is no answer to wait for
    assert answer.get() == expected
