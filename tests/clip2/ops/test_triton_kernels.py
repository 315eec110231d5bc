"""The Triton kernels against pure torch: interpreted on a CPU, and for real where a GPU is at hand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from clip2.ops import ball_query, farthest_point_sample, registry, use_backend

pytest.importorskip("triton")
interpreted = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.mark.skipif(interpreted, reason="this is the process that it starts")
def test_under_the_interpreter_of_triton() -> None:
    """Triton decides when it is imported whether to interpret, so the tests below run in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-v", "-k", "choose_the_same_points", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "18 passed" in done.stdout


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


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 300, 20_000])
def test_kernels_on_a_gpu_choose_the_same_points(count: int) -> None:
    points = torch.rand(3, count, 3, generator=torch.Generator().manual_seed(count))
    lengths = torch.tensor([count, max(1, count // 2), 1])
    there, lengths_there = points.cuda(), lengths.cuda()
    with use_backend("triton"):
        chosen = farthest_point_sample(there, 200, lengths_there).cpu()
        found = ball_query(there, there[:, :90], 0.1, 16, lengths_there).cpu()
    assert torch.equal(chosen, farthest_point_sample(points, 200, lengths))
    assert torch.equal(found, ball_query(points, points[:, :90], 0.1, 16, lengths))
