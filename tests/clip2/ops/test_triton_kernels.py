"""The Triton kernels against pure torch: interpreted on a CPU, and compiled where a GPU is present."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from clip2.ops import ball_query, farthest_point_sample, knn, registry, use_backend

triton = pytest.importorskip("triton")
interpreted = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.mark.skipif(interpreted, reason="this is the process that it starts")
@pytest.mark.skipif(
    triton.__version__.startswith("3.2."),
    reason="cumulative sums are tuples to the interpreter of triton 3.2",
)
def test_under_the_interpreter_of_triton() -> None:
    """Triton decides when it is imported whether to interpret, so the tests below run in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-v", "-k", "interpreted_kernels", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "22 passed" in done.stdout


@pytest.mark.skipif(not interpreted, reason="needs TRITON_INTERPRET=1 from the start")
@pytest.mark.parametrize("kind", ["box", "lattice", "one place"])
@pytest.mark.parametrize("count", [1, 70, 1300])
@pytest.mark.parametrize("ragged", [False, True])
def test_interpreted_kernels_choose_the_same_points(kind: str, count: int, ragged: bool) -> None:
    from clip2.ops import triton_kernels

    points = torch.rand(2, count, 3, generator=torch.Generator().manual_seed(count))
    if kind == "lattice":
        points = (points * 4).round()
    elif kind == "one place":
        points = torch.ones_like(points)
    lengths = torch.tensor([count, max(1, count // 2)]) if ragged else None
    k, first = min(count, 12), torch.zeros(2, dtype=torch.int64)
    plain = registry.plain("farthest_point_sample")(points, k, lengths, first)
    assert torch.equal(triton_kernels.farthest_point_sample(points, k, lengths, first), plain)
    centers = torch.cat([points[:, :5], points[:, :2] + 9], 1)  # the last see nobody
    for radius, k in ((0.3, 6), (50.0, 3)):
        found = triton_kernels.ball_query(points, centers, radius, k, lengths)
        assert torch.equal(found, registry.plain("ball_query")(points, centers, radius, k, lengths))
    centers = centers[:, 4:6]  # each neighbor takes the interpreter milliseconds
    for k in (1, 3, 12):
        k = min(k, count)
        expected = registry.plain("knn")(points, centers, k, lengths)
        for ours, plain in zip(triton_kernels.knn(points, centers, k, lengths), expected, strict=True):
            assert ours.dtype == plain.dtype
            assert torch.equal(ours, plain)


@pytest.mark.skipif(not interpreted, reason="needs TRITON_INTERPRET=1 from the start")
def test_interpreted_kernels_sample_clouds_too_large_for_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    from clip2.ops import triton_kernels

    monkeypatch.setattr(triton_kernels, "_RESIDENT", 0)
    points = torch.rand(2, 9000, 3, generator=torch.Generator().manual_seed(0))
    lengths, first = torch.tensor([9000, 8500]), torch.tensor([5, 0])
    plain = registry.plain("farthest_point_sample")(points, 8, lengths, first)
    assert torch.equal(triton_kernels.farthest_point_sample(points, 8, lengths, first), plain)


@pytest.mark.skipif(not interpreted, reason="needs TRITON_INTERPRET=1 from the start")
def test_interpreted_kernels_find_neighbors_that_come_ever_closer() -> None:
    """Every point displaces one found before it, block after block."""
    from clip2.ops import triton_kernels

    points = torch.zeros(1, 3000, 3)
    points[0, :, 0] = torch.arange(3000, 0, -1)
    index, squared = triton_kernels.knn(points, torch.zeros(1, 1, 3), 64, None)
    assert index.tolist() == [[list(range(2999, 2935, -1))]]
    assert squared.tolist() == [[[float(place * place) for place in range(1, 65)]]]


@pytest.mark.skipif(not interpreted, reason="needs TRITON_INTERPRET=1 from the start")
@pytest.mark.parametrize("blank", [False, True])
def test_interpreted_kernels_stay_inside_clouds_that_are_no_numbers(blank: bool) -> None:
    from clip2.ops import triton_kernels

    points = torch.rand(1, 1100, 3, generator=torch.Generator().manual_seed(0))
    points[0, ::7] = torch.nan
    points[0, 5] = torch.inf
    if blank:
        points[:] = torch.nan
    first = torch.zeros(1, dtype=torch.int64)
    for index in (
        triton_kernels.farthest_point_sample(points, 20, None, first),
        triton_kernels.ball_query(points, points[:, :9], 0.1, 4, None),
        triton_kernels.knn(points, points[:, :9], 30, None)[0],
    ):
        assert int(index.min()) >= 0
        assert int(index.max()) < 1100


@pytest.mark.skipif(interpreted, reason="compiles")
def test_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    """Up to machine code of an H100, without a fused multiply-add, which would round otherwise than torch."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from clip2.ops import triton_kernels as kernels

    cloud = {"axes": "*fp32", "sizes": "*i64", "count": "i32", "k": "i32", "BLOCK": "constexpr"}
    sample = {**cloud, "chosen": "*i64"}
    search = {**cloud, "centers": "*fp32", "index": "*i64", "squared": "*fp32", "rows": "i32"}
    for kernel, arguments, constants, warps in (
        (kernels._farthest_resident, sample, {"BLOCK": 1024}, 4),
        (kernels._farthest_resident, sample, {"BLOCK": 16_384}, 32),
        (kernels._farthest, {**sample, "nearest": "*fp32"}, {"BLOCK": 8192}, 16),
        (kernels._ball, search, {"BLOCK": 1024}, 4),
        (kernels._nearest, {**search, "SLOTS": "constexpr"}, {"BLOCK": 1024, "SLOTS": 64}, 4),
    ):
        signature = {name: arguments[name] for name in kernel.arg_names}
        options = {"num_warps": warps, "enable_fp_fusion": False}
        compiled = triton.compile(
            ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32), options=options
        )
        assert compiled.asm["cubin"]
        assert "fma.rn" not in compiled.asm["ptx"]


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 300, 20_000])
def test_kernels_on_a_gpu_choose_the_same_points(count: int) -> None:
    points = torch.rand(3, count, 3, generator=torch.Generator().manual_seed(count))
    lengths = torch.tensor([count, max(1, count // 2), 1])
    there, lengths_there = points.cuda(), lengths.cuda()
    with use_backend("triton"):
        chosen = farthest_point_sample(there, 200, lengths_there).cpu()
        found = ball_query(there, there[:, :90], 0.1, 16, lengths_there).cpu()
        near = [[part.cpu() for part in knn(there, there[:, :90], k, lengths_there)] for k in (1, 16, 64, 70)]
        three = knn(there, there[:, :90], 3, lengths_there)[1].cpu()
    assert torch.equal(chosen, farthest_point_sample(points, 200, lengths))
    assert torch.equal(found, ball_query(points, points[:, :90], 0.1, 16, lengths))
    for (distance, index), k in zip(near, (1, 16, 64, 70), strict=True):
        expected_distance, expected = knn(points, points[:, :90], k, lengths)
        assert torch.equal(index, expected)
        torch.testing.assert_close(distance, expected_distance, rtol=1e-6, atol=0)
    assert torch.equal(three, knn(points, points[:, :90], 3, lengths)[1])
