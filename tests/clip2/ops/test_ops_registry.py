"""Choice of the backend that serves an operation."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

import clip2.ops
from clip2.ops import (
    backends,
    ball_query,
    farthest_point_sample,
    knn,
    registry,
    segment_max,
    segment_sum,
    use_backend,
)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends registered by a test vanish after it."""
    monkeypatch.setattr(registry, "BACKENDS", dict(registry.BACKENDS))
    monkeypatch.setattr(registry, "KERNELS", {op: dict(table) for op, table in registry.KERNELS.items()})


def choice(op: str) -> registry.Choice:
    return next(row for row in backends() if row.op == op and row.device == "cpu")


def test_every_served_operation_is_public_and_has_the_oracle() -> None:
    served = {row.op for row in backends()}
    assert served == set(clip2.ops.__all__) - {"backends", "use_backend", "group"}
    assert {"farthest_point_sample", "ball_query", "knn", "segment_sum", "segment_max"} <= set(
        registry.KERNELS
    )
    assert all("torch" in kernels for kernels in registry.KERNELS.values())


def test_the_environment_names_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP2_OPS_BACKEND", "torch")
    assert choice("knn").backend == choice("farthest_point_sample").backend == "torch"
    assert choice("knn").reason == "asked for by CLIP2_OPS_BACKEND"
    with use_backend("numpy"):
        assert choice("farthest_point_sample").backend == "numpy"
    monkeypatch.setenv("CLIP2_OPS_BACKEND", "fast")
    with pytest.raises(ValueError, match=r"CLIP2_OPS_BACKEND=fast: no such backend; there are torch"):
        knn(torch.rand(1, 4, 3), torch.rand(1, 2, 3), 1)


def test_without_the_compiled_library_python_serves_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(registry.BACKENDS["native"], problem=lambda: "not built")
    monkeypatch.setitem(registry.BACKENDS, "native", broken)
    points = torch.rand(1, 50, 3)
    assert choice("farthest_point_sample").backend == "numpy"
    assert choice("knn") == registry.Choice("knn", "cpu", "torch", "native: not built")
    assert knn(points, points, 1)[1].flatten().tolist() == list(range(50))
    with pytest.raises(ValueError, match="'native' cannot run here: not built"), use_backend("native"):
        pass


@pytest.mark.usefixtures("own_registry")
def test_a_faster_backend_takes_over_where_it_can_run_and_is_passed_over_with_its_reason() -> None:
    broken: list[str] = []
    registry.register_backend(
        "swift", serves=("cpu",), problem=lambda: broken[0] if broken else None, reason="vectorized"
    )

    @registry.implements("segment_sum", "swift")
    def always_sevens(values: torch.Tensor, index: torch.Tensor, num_segments: int) -> torch.Tensor:
        return values.new_full((num_segments, *values.shape[1:]), 7.0)

    values, index = torch.ones(3), torch.tensor([0, 0, 1])
    assert segment_sum(values, index, 2).tolist() == [7.0, 7.0]
    assert choice("segment_sum") == registry.Choice("segment_sum", "cpu", "swift", "vectorized")
    assert choice("segment_max").backend != "swift"
    with use_backend("torch"):
        assert segment_sum(values, index, 2).tolist() == [2.0, 1.0]
    broken.append("no compiler when it was installed")
    assert segment_sum(values, index, 2).tolist() == [2.0, 1.0]
    assert choice("segment_sum").reason.endswith("swift: no compiler when it was installed")
    with pytest.raises(ValueError, match="no compiler"), use_backend("swift"):
        pass


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no backend 'cuda_please'.*torch"), use_backend("cuda_please"):
        pass


@pytest.mark.skipif(find_spec("torch_scatter") is None, reason="needs the scatter extra")
def test_torch_scatter_agrees_with_torch() -> None:
    values, index = torch.randn(500, 7), torch.randint(0, 40, (500,))
    with use_backend("torch_scatter"):
        total, largest = segment_sum(values, index, 50), segment_max(values, index, 50)
    torch.testing.assert_close(total, segment_sum(values, index, 50))
    torch.testing.assert_close(largest, segment_max(values, index, 50))


@pytest.mark.gpu
def test_a_gpu_finds_the_same_points() -> None:
    torch.manual_seed(0)
    points, lengths = torch.rand(4, 2000, 3), torch.tensor([2000, 1, 37, 1500])
    there, lengths_there = points.cuda(), lengths.cuda()
    chosen = farthest_point_sample(points, 100, lengths)
    assert torch.equal(chosen, farthest_point_sample(there, 100, lengths_there).cpu())
    centers = points[:, :50]
    found = ball_query(points, centers, 0.2, 16, lengths)
    assert torch.equal(found, ball_query(there, centers.cuda(), 0.2, 16, lengths_there).cpu())
    assert torch.equal(
        knn(points, centers, 8, lengths)[1], knn(there, centers.cuda(), 8, lengths_there)[1].cpu()
    )
